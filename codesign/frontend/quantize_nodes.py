# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# tvm carries no usable annotations.
"""Whether a Relax module carries quantisation."""

from __future__ import annotations

from typing import Any


def any_in(module: Any) -> bool:
    """True if a function of the module calls quantize or dequantize."""
    from tvm import relax

    found = False

    def visit(expr: Any) -> None:
        nonlocal found
        name = getattr(getattr(expr, "op", None), "name", "")
        found = found or name in ("relax.quantize", "relax.dequantize")

    for function in module.functions.values():
        if isinstance(function, relax.Function):
            relax.analysis.post_order_visit(function, visit)
    return found
