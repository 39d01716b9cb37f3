# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUntypedBaseClass=false, reportUntypedClassDecorator=false, reportUntypedFunctionDecorator=false
# pyright: reportIncompatibleMethodOverride=false, reportOptionalMemberAccess=false
# tvm's annotations are partial and partly wrong.
"""Chains of operators that only move elements, freed of the quantisation between them."""

from __future__ import annotations

from typing import Any

from tvm import relax

from relay_passes.ir import definitions, each_function, op_name, same_constant, users
from relay_passes.read_moves import LONGEST, MOVES


def JoinMoves() -> Any:
    """``move(dequantize(quantize(move(dequantize(x)))))`` of one scale loses the pair in between.

    Where nothing else reads the pair, and up to the longest chain that becomes one unit. Values
    that move stay multiples of their scale, so nothing changes.
    """
    return each_function("JoinMoves", _join)


def _join(function: Any) -> Any:
    return _Joiner(definitions(function), users(function)).visit_expr(function)


@relax.expr_functor.mutator
class _Joiner(relax.PyExprMutator):
    def __init__(self, defined: dict[Any, Any], used: dict[Any, list[Any]]) -> None:
        super().__init__()
        self._defined, self._used = defined, used
        self._length: dict[Any, int] = {}

    def visit_call_(self, call: Any) -> Any:
        if op_name(call) not in MOVES:
            return super().visit_call_(call)
        before = self._under_pair(call.args[0])
        length = self._length.get(self._defined.get(before), 0) + 1
        if before is None or length > LONGEST:
            self._length[call] = 1
            return super().visit_call_(call)
        self._length[call] = length
        args = [self.visit_expr(before), *call.args[1:]]
        return relax.Call(call.op, args, call.attrs, call.ty_args)

    def _under_pair(self, var: Any) -> Any:
        """The variable of the move whose quantised result alone is ``var``, or None."""
        pair = self._defined.get(var)
        kept = self._defined.get(pair.args[0]) if op_name(pair) == "dequantize" else None
        if op_name(kept) != "quantize":
            return None
        alone = all(len(self._used[v]) == 1 for v in (var, pair.args[0], kept.args[0]))
        move = self._defined.get(kept.args[0])
        if not alone or op_name(move) not in MOVES:
            return None
        source = self._defined.get(move.args[0])
        while op_name(source) in MOVES:
            source = self._defined.get(source.args[0])
        if op_name(source) != "dequantize":
            return None
        same = all(
            same_constant(one, other)
            for pair_args in (pair.args, source.args)
            for one, other in zip(kept.args[1:], pair_args[1:], strict=True)
        )
        return kept.args[0] if same else None
