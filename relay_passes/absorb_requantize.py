# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUntypedBaseClass=false, reportUntypedClassDecorator=false, reportUntypedFunctionDecorator=false
# pyright: reportIncompatibleMethodOverride=false, reportOptionalMemberAccess=false
# tvm's annotations are partial and partly wrong.
"""Quantise-dequantise pairs between an operator and its own activation, removed."""

from __future__ import annotations

from typing import Any

from tvm import relax

from relay_passes.ir import constant, definitions, each_function, op_name, same_constant, users
from relay_passes.patterns import AVERAGES, CONVOLUTIONS

PRODUCERS = (*CONVOLUTIONS, *AVERAGES, "matmul", "add", "concat")
ACTIVATIONS = ("nn.relu", "clip")


def AbsorbRequantize() -> Any:
    """``act(dequantize(quantize(op)))`` becomes ``act(op)`` where nothing else reads the pair.

    So does the addition of a constant to a matmul, which is its bias. The accelerator keeps the
    sum at full width until the activation's own quantisation. Also
    ``quantize(dequantize(q))`` with equal scale and zero point becomes q.
    """
    return each_function("AbsorbRequantize", _absorb)


def _absorb(function: Any) -> Any:
    defined, used = definitions(function), users(function)

    def through(activation: Any) -> Any:
        """The operator's variable under the pair, or None."""
        dequantize_var = activation.args[0]
        dequantize = defined.get(dequantize_var)
        if op_name(dequantize) != "dequantize" or len(used[dequantize_var]) != 1:
            return None
        quantize_var = dequantize.args[0]
        quantize = defined.get(quantize_var)
        if op_name(quantize) != "quantize" or len(used[quantize_var]) != 1:
            return None
        producer = quantize.args[0]
        if op_name(defined.get(producer)) not in PRODUCERS or len(used[producer]) != 1:
            return None
        return producer

    return _Absorb(defined, through).visit_expr(function)


@relax.expr_functor.mutator
class _Absorb(relax.PyExprMutator):
    def __init__(self, defined: dict[Any, Any], through: Any) -> None:
        super().__init__()
        self._defined, self._through = defined, through

    def visit_call_(self, call: Any) -> Any:
        bias = op_name(call) == "add" and constant(call.args[1]) is not None
        if op_name(call) in ACTIVATIONS or bias:
            producer = self._through(call)
            if producer is not None and not (bias and op_name(self._defined[producer]) != "matmul"):
                args = [self.visit_expr(producer), *call.args[1:]]
                return relax.Call(call.op, args, call.attrs, call.ty_args)
        if op_name(call) == "quantize":
            source = self._defined.get(call.args[0])
            if op_name(source) == "dequantize" and _inverse(call, source):
                return self.visit_expr(source.args[0])
        return super().visit_call_(call)


def _inverse(quantize: Any, dequantize: Any) -> bool:
    return (
        same_constant(quantize.args[1], dequantize.args[1])
        and same_constant(quantize.args[2], dequantize.args[2])
        and str(quantize.attrs.out_dtype) == str(dequantize.args[0].ty.dtype)
    )
