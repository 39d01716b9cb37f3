"""A MobileNet-like cell space with eight operations an edge, for 32x32 images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from codesign.nn.blocks import classifier, conv_relu, inverted_bottleneck
from codesign.nn.graph import GraphBuilder, Tensor
from codesign.nn.space import Decision, NetworkSpace

OPERATIONS = ("skip", "pool", "e1k3", "e1k5", "e3k3", "e3k5", "e6k3", "e6k5")
"""Identity, 3x3 average pooling, and inverted bottlenecks by expansion and kernel."""
EDGES = ((0, 1), (0, 2), (1, 2))
"""(source, target) node of a cell's edges; node 0 is the input, node 2 the output."""

_WIDTHS = (24, 48, 96)
_STEM = 16
_CELLS_PER_STAGE = 2
_DECISIONS = tuple(
    Decision(f"stage {stage} edge {source}->{target}", OPERATIONS)
    for stage in range(len(_WIDTHS))
    for source, target in EDGES
)


@dataclass(frozen=True)
class MobileNet8(NetworkSpace):
    """Three stages, each a depthwise separable reduction and two cells of the stage's own kind.

    A node is the sum of its edges; the operations have no shortcut of their own. Every network
    is connected.
    """

    @property
    def name(self) -> str:
        return "mobilenet8"

    @property
    def decisions(self) -> tuple[Decision, ...]:
        return _DECISIONS

    def network(self, builder: GraphBuilder, x: int, choices: tuple[Any, ...]) -> Tensor:
        x = conv_relu(builder, x, _STEM, "stem", kernel=3)
        for stage, width in enumerate(_WIDTHS):
            name = f"stage{stage}"
            x = inverted_bottleneck(builder, x, width, f"{name}_reduce", 3, 1, stride=2)
            for cell in range(_CELLS_PER_STAGE):
                operations = choices[3 * stage : 3 * stage + 3]
                x = _cell(builder, x, operations, f"{name}_cell{cell}")
        return classifier(builder, x, self.num_classes)


def _cell(builder: GraphBuilder, x: int, operations: tuple[str, ...], name: str) -> int:
    nodes: list[list[Tensor]] = [[x], [], []]
    for (source, target), operation in zip(EDGES, operations, strict=True):
        node = builder.add(nodes[source])
        assert node is not None
        label = f"{name}_edge{source}{target}_{operation}"
        nodes[target].append(_edge(builder, node, operation, label))
    y = builder.add(nodes[2])
    assert y is not None
    return y


def _edge(builder: GraphBuilder, x: int, operation: str, name: str) -> Tensor:
    if operation == "skip":
        return x
    if operation == "pool":
        return builder.avg_pool(x, kernel=3, stride=1, padding=1)
    expansion, kernel = int(operation[1]), int(operation[3])
    width = builder.shape(x)[0]
    return inverted_bottleneck(builder, x, width, name, kernel, expansion, shortcut=False)
