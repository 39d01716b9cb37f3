# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUntypedFunctionDecorator=false
# tvm's annotations are partial and partly wrong.
"""Regions handed to the emitter, and replaced by calls of the runtime modules it makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tvm
from tvm import relax

from relay_passes.partition import CODEGEN

Emit = Callable[[Any, str], bytes]
"""Region function and its name in, serialised program out."""
PROGRAM_ATTR = "vta.program"


def Lower(emit: Emit) -> Any:
    """Every ``vta`` region becomes an external module holding the program that ``emit`` makes.

    Regions are named ``vta_region_0``, ... in the order of their first call.
    """

    @tvm.transform.module_pass(opt_level=0, name="Lower")
    def run(module: Any, _: Any) -> Any:
        updated = tvm.IRModule(dict(module.functions_items()), attrs=module.attrs)
        names: list[str] = []
        for variable, function in regions(module):
            name = f"vta_region_{len(names)}"
            program = emit(function, name)
            marked = function.with_attr("global_symbol", name).with_attr(PROGRAM_ATTR, program)
            updated.update_func(variable, marked)
            names.append(name)
        if not names:
            return module
        lowered = relax.transform.RunCodegen()(updated)
        for variable in list(lowered.get_global_vars()):
            attrs = lowered[variable].attrs
            if attrs and attrs.get("Codegen") == CODEGEN:
                del lowered[variable]
        return lowered.without_attr("const_name_to_constant")

    return run


def regions(module: Any) -> list[tuple[Any, Any]]:
    """Global variable and function of every region, in the order of calls in main."""
    found: list[tuple[Any, Any]] = []

    def visit(expr: Any) -> None:
        variable = getattr(expr, "op", None)
        if not isinstance(variable, tvm.ir.GlobalVar) or variable in [v for v, _ in found]:
            return
        function = module[variable]
        if function.attrs and function.attrs.get("Codegen") == CODEGEN:
            found.append((variable, function))

    relax.analysis.post_order_visit(module["main"], visit)
    return found
