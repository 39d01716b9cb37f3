"""NAS-Bench-201: 15 625 cells in a fixed macro network (Dong and Yang, ICLR 2020)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from codesign.errors import ModelError
from codesign.nn.graph import Graph, GraphBuilder, Layers, Tensor
from codesign.nn.space import dataset_shape

if TYPE_CHECKING:
    from codesign.nn.graph_module import GraphModule

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2))
"""(node, source) of the six edges, in the order of the cell string."""

_CELLS_PER_STAGE = 5
_WIDTHS = (16, 32, 64)


@dataclass(frozen=True)
class Cell:
    """The operation of each edge, in the order of `EDGES`; ``str`` gives the benchmark's text."""

    operations: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.operations) != len(EDGES) or any(
            op not in OPERATIONS for op in self.operations
        ):
            raise ModelError(
                f"nasbench201 genotype {self.operations!r}: {len(EDGES)} operations out of "
                f"{', '.join(OPERATIONS)} are allowed"
            )

    def __str__(self) -> str:
        nodes = ["|", "|", "|"]
        for (node, source), operation in zip(EDGES, self.operations, strict=True):
            nodes[node - 1] += f"{operation}~{source}|"
        return "+".join(nodes)


@dataclass(frozen=True)
class NasBench201:
    """The space for one data set, which sets the classes and the image size.

    Stem of 3x3 convolution (16 channels), three stages of five cells with 16, 32 and 64
    channels, a residual block with stride 2 between stages (shortcut: 2x2 average pooling and a
    1x1 convolution), batch norm, ReLU, global average pooling and a dense layer. In the graph
    the last batch norm, which follows a sum, is the 1x1 convolution with a diagonal weight that
    it equals, so that it runs on the accelerator.
    """

    dataset: str = "cifar100"

    def __post_init__(self) -> None:
        dataset_shape(self.dataset)

    @property
    def name(self) -> str:
        return "nasbench201"

    @property
    def input_shape(self) -> tuple[int, int, int]:
        return dataset_shape(self.dataset)[1]

    @property
    def num_classes(self) -> int:
        return dataset_shape(self.dataset)[0]

    def count(self) -> int:
        return len(OPERATIONS) ** len(EDGES)

    def all(self) -> Iterator[Cell]:
        for operations in product(OPERATIONS, repeat=len(EDGES)):
            yield Cell(operations)

    def sample(self, rng: np.random.Generator) -> Cell:
        picks = rng.integers(len(OPERATIONS), size=len(EDGES))
        return Cell(tuple(OPERATIONS[int(pick)] for pick in picks))

    def to_json(self, genotype: Cell) -> str:
        return str(genotype)

    def from_json(self, text: str) -> Cell:
        parts = [part for node in text.strip().split("+") for part in node.strip("|").split("|")]
        names = [part.rpartition("~")[0] for part in parts]
        if len(names) == len(EDGES) and all(name in OPERATIONS for name in names):
            cell = Cell(tuple(names))
            if str(cell) == text.strip():
                return cell
        raise ModelError(
            f"malformed nasbench201 genotype {text!r}; the form is "
            f"|op~0|+|op~0|op~1|+|op~0|op~1|op~2| with op out of {', '.join(OPERATIONS)}"
        )

    def graph(self, genotype: Cell) -> Graph:
        """The network's operations; dead and zero edges are left out."""
        builder = GraphBuilder()
        x: Tensor = builder.input(*self.input_shape)
        x = builder.conv(x, _WIDTHS[0], "stem", kernel=3, padding=1)
        for stage, width in enumerate(_WIDTHS):
            if stage:
                x = _reduction(builder, x, width, f"reduce{stage}")
            for cell in range(_CELLS_PER_STAGE):
                x = _cell(builder, x, genotype, width, f"stage{stage}_cell{cell}")
        x = builder.relu(builder.norm(x, "last_norm"))
        x = builder.dense(builder.global_pool(x), self.num_classes, "classifier")
        return builder.finish(x)

    def layers(self, genotype: Cell) -> Layers:
        return self.graph(genotype).layers()

    def build(self, genotype: Cell) -> GraphModule:
        from codesign.nn.graph_module import GraphModule

        return GraphModule(self.graph(genotype), self.num_classes)

    def to_onnx(self, genotype: Cell, path: str | Path, seed: int = 0) -> Path:
        from codesign.nn.export import export_onnx
        from codesign.nn.graph_module import fused, initialise

        module = fused(initialise(self.build(genotype), seed))
        return export_onnx(module, (1, *self.input_shape), path)


def _cell(builder: GraphBuilder, x: Tensor, genotype: Cell, width: int, name: str) -> Tensor:
    nodes: list[Tensor] = [x]
    for node in (1, 2, 3):
        terms: list[Tensor] = []
        for (target, source), operation in zip(EDGES, genotype.operations, strict=True):
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
    return builder.conv(builder.relu(x), width, name, kernel=kernel, padding=kernel // 2)


def _reduction(builder: GraphBuilder, x: Tensor, width: int, name: str) -> Tensor:
    y = builder.conv(builder.relu(x), width, f"{name}_a", kernel=3, stride=2, padding=1)
    y = builder.conv(builder.relu(y), width, f"{name}_b", kernel=3, padding=1)
    shortcut = builder.avg_pool(x, kernel=2, stride=2, padding=0)
    return builder.add([builder.conv(shortcut, width, f"{name}_shortcut"), y])
