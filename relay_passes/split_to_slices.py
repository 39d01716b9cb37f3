# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUntypedBaseClass=false, reportUntypedClassDecorator=false, reportUntypedFunctionDecorator=false
# pyright: reportIncompatibleMethodOverride=false, reportOptionalMemberAccess=false
# pyright: reportArgumentType=false
# tvm's annotations are partial and partly wrong.
"""Splits taken apart, so that each part is a unit of its own."""

from __future__ import annotations

from typing import Any

from tvm import relax

from relay_passes.ir import definitions, each_function, is_static, op_name, shape


def SplitToSlices() -> Any:
    """Every element of ``split(x)`` becomes a ``strided_slice`` of x."""
    return each_function("SplitToSlices", lambda f: _Slicer(definitions(f)).visit_expr(f))


@relax.expr_functor.mutator
class _Slicer(relax.PyExprMutator):
    def __init__(self, defined: dict[Any, Any]) -> None:
        super().__init__()
        self._defined = defined

    def visit_tuple_getitem_(self, expr: Any) -> Any:
        split = self._defined.get(expr.tuple_value)
        if op_name(split) != "split" or not is_static(split.args[0]):
            return super().visit_tuple_getitem_(expr)
        axis = int(split.attrs.axis) % len(shape(split.args[0]))
        sizes = [int(part.shape[axis]) for part in split.ty.fields]
        first = sum(sizes[: expr.index])
        last = first + sizes[expr.index]
        return relax.op.strided_slice(self.visit_expr(split.args[0]), [axis], [first], [last], [1])
