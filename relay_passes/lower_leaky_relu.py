# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUntypedBaseClass=false, reportUntypedClassDecorator=false, reportUntypedFunctionDecorator=false
# pyright: reportIncompatibleMethodOverride=false, reportOptionalMemberAccess=false
# pyright: reportArgumentType=false
# tvm's annotations are partial and partly wrong.
"""Leaky ReLU as a sum, which the accelerator has."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from tvm import relax

from relay_passes.fold_parameters import dequantized
from relay_passes.ir import constant, definitions, dtype, each_function, op_name, scalar, shape

_LOWEST = float(np.finfo(np.float32).min)


def LowerLeakyRelu() -> Any:
    """A leaky ReLU (or PReLU of one slope a) of a quantised x becomes a * x + (1 - a) * relu(x).

    The slopes move into the scales of two dequantisations, of x and of its quantised ReLU, whose
    values lie on x's grid: nothing is rounded. A PReLU of other slopes becomes
    relu(x) + a * min(x, 0), the product quantised without saturation.
    """
    return each_function("LowerLeakyRelu", lambda f: _Lowerer(definitions(f)).visit_expr(f))


@relax.expr_functor.mutator
class _Lowerer(relax.PyExprMutator):
    def __init__(self, defined: dict[Any, Any]) -> None:
        super().__init__()
        self._defined = defined

    def visit_call_(self, call: Any) -> Any:
        slopes = self._slopes(call)
        real = self._defined.get(call.args[0]) if slopes is not None else None
        quantized = op_name(real) == "dequantize" and dtype(real.args[0]) in ("int8", "uint8")
        scale = scalar(real.args[1]) if quantized else None
        if slopes is None or scale is None or scalar(real.args[2]) is None:
            return super().visit_call_(call)
        slope = float(slopes.flat[0])
        x = self.visit_expr(call.args[0])
        rectified = self._kept(relax.op.nn.relu(x), real)
        if (slopes == slope).all() and 0 < slope < 1:
            parts = [(self.visit_expr(real.args[0]), slope), (rectified, 1 - slope)]
            return relax.op.add(*(self._scaled(part, f * scale, real) for part, f in parts))
        negative = self._scaled(self._kept(relax.op.clip(x, _LOWEST, 0.0), real), scale, real)
        product = self.builder_.emit(relax.op.multiply(negative, relax.const(slopes)))
        return relax.op.add(
            self._scaled(rectified, scale, real), self._requantized(product, slopes, scale, real)
        )

    def _slopes(self, call: Any) -> NDArray[np.float32] | None:
        """Slopes of negative values along the rank of the operand, or None."""
        if op_name(call) == "nn.leakyrelu":
            return np.full([1] * len(shape(call)), float(call.attrs.alpha), np.float32)
        if op_name(call) != "nn.prelu":
            return None
        given = self._defined.get(call.args[1], call.args[1])
        slopes = constant(given)
        if op_name(given) == "dequantize" and constant(given.args[0]) is not None:
            data, scale, zero = (constant(a) for a in given.args)
            slopes = dequantized(data, scale, zero, int(given.attrs.axis))
        dims = [1] * len(shape(call))
        axis = int(call.attrs.axis)
        known = slopes is not None and slopes.size in (1, shape(call)[axis])
        if slopes is None or not known or not np.isfinite(slopes).all():
            return None
        dims[axis] = -1
        return slopes.astype(np.float32).reshape(dims)

    def _kept(self, value: Any, real: Any) -> Any:
        """``value`` on the grid of ``real``, which holds it already."""
        numbers, kind = real.args[1:], dtype(real.args[0])
        return self.builder_.emit(
            relax.op.quantize(self.builder_.emit(value), *numbers, out_dtype=kind)
        )

    def _scaled(self, value: Any, scale: float, real: Any) -> Any:
        return self.builder_.emit(
            relax.op.dequantize(value, relax.const(scale, "float32"), real.args[2])
        )

    def _requantized(
        self, product: Any, slopes: NDArray[np.float32], scale: float, real: Any
    ) -> Any:
        """The product of slopes and negative values, in int8 steps that hold all of it."""
        lowest = 0 if dtype(real.args[0]) == "uint8" else -128
        reach = max(1.0, float(scalar(real.args[2]) or 0.0) - lowest)
        step = relax.const(scale * reach * float(np.abs(slopes).max()) / 127 or 1.0, "float32")
        zero = relax.const(0, "int8")
        emit = self.builder_.emit
        return emit(
            relax.op.dequantize(
                emit(relax.op.quantize(product, step, zero, out_dtype="int8")), step, zero
            )
        )
