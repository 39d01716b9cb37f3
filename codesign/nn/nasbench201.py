"""NAS-Bench-201: 15 625 cells in a fixed macro network (Dong and Yang, ICLR 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from codesign.errors import ModelError
from codesign.nn.blocks import classifier
from codesign.nn.graph import GraphBuilder, Tensor
from codesign.nn.space import Decision, Genotype, NetworkSpace

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2))
"""(node, source) of the six edges, in the order of the cell string."""
_DECISIONS = tuple(Decision(f"edge {source}->{node}", OPERATIONS) for node, source in EDGES)
_CELLS_PER_STAGE = 5
_WIDTHS = (16, 32, 64)


@dataclass(frozen=True)
class NasBench201(NetworkSpace):
    """The operation of each edge of the cell; the text is the benchmark's.

    Stem of 3x3 convolution (16 channels), three stages of five cells with 16, 32 and 64
    channels, a residual block with stride 2 between stages (shortcut: 2x2 average pooling and a
    1x1 convolution), batch norm, ReLU, global average pooling and a dense layer. In the graph
    the last batch norm, which follows a sum, is the 1x1 convolution with a diagonal weight that
    it equals, so that it runs on the accelerator.
    """

    dataset: str = "cifar100"

    @property
    def name(self) -> str:
        return "nasbench201"

    @property
    def decisions(self) -> tuple[Decision, ...]:
        return _DECISIONS

    def to_json(self, genotype: Genotype) -> str:
        self.check(genotype)
        nodes = ["|", "|", "|"]
        for (node, source), operation in zip(EDGES, genotype.choices, strict=True):
            nodes[node - 1] += f"{operation}~{source}|"
        return "+".join(nodes)

    def from_json(self, text: str) -> Genotype:
        parts = [part for node in text.strip().split("+") for part in node.strip("|").split("|")]
        names = [part.rpartition("~")[0] for part in parts]
        if len(names) == len(EDGES) and all(name in OPERATIONS for name in names):
            genotype = Genotype(tuple(names))
            if self.to_json(genotype) == text.strip():
                return genotype
        raise ModelError(
            f"malformed nasbench201 genotype {text!r}; the form is "
            f"|op~0|+|op~0|op~1|+|op~0|op~1|op~2| with op out of {', '.join(OPERATIONS)}"
        )

    def network(self, builder: GraphBuilder, x: int, choices: tuple[Any, ...]) -> Tensor:
        """Dead and zero edges are left out."""
        y = builder.conv(x, _WIDTHS[0], "stem", kernel=3)
        for stage, width in enumerate(_WIDTHS):
            if stage:
                y = _reduction(builder, y, width, f"reduce{stage}")
            for cell in range(_CELLS_PER_STAGE):
                y = _cell(builder, y, choices, width, f"stage{stage}_cell{cell}")
        return classifier(builder, builder.relu(builder.norm(y, "last_norm")), self.num_classes)


def _cell(
    builder: GraphBuilder, x: Tensor, choices: tuple[str, ...], width: int, name: str
) -> Tensor:
    nodes: list[Tensor] = [x]
    for node in (1, 2, 3):
        terms: list[Tensor] = []
        for (target, source), operation in zip(EDGES, choices, strict=True):
            if target == node:
                label = f"{name}_node{node}_from{source}"
                terms.append(_edge(builder, nodes[source], operation, width, label))
        nodes.append(builder.add(terms))
    return nodes[-1]


def _edge(builder: GraphBuilder, x: Tensor, operation: str, width: int, name: str) -> Tensor:
    if operation == "none":
        return None
    if operation == "skip_connect":
        return x
    if operation == "avg_pool_3x3":
        return builder.avg_pool(x, kernel=3, stride=1, padding=1)
    kernel = 3 if operation == "nor_conv_3x3" else 1
    return builder.conv(builder.relu(x), width, name, kernel=kernel)


def _reduction(builder: GraphBuilder, x: Tensor, width: int, name: str) -> Tensor:
    y = builder.conv(builder.relu(x), width, f"{name}_a", kernel=3, stride=2)
    y = builder.conv(builder.relu(y), width, f"{name}_b", kernel=3)
    shortcut = builder.avg_pool(x, kernel=2, stride=2, padding=0)
    return builder.add([builder.conv(shortcut, width, f"{name}_shortcut"), y])
