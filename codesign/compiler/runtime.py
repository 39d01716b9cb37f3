# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# tvm carries no usable annotations.
"""Runtime modules of kind "vta": what makes ``tvm.runtime.load_module`` understand them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from codesign.errors import CodesignError
from codesign.sim import native
from relay_passes.lower import PROGRAM_ATTR


@lru_cache(maxsize=1)
def register() -> None:
    """Load the C++ core, which registers the module loader, and TVM's hook for the codegen."""
    import tvm

    for kind in CodesignError.__subclasses__():
        tvm.error.register_error(kind.__name__, kind)  # keep their class through TVM's passes
    native.library()
    create: Any = tvm.get_global_func("vta.module_create")

    def codegen(functions: Any, _options: Any, _constants: Any) -> Any:
        return [create(bytes(function.attrs[PROGRAM_ATTR])) for function in functions]

    tvm.register_global_func("relax.ext.vta", codegen, override=True)


def vta_modules(executable: Any) -> dict[str, Any]:
    """The runtime modules of all regions below a compiled module, by region name."""
    found: dict[str, Any] = {}
    pending = [getattr(executable, "mod", executable)]
    while pending:
        module = pending.pop()
        if module.kind == "vta":
            found[str(module["name"]())] = module
        pending.extend(module.imports)
    return dict(sorted(found.items()))
