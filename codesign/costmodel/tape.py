# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (tvm_ffi modules are untyped)
"""Formulas written against `arrays.Arrays` as tapes: recorded once, run over columns in C++.

Recording a formula gives each operation a node; equal nodes are one, and what is known is computed
at once. A tape is the list of nodes that its outputs need, with registers (csrc/tape.h). It gives
the numbers that numpy gives, without an array for each operation.
"""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from codesign.isa.native import library

OPERATIONS = (
    *("add", "subtract", "multiply", "divide", "maximum", "minimum", "ceil", "floor"),
    *("sqrt", "log2", "less", "less_equal", "equal", "where"),
)
"""As `Operation` of csrc/tape.h numbers them."""
BEFORE = -1
"""In place of a register: the result of the step before, or, for a result, none (csrc/tape.h)."""
TABLES = ("workloads", "configs", "third")

_Key: TypeAlias = tuple[Any, ...]
_FOLD: dict[str, Callable[..., float]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "maximum": max,
    "minimum": min,
    "ceil": math.ceil,
    "floor": math.floor,
    "sqrt": math.sqrt,
    "log2": math.log2,
    "less": operator.lt,
    "less_equal": operator.le,
    "equal": operator.eq,
}


class Node:
    """A number that each row has: operators record further ones. Conditions are 1 or 0."""

    __slots__ = ("number", "recorder", "value")

    def __init__(self, recorder: Recorder, number: int, value: float | None) -> None:
        self.recorder, self.number, self.value = recorder, number, value

    def _with(self, operation: str, other: Any, *, swapped: bool = False) -> Node:
        pair = (other, self) if swapped else (self, other)
        return self.recorder.record(operation, *pair)

    def __add__(self, other: Any) -> Node:
        return self._with("add", other)

    def __radd__(self, other: Any) -> Node:
        return self._with("add", other, swapped=True)

    def __sub__(self, other: Any) -> Node:
        return self._with("subtract", other)

    def __rsub__(self, other: Any) -> Node:
        return self._with("subtract", other, swapped=True)

    def __mul__(self, other: Any) -> Node:
        return self._with("multiply", other)

    def __rmul__(self, other: Any) -> Node:
        return self._with("multiply", other, swapped=True)

    def __truediv__(self, other: Any) -> Node:
        return self._with("divide", other)

    def __rtruediv__(self, other: Any) -> Node:
        return self._with("divide", other, swapped=True)

    def __abs__(self) -> Node:
        return self.recorder.maximum(self, 0.0 - self)

    def __lt__(self, other: Any) -> Node:
        return self._with("less", other)

    def __gt__(self, other: Any) -> Node:
        return self._with("less", other, swapped=True)

    def __le__(self, other: Any) -> Node:
        return self._with("less_equal", other)

    def __ge__(self, other: Any) -> Node:
        return self._with("less_equal", other, swapped=True)

    def __eq__(self, other: Any) -> Any:
        return self._with("equal", other)

    __hash__ = object.__hash__

    def __and__(self, other: Any) -> Node:
        return self._with("multiply", other)

    __rand__ = __and__

    def __or__(self, other: Any) -> Node:
        return self._with("maximum", other)

    __ror__ = __or__

    def __invert__(self) -> Node:
        return 1.0 - self


class Recorder:
    """The `arrays.Arrays` of nodes."""

    def __init__(self) -> None:
        self._nodes: list[tuple[str, _Key]] = []
        self._known: dict[_Key, Node] = {}

    def column(self, table: str, column: int) -> Node:
        return self._node("column", (TABLES.index(table), column))

    def constant(self, value: float) -> Node:
        return self._node("constant", (float(value),), float(value))

    def record(self, operation: str, *arguments: Any) -> Node:
        nodes = [x if isinstance(x, Node) else self.constant(x) for x in arguments]
        values = [x.value for x in nodes]
        if None not in values:
            return self.constant(_FOLD[operation](*values))
        if len(nodes) == 2:
            simple = _simplified(operation, *nodes)
            if simple is not None:
                return simple
        return self._node(operation, tuple([x.number for x in nodes]))

    def _node(self, operation: str, arguments: _Key, value: float | None = None) -> Node:
        key = (operation, arguments)
        found = self._known.get(key)
        if found is None:
            found = Node(self, len(self._nodes), value)
            self._nodes.append((operation, arguments))
            self._known[key] = found
        return found

    def maximum(self, x: Any, y: Any) -> Node:
        return self.record("maximum", x, y)

    def minimum(self, x: Any, y: Any) -> Node:
        return self.record("minimum", x, y)

    def ceil(self, x: Any) -> Node:
        return self.record("ceil", x)

    def sqrt(self, x: Any) -> Node:
        return self.record("sqrt", x)

    def log2(self, x: Any) -> Node:
        return self.record("log2", x)

    def whole(self, x: Any) -> Node:
        return self.record("ceil", x)

    def room(self, x: Any) -> Node:
        return self.record("floor", x)

    def any(self, x: Any) -> bool:
        return not isinstance(x, Node) or x.value != 0.0

    def where(self, condition: Any, x: Any, y: Any) -> Any:
        if x is y:
            return x
        if isinstance(condition, Node) and condition.value is None:
            return self.record("where", condition, x, y)
        chosen = condition.value if isinstance(condition, Node) else condition
        return x if chosen else y

    def fits(self, cycles: Any, rooms: Any) -> Any:
        return self.where(rooms >= 1.0, cycles, math.inf)

    def tape(self, outputs: Sequence[Any]) -> Tape:
        """The tape of ``outputs``, nodes or numbers."""
        wanted = [x.number if isinstance(x, Node) else self.constant(x).number for x in outputs]
        return _tape(self._nodes, wanted)


