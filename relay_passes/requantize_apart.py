# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUntypedBaseClass=false, reportUntypedClassDecorator=false, reportUntypedFunctionDecorator=false
# pyright: reportIncompatibleMethodOverride=false, reportOptionalMemberAccess=false
# tvm's annotations are partial and partly wrong.
"""A change of scale taken out of the operators that have none."""

from __future__ import annotations

from typing import Any

from tvm import relax

from relay_passes.ir import definitions, dtype, each_function, op_name, same_constant, scalar, users

KEEPING = ("nn.max_pool1d", "nn.max_pool2d", "reshape", "squeeze", "expand_dims", "permute_dims")
"""Operators whose results lie on their operand's grid."""


def RequantizeApart() -> Any:
    """``quantize(max_pool(dequantize(x)))`` of two scales keeps x's; a pair after it changes them.

    The same for reshapes and transposes; no value changes.
    """
    return each_function("RequantizeApart", _rewrite)


def _rewrite(function: Any) -> Any:
    return _Parter(definitions(function), users(function)).visit_expr(function)


@relax.expr_functor.mutator
class _Parter(relax.PyExprMutator):
    def __init__(self, defined: dict[Any, Any], used: dict[Any, list[Any]]) -> None:
        super().__init__()
        self._defined, self._used = defined, used

    def visit_call_(self, call: Any) -> Any:
        kept = self._defined.get(call.args[0]) if op_name(call) == "quantize" else None
        real = self._defined.get(kept.args[0]) if op_name(kept) in KEEPING else None
        if op_name(real) != "dequantize" or scalar(real.args[1]) is None:
            return super().visit_call_(call)
        kind = dtype(real.args[0])
        same = all(same_constant(a, b) for a, b in zip(call.args[1:], real.args[1:], strict=True))
        if (same and kind == dtype(call)) or len(self._used[call.args[0]]) != 1:
            return super().visit_call_(call)
        scale, zero = real.args[1:]
        emit = self.builder_.emit
        small = emit(relax.op.quantize(self.visit_expr(call.args[0]), scale, zero, 1, kind))
        again = emit(relax.op.dequantize(small, scale, zero, 1, "float32"))
        return relax.Call(call.op, [again, *call.args[1:]], call.attrs, call.ty_args)
