# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUntypedBaseClass=false, reportUntypedClassDecorator=false, reportUntypedFunctionDecorator=false
# pyright: reportIncompatibleMethodOverride=false
# tvm's annotations are partial and partly wrong.
"""A quantisation moved in front of the reshape that it follows."""

from __future__ import annotations

from typing import Any

from tvm import relax

from relay_passes.ir import definitions, dtype, each_function, op_name, scalar, users


def QuantizeBeforeReshape() -> Any:
    """``quantize(reshape(x))`` becomes a quantised x and a reshape with its own pair, same values.

    Quantisers skip the pair between a pooling and a flatten; with it, the pooling is a unit.
    Applies to per-tensor scales and where only the quantize reads the reshape.
    """
    return each_function("QuantizeBeforeReshape", _rewrite)


def _rewrite(function: Any) -> Any:
    return _Mover(definitions(function), users(function)).visit_expr(function)


@relax.expr_functor.mutator
class _Mover(relax.PyExprMutator):
    def __init__(self, defined: dict[Any, Any], used: dict[Any, list[Any]]) -> None:
        super().__init__()
        self._defined, self._used = defined, used

    def visit_call_(self, call: Any) -> Any:
        reshape = self._defined.get(call.args[0]) if op_name(call) == "quantize" else None
        if reshape is None or op_name(reshape) != "reshape":
            return super().visit_call_(call)
        source = reshape.args[0]
        computed = op_name(self._defined.get(source)) not in ("dequantize", "")
        if not computed or len(self._used[call.args[0]]) != 1 or scalar(call.args[1]) is None:
            return super().visit_call_(call)
        scale, zero, kind = call.args[1], call.args[2], dtype(call)
        emit = self.builder_.emit
        small = emit(relax.op.quantize(self.visit_expr(source), scale, zero, 1, kind))
        real = emit(relax.op.dequantize(small, scale, zero, 1, "float32"))
        moved = emit(
            relax.Call(reshape.op, [real, *reshape.args[1:]], reshape.attrs, reshape.ty_args)
        )
        return relax.op.quantize(moved, scale, zero, call.attrs.axis, kind)
