# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUntypedBaseClass=false, reportUntypedClassDecorator=false, reportUntypedFunctionDecorator=false
# pyright: reportIncompatibleMethodOverride=false, reportOptionalMemberAccess=false
# tvm's annotations are partial and partly wrong.
"""Chains of operators that only move elements, freed of the quantisation between them."""

from __future__ import annotations

from typing import Any

from tvm import relax

from relay_passes.ir import definitions, each_function, op_name, same_constant, shape, users
from relay_passes.read_moves import LONGEST, MOVES, move_of


def JoinMoves() -> Any:
    """``move(dequantize(quantize(move(dequantize(x)))))`` of one scale loses the pair in between.

    Where nothing else reads the pair, and up to the longest chain that becomes one unit. Values
    that only move stay multiples of their scale, so nothing changes; a resize that interpolates or
    a pad with another value than 0 is no such move. A concatenation of two that
    is shuffled may begin a chain: its result is quantised at the chain's end.
    """
    return each_function("JoinMoves", _join)


def _join(function: Any) -> Any:
    return _Joiner(definitions(function), users(function)).visit_expr(function)


@relax.expr_functor.mutator
class _Joiner(relax.PyExprMutator):
    def __init__(self, defined: dict[Any, Any], used: dict[Any, list[Any]]) -> None:
        super().__init__()
        self._defined, self._used = defined, used
        self._bound = {value: var for var, value in defined.items()}
        self._length: dict[Any, int] = {}

    def visit_call_(self, call: Any) -> Any:
        if not _only_moves(call):
            return super().visit_call_(call)
        before = self._under_pair(call)
        length = self._length.get(self._defined.get(before), 0) + 1
        if before is None or length > LONGEST:
            self._length[call] = 1
            return super().visit_call_(call)
        self._length[call] = length
        args = [self.visit_expr(before), *call.args[1:]]
        return relax.Call(call.op, args, call.attrs, call.ty_args)

    def _under_pair(self, call: Any) -> Any:
        """The variable of the move whose quantised result ``call`` alone reads, or None."""
        var = call.args[0]
        pair = self._defined.get(var)
        kept = self._defined.get(pair.args[0]) if op_name(pair) == "dequantize" else None
        if op_name(kept) != "quantize":
            return None
        alone = all(len(self._used[v]) == 1 for v in (var, pair.args[0], kept.args[0]))
        move = self._defined.get(kept.args[0])
        if not alone:
            return None
        if op_name(move) == "concat":
            end = self._end(call)
            fields = self._defined.get(move.args[0], move.args[0]).fields
            joined = len(fields) == 2 and _same_numbers(kept, pair, end)
            return kept.args[0] if joined else None
        if not _only_moves(move):
            return None
        source = self._defined.get(move.args[0])
        while _only_moves(source):
            source = self._defined.get(source.args[0])
        joined = op_name(source) == "dequantize" and _same_numbers(kept, pair, source)
        return kept.args[0] if joined else None

    def _end(self, call: Any) -> Any:
        """The quantize at the end of a shuffle that ``call`` begins, through pairs and moves."""
        shuffled = False
        while True:
            shuffled |= op_name(call) == "permute_dims" and len(shape(call)) > 4
            readers = self._used[self._bound[call]]
            call = self._defined.get(readers[0]) if len(readers) == 1 else None
            if op_name(call) not in ("quantize", "dequantize") and not _only_moves(call):
                return None
            if op_name(call) == "quantize" and shuffled:
                return call


def _only_moves(call: Any) -> bool:
    return op_name(call) in MOVES and move_of(call) is not None


def _same_numbers(*calls: Any) -> bool:
    """Whether quantize and dequantize calls have equal scales and zero points."""
    first, *others = calls
    return all(
        op_name(other) != ""
        and same_constant(first.args[1], other.args[1])
        and same_constant(first.args[2], other.args[2])
        for other in others
    )