def _simplified(operation: str, a: Node, b: Node) -> Node | None:
    """What an operation with a number that changes nothing gives, or None."""
    x, y = a.value, b.value
    if a is b and operation in ("maximum", "minimum"):
        return a
    if x is None and y is None:
        return None
    if operation == "add" and (x == 0.0 or y == 0.0):
        return b if x == 0.0 else a
    if operation == "multiply" and (x in (0.0, 1.0) or y in (0.0, 1.0)):
        return a if x == 0.0 or y == 1.0 else b
    if operation == "divide" and y == math.inf:
        return a.recorder.constant(0.0)
    if (operation, y) in (("subtract", 0.0), ("divide", 1.0)):
        return a
    return None


@dataclass(frozen=True, eq=False)
class Tape:
    """Arguments of the C++ ``run_tape``."""

    steps: NDArray[np.int32]
    inputs: NDArray[np.int32]
    constants: NDArray[np.float64]
    outputs: NDArray[np.int32]
    registers: int

    def run(
        self,
        tables: Sequence[NDArray[np.float64]],
        rows: Sequence[NDArray[np.int64]],
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """[outputs, n] from float64[columns, any] of each table and its n row numbers; float64, or
        ``out`` of float64 or float32."""
        if out is None:
            out = np.empty((len(self.outputs), len(rows[0])))
        if out.size:
            pairs = [x for pair in zip(tables, rows, strict=True) for x in pair]
            fixed = (self.steps, self.inputs, self.constants, self.outputs, self.registers)
            library().run_tape(*fixed, *pairs, out)
        return out


def _tape(nodes: list[tuple[str, _Key]], wanted: list[int]) -> Tape:
    live = [False] * len(nodes)
    for number in wanted:
        live[number] = True
    # Uses of a node, and the last.
    uses = Counter(wanted)
    last: dict[int, int] = dict.fromkeys(wanted, len(nodes))
    for number in range(len(nodes) - 1, -1, -1):
        operation, arguments = nodes[number]
        if live[number] and operation not in ("column", "constant"):
            for argument in arguments:
                live[argument] = True
                uses[argument] += 1
                last.setdefault(argument, number)
    place: dict[int, int] = {}
    constants: list[float] = []
    for number, (operation, arguments) in enumerate(nodes):
        if live[number] and operation == "constant":
            place[number] = len(constants)
            constants.append(arguments[0])
    registers = len(constants)
    inputs: list[tuple[int, ...]] = []
    for number, (operation, arguments) in enumerate(nodes):
        if live[number] and operation == "column":
            place[number] = registers
            inputs.append((registers, *arguments))
            registers += 1
    free: list[int] = []
    steps: list[tuple[int, ...]] = []
    order = [n for n, (operation, _) in enumerate(nodes) if live[n] and operation in OPERATIONS]
    for before, number, after in zip([-1, *order], order, [*order[1:], -1], strict=False):
        operation, arguments = nodes[number]
        sources = [
            BEFORE if argument == before and k < 2 else place[argument]
            for k, argument in enumerate(arguments)
        ]
        # A source that is read for the last time may give its register away.
        for argument in set(arguments):
            kind = nodes[argument][0]
            if last[argument] == number and kind in OPERATIONS and argument in place:
                free.append(place[argument])
        if uses[number] == 1 and after >= 0 and number in nodes[after][1][:2]:
            to = BEFORE
        else:
            if not free:
                free.append(registers)
                registers += 1
            to = place[number] = free.pop()
        # Sources that an operation lacks are not read.
        sources += [0] * (3 - len(sources))
        steps.append((OPERATIONS.index(operation), to, *sources))
    return Tape(
        np.array(steps, np.int32).reshape(-1, 5),
        np.array(inputs, np.int32).reshape(-1, 3),
        np.array(constants, np.float64),
        np.array([place[number] for number in wanted], np.int32),
        registers,
    )


class RecordedColumns(Mapping[str, Any]):
    """The columns of a table as nodes; some of them as numbers that hold for every row."""

    def __init__(
        self, recorder: Recorder, table: str, names: Sequence[str], fixed: Mapping[str, float]
    ) -> None:
        self._recorder, self._table, self._fixed = recorder, table, fixed
        self._names = {name: index for index, name in enumerate(names)}

    def __getitem__(self, name: str) -> Node:
        if name in self._fixed:
            return self._recorder.constant(self._fixed[name])
        return self._recorder.column(self._table, self._names[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
