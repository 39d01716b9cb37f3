"""Networks and VTA-style accelerators, searched, compiled and proven together.

The names below are loaded on first use, so that ``import codesign`` brings in neither TVM nor
torch.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from codesign.compiler import compile, pipeline
    from codesign.frontend import import_onnx
    from codesign.hw.config import VtaConfig
    from codesign.hw.loader import load_config
    from codesign.search import Problem, search

__all__ = [
    "Problem",
    "VtaConfig",
    "compile",
    "import_onnx",
    "load_config",
    "pipeline",
    "search",
]

_HOMES = {
    "Problem": "codesign.search",
    "VtaConfig": "codesign.hw.config",
    "compile": "codesign.compiler",
    "import_onnx": "codesign.frontend",
    "load_config": "codesign.hw.loader",
    "pipeline": "codesign.compiler",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("codesign")
    if name == "search":
        return import_module("codesign.search")
    if name not in _HOMES:
        raise AttributeError(f"module 'codesign' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})


class _CallablePackage(ModuleType):
    """A package that is called by its own name: ``codesign.search(...)``."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return getattr(self, self.__name__.rpartition(".")[2])(*args, **kwargs)


class _Package(ModuleType):
    """`codesign.search` is both the folder and the function, whichever is asked for first: the
    import system binds the sub-package here, and makes it callable on the way."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "search" and isinstance(value, ModuleType):
            value.__class__ = _CallablePackage
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
