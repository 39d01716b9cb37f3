# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUntypedBaseClass=false, reportUntypedClassDecorator=false, reportUntypedFunctionDecorator=false
# pyright: reportIncompatibleMethodOverride=false, reportOptionalMemberAccess=false
# tvm's annotations are partial and partly wrong.
"""Constant sub-expressions of weights and biases, evaluated; the dequantisation of weights kept."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from tvm import relax

from relay_passes.ir import constant, each_function, op_name, shape


def FoldParameters(keep_rounding: bool = False) -> Any:
    """Biases become float constants; a weight becomes ``dequantize(constant)`` or a float constant.

    ``dequantize(quantize(c))`` of a float constant c is c: the rounding of weights is left to the
    fit; with ``keep_rounding`` it becomes ``dequantize`` of the rounded constant. Transposes of
    weights move into the constant.
    """
    return each_function("FoldParameters", lambda f: _Fold(keep_rounding).visit_expr(f))


@relax.expr_functor.mutator
class _Fold(relax.PyExprMutator):
    def __init__(self, keep_rounding: bool) -> None:
        super().__init__()
        self._keep_rounding = keep_rounding

    def visit_call_(self, call: Any) -> Any:
        call = self._inlined(super().visit_call_(call))
        name = op_name(call)
        if name == "dequantize":
            return self._dequantize(call)
        if name == "permute_dims":
            return self._permute(call)
        if name == "add" and constant(call.args[0]) is not None:
            return relax.op.add(*call.args[::-1])
        value = constant(call.args[0]) if name in ("reshape", "squeeze", "expand_dims") else None
        return call if value is None else relax.const(value.reshape(shape(call)))

    def _inlined(self, call: Any) -> Any:
        """The call with variables bound to constants replaced by them."""
        args = [
            arg if constant(self._defined(arg)) is None else self._defined(arg) for arg in call.args
        ]
        if all(a is b for a, b in zip(args, call.args, strict=True)):
            return call
        return self.builder_.normalize(relax.Call(call.op, args, call.attrs, call.ty_args))

    def _defined(self, expr: Any) -> Any:
        return self.lookup_binding(expr) if isinstance(expr, relax.Var) else expr

    def _dequantize(self, call: Any) -> Any:
        source = self._defined(call.args[0])
        if op_name(source) == "quantize" and constant(source.args[0]) is not None:
            return self._rounded(call, source) if self._keep_rounding else source.args[0]
        data = constant(call.args[0])
        scale, zero = constant(call.args[1]), constant(call.args[2])
        if data is None or scale is None or zero is None:
            return call
        if data.dtype != np.int32 and data.ndim > 1:
            return call
        return relax.const(dequantized(data, scale, zero, int(call.attrs.axis)))

    def _rounded(self, call: Any, quantize: Any) -> Any:
        real, scale, zero = (constant(a) for a in quantize.args)
        if real is None or scale is None or zero is None:
            return call
        data = quantized(real, scale, zero, int(quantize.attrs.axis), quantize.attrs.out_dtype)
        rounded, scales, zeros = relax.const(data), call.args[1], call.args[2]
        return relax.op.dequantize(
            rounded, scales, zeros, int(call.attrs.axis), call.attrs.out_dtype
        )

    def _permute(self, call: Any) -> Any:
        source = self._defined(call.args[0])
        rank = len(shape(call))
        axes = tuple(range(rank))[::-1]
        if call.attrs.axes is not None:
            axes = tuple(int(a) % rank for a in call.attrs.axes)
        value = constant(call.args[0])
        if value is not None:
            return relax.const(np.ascontiguousarray(value.transpose(axes)))
        if op_name(source) != "dequantize" or constant(source.args[0]) is None:
            return call
        data = np.ascontiguousarray(constant(source.args[0]).transpose(axes))
        axis = axes.index(int(source.attrs.axis) % rank)
        scale, zero = source.args[1:]
        return relax.op.dequantize(relax.const(data), scale, zero, axis, source.attrs.out_dtype)


def quantized(
    data: NDArray[Any], scale: NDArray[Any], zero: NDArray[Any], axis: int, kind: str
) -> NDArray[Any]:
    """ONNX's QuantizeLinear along ``axis``: half to even, saturated to the integer ``kind``."""
    scale, zero = _along(data, scale, axis), _along(data, zero, axis)
    limits = np.iinfo(str(kind))
    steps = np.rint(data.astype(np.float32) / scale.astype(np.float32)) + zero
    return np.clip(steps, limits.min, limits.max).astype(limits.dtype)


def _along(data: NDArray[Any], values: NDArray[Any], axis: int) -> NDArray[Any]:
    """Per-channel values with the rank of ``data``."""
    shape = [1] * data.ndim
    if values.size > 1:
        shape[axis] = -1
    return values.reshape(shape)


def dequantized(
    data: NDArray[Any], scale: NDArray[Any], zero: NDArray[Any], axis: int
) -> NDArray[np.float32]:
    """ONNX's DequantizeLinear: (data - zero) * scale along ``axis``, float32."""
    scale, zero = _along(data, scale, axis), _along(data, zero, axis)
    wide = data.astype(np.int64) - zero.astype(np.int64)
    return (wide.astype(np.float32) * scale.astype(np.float32)).astype(np.float32)
