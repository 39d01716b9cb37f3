"""Network spaces by name."""

from __future__ import annotations

from typing import Any

from codesign.errors import ModelError
from codesign.nn.nasbench201 import NasBench201
from codesign.nn.space import NetworkSpace

_SPACES = {"nasbench201": NasBench201}


def space_names() -> tuple[str, ...]:
    return tuple(_SPACES)


def load_network_space(name: str, dataset: str = "cifar100") -> NetworkSpace[Any]:
    """The space called ``name``, for the classes and image size of ``dataset``."""
    if name not in _SPACES:
        raise ModelError(f"unknown network space {name!r}; known: {', '.join(_SPACES)}")
    return _SPACES[name](dataset)
