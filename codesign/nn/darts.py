"""The DARTS space as in NAS-Bench-301: a normal and a reduction cell (Liu et al., 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

from codesign.errors import ModelError
from codesign.nn.graph import GraphBuilder, Tensor
from codesign.nn.space import Decision, NetworkSpace

OPERATIONS = (
    "avg_pool_3x3",
    "dil_conv_3x3",
    "dil_conv_5x5",
    "max_pool_3x3",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "skip_connect",
)

_NODES = 4
_STEM_MULTIPLIER = 3


def _node_decisions(cell: str, node: int) -> tuple[Decision, ...]:
    """Two operations; from the second node on also which two earlier nodes they read."""
    pairs = tuple(f"{a}{b}" for a, b in combinations(range(node + 2), 2))
    inputs = (Decision(f"{cell} node {node} inputs", pairs),) if node else ()
    first, second = (Decision(f"{cell} node {node} operation {i}", OPERATIONS) for i in (0, 1))
    return (*inputs, first, second)


_CELL = {
    cell: tuple(d for node in range(_NODES) for d in _node_decisions(cell, node))
    for cell in ("normal", "reduction")
}
_DECISIONS = (*_CELL["normal"], *_CELL["reduction"])


@dataclass(frozen=True)
class Darts(NetworkSpace):
    """``cells`` cells, those after a third and two thirds are reductions; width ``channels``.

    A cell reads the two cells before it. Each of its four nodes is the sum of two operations on
    earlier nodes (0 and 1: the cell's inputs), its output their concatenation. Auxiliary heads
    and drop path, which exist in training only, are left out.
    """

    cells: int = 20
    channels: int = 36

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cells < 3 or self.channels < 2 or self.channels % 2:
            raise ModelError(
                f"darts: cells = {self.cells}, channels = {self.channels}; at least 3 cells and an "
                "even number of channels are allowed"
            )

    @property
    def name(self) -> str:
        return "darts"

    @property
    def decisions(self) -> tuple[Decision, ...]:
        return _DECISIONS

    def network(self, builder: GraphBuilder, x: int, choices: tuple[Any, ...]) -> Tensor:
        half = len(choices) // 2
        kinds = {False: choices[:half], True: choices[half:]}
        width = self.channels
        stem = builder.conv(x, _STEM_MULTIPLIER * width, "stem", kernel=3)
        assert stem is not None
        before, last, reduced = stem, stem, False
        for cell in range(self.cells):
            reduction = cell in (self.cells // 3, 2 * self.cells // 3)
            width *= 2 if reduction else 1
            inputs = (
                _halve(builder, before, width, f"cell{cell}_input0")
                if reduced
                else _project(builder, before, width, f"cell{cell}_input0"),
                _project(builder, last, width, f"cell{cell}_input1"),
            )
            y = _cell(builder, inputs, kinds[reduction], reduction, f"cell{cell}")
            before, last, reduced = last, y, reduction
        return builder.dense(builder.global_pool(last), self.num_classes, "classifier")


def _cell(
    builder: GraphBuilder,
    inputs: tuple[int, int],
    choices: tuple[str, ...],
    reduction: bool,
    name: str,
) -> int:
    states, place = list(inputs), 0
    for node in range(_NODES):
        pair = choices[place] if node else "01"
        operations = choices[place + bool(node) : place + bool(node) + 2]
        place += 2 + bool(node)
        terms: list[Tensor] = []
        for which, operation in enumerate(operations):
            source = int(pair[which])
            stride = 2 if reduction and source < 2 else 1
            label = f"{name}_node{node}_from{source}_{operation}"
            terms.append(_operation(builder, states[source], operation, stride, label))
        total = builder.add(terms)
        assert total is not None
        states.append(total)
    return builder.concat(states[2:])


def _operation(builder: GraphBuilder, x: int, operation: str, stride: int, name: str) -> Tensor:
    width = builder.shape(x)[0]
    if operation == "skip_connect":
        return x if stride == 1 else _halve(builder, x, width, name)
    if operation == "avg_pool_3x3":
        return builder.avg_pool(x, 3, stride, 1)
    if operation == "max_pool_3x3":
        return builder.max_pool(x, 3, stride, 1)
    kernel = int(operation[-1])
    if operation.startswith("dil"):
        return _separable(builder, x, width, name, kernel, stride, dilation=2)
    half = _separable(builder, x, width, f"{name}_a", kernel, stride)
    return _separable(builder, half, width, f"{name}_b", kernel)


def _separable(
    builder: GraphBuilder,
    x: Tensor,
    width: int,
    name: str,
    kernel: int,
    stride: int = 1,
    dilation: int = 1,
) -> Tensor:
    """ReLU, depthwise convolution without batch norm, pointwise convolution, batch norm."""
    y = builder.relu(x)
    label = f"{name}_depthwise"
    y = builder.conv(y, width, label, kernel, stride, groups=width, dilation=dilation)
    return builder.conv(y, width, f"{name}_pointwise")


def _project(builder: GraphBuilder, x: int, width: int, name: str) -> int:
    y = builder.conv(builder.relu(x), width, name)
    assert y is not None
    return y


def _halve(builder: GraphBuilder, x: int, width: int, name: str) -> int:
    """Factorised reduction: even pixels make one half of the channels, odd ones the other."""
    relu = builder.relu(x)
    assert relu is not None
    even = builder.conv(relu, width // 2, f"{name}_even", stride=2)
    odd = builder.conv(builder.crop(relu), width // 2, f"{name}_odd", stride=2)
    assert even is not None and odd is not None
    return builder.concat([even, odd])
