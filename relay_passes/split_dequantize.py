# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUntypedBaseClass=false, reportUntypedClassDecorator=false, reportUntypedFunctionDecorator=false
# pyright: reportAttributeAccessIssue=false, reportIncompatibleMethodOverride=false
# tvm's annotations are partial and partly wrong.
"""A dequantize of its own for every consumer, so that each pattern owns all it matches."""

from __future__ import annotations

from typing import Any

from tvm import relax

from relay_passes.ir import each_function, op_name


def SplitDequantize() -> Any:
    """Every use of a dequantized activation gets its own ``dequantize``; weights as well.

    onnxruntime shares one over several consumers, and fusion would then return it as a second
    output of the fused function. The single binding that remains unused is removed.
    """
    return each_function("SplitDequantize", _split)


def _split(function: Any) -> Any:
    return _Split().visit_expr(function)


@relax.expr_functor.mutator
class _Split(relax.PyExprMutator):
    def visit_call_(self, call: Any) -> Any:
        call = super().visit_call_(call)
        if op_name(call) in ("dequantize", ""):
            return call
        args = [self._own(arg) for arg in call.args]
        if all(a is b for a, b in zip(args, call.args, strict=True)):
            return call
        return relax.Call(call.op, args, call.attrs, call.ty_args)

    def visit_tuple_(self, expr: Any) -> Any:
        return relax.Tuple([self._own(self.visit_expr(f)) for f in expr.fields])

    def _own(self, arg: Any) -> Any:
        if not isinstance(arg, relax.Var):
            return arg
        bound = self.lookup_binding(arg)
        if bound is None or op_name(bound) != "dequantize":
            return arg
        copy = relax.Call(bound.op, bound.args, bound.attrs, bound.ty_args)
        return self.builder_.emit(copy)
