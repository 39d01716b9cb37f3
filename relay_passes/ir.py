# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUntypedBaseClass=false, reportUntypedClassDecorator=false, reportUntypedFunctionDecorator=false
# pyright: reportAttributeAccessIssue=false
# tvm's annotations are partial and partly wrong.
"""Small questions about Relax expressions that several passes ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tvm
from numpy.typing import NDArray
from tvm import relax


def op_name(expr: Any) -> str:
    """Operator of a call without its "relax." prefix, or ""."""
    name = getattr(getattr(expr, "op", None), "name", "") if is_call(expr) else ""
    return str(name).removeprefix("relax.")


def is_call(expr: Any) -> bool:
    return isinstance(expr, relax.Call)


def constant(expr: Any) -> NDArray[Any] | None:
    """Value of a constant expression, None for others."""
    return expr.value.numpy() if isinstance(expr, tvm.ir.GenericConst) else None


def shape(expr: Any) -> tuple[int, ...]:
    """Static shape of a tensor expression."""
    return tuple(int(n) for n in expr.ty.shape)


def is_static(expr: Any) -> bool:
    """Whether an expression is a tensor whose sizes are all known."""
    sizes = getattr(getattr(expr, "ty", None), "shape", None)
    if not isinstance(sizes, relax.ShapeExpr):
        return False
    return all(isinstance(n, int | tvm.tirx.IntImm) for n in sizes.values)


def dtype(expr: Any) -> str:
    return str(expr.ty.dtype)


def scalar(expr: Any) -> float | None:
    """Value of a constant with one element, None for others."""
    value = constant(expr)
    return float(value.reshape(-1)[0]) if value is not None and value.size == 1 else None


def same_constant(a: Any, b: Any) -> bool:
    left, right = constant(a), constant(b)
    return (
        left is not None
        and right is not None
        and left.dtype == right.dtype
        and np.array_equal(left.reshape(-1), right.reshape(-1))
    )


def definitions(function: Any) -> dict[Any, Any]:
    """Bound value of every variable of a function."""
    found: dict[Any, Any] = {}
    for block in function.body.blocks:
        for binding in block.bindings:
            found[binding.var] = binding.value
    return found


def users(function: Any) -> dict[Any, list[Any]]:
    """Variables whose bindings use a variable; a returned variable is also used by None."""
    found: dict[Any, list[Any]] = {}
    for block in function.body.blocks:
        for binding in block.bindings:
            for var in relax.analysis.free_vars(binding.value):
                found.setdefault(var, []).append(binding.var)
    for var in relax.analysis.free_vars(function.body.body):
        found.setdefault(var, []).append(None)
    return found


def relax_functions(module: Any) -> list[tuple[Any, Any]]:
    return [(g, f) for g, f in module.functions_items() if isinstance(f, relax.Function)]


def rewrite_functions(module: Any, rewrite: Callable[[Any], Any]) -> Any:
    """The module with every Relax function rewritten, dead bindings removed."""
    updated = tvm.IRModule(dict(module.functions_items()), attrs=module.attrs)
    for name, function in relax_functions(module):
        updated.update_func(name, rewrite(function))
    return relax.transform.DeadCodeElimination()(updated)


def each_function(name: str, rewrite: Callable[[Any], Any]) -> Any:
    """An ordinary TVM module pass that rewrites every Relax function by ``rewrite``."""

    @tvm.transform.module_pass(opt_level=0, name=name)
    def run(module: Any, _: Any) -> Any:
        return rewrite_functions(module, rewrite)

    return run
