# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUntypedBaseClass=false, reportUntypedClassDecorator=false, reportUntypedFunctionDecorator=false
# pyright: reportIncompatibleMethodOverride=false, reportOptionalMemberAccess=false
# tvm's annotations are partial and partly wrong.
"""Leaky ReLU as a sum, which the accelerator has."""

from __future__ import annotations

from typing import Any

from tvm import relax

from relay_passes.ir import constant, definitions, dtype, each_function, op_name, scalar


def LowerLeakyRelu() -> Any:
    """A leaky ReLU (or PReLU of one slope a) of a quantised x becomes a * x + (1 - a) * relu(x).

    The slopes move into the scales of two dequantisations, of x and of its quantised ReLU, whose
    values lie on x's grid: nothing is rounded.
    """
    return each_function("LowerLeakyRelu", lambda f: _Lowerer(definitions(f)).visit_expr(f))


@relax.expr_functor.mutator
class _Lowerer(relax.PyExprMutator):
    def __init__(self, defined: dict[Any, Any]) -> None:
        super().__init__()
        self._defined = defined

    def visit_call_(self, call: Any) -> Any:
        slope = _slope(call)
        real = self._defined.get(call.args[0]) if slope is not None else None
        scale = scalar(real.args[1]) if op_name(real) == "dequantize" else None
        if slope is None or scale is None:
            return super().visit_call_(call)
        emit = self.builder_.emit
        kind, zero = dtype(real.args[0]), real.args[2]
        rectified = emit(relax.op.nn.relu(self.visit_expr(call.args[0])))
        kept = emit(relax.op.quantize(rectified, *real.args[1:], out_dtype=kind))
        parts = [(self.visit_expr(real.args[0]), slope), (kept, 1 - slope)]
        scaled = [
            emit(relax.op.dequantize(part, relax.const(factor * scale, "float32"), zero))
            for part, factor in parts
        ]
        return relax.op.add(*scaled)


def _slope(call: Any) -> float | None:
    """Slope of negative values, strictly between 0 and 1 and the same for all channels."""
    slope = None
    if op_name(call) == "nn.leakyrelu":
        slope = float(call.attrs.alpha)
    elif op_name(call) == "nn.prelu":
        slopes = constant(call.args[1])
        if slopes is not None and slopes.size and (slopes == slopes.flat[0]).all():
            slope = float(slopes.flat[0])
    return slope if slope is not None and 0 < slope < 1 else None
