"""A network as a value: operations in order, built once, read by torch and by the cost model.

The graph is value-numbered: the same weightless operation on the same tensor is one node.
Tensors that are zero by construction (a ``none`` edge) are ``None`` and vanish from sums; an
operation of zero is zero. What no output needs is dropped by `live`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, NamedTuple

from codesign.kernels.workload import ConvWorkload, ElementwiseWorkload, PoolWorkload, Workload

Kind = Literal["input", "conv", "norm", "relu", "add", "avg_pool", "global_pool", "dense"]
Tensor = int | None
Layers = tuple[tuple[Workload, int], ...]


class Node(NamedTuple):
    """One operation: ``inputs`` are node indices; the output is channels x height x width.

    ``name`` is unique for operations with weights and empty for the others.
    """

    kind: Kind
    inputs: tuple[int, ...]
    channels: int
    height: int
    width: int
    name: str = ""
    kernel: int = 1
    stride: int = 1
    padding: int = 0


@dataclass
class GraphBuilder:
    """Adds nodes and hands their tensors back; `finish` gives the frozen graph."""

    nodes: list[Node] = field(default_factory=list[Node])
    _numbers: dict[tuple[object, ...], int] = field(default_factory=dict[tuple[object, ...], int])

    def _add(self, node: Node) -> int:
        key = (node.kind, node.inputs, node.kernel, node.stride, node.padding)
        if not node.name and key in self._numbers:
            return self._numbers[key]
        self._numbers[key] = len(self.nodes)
        self.nodes.append(node)
        return len(self.nodes) - 1

    def _same(self, kind: Kind, tensor: Tensor, inputs: tuple[int, ...]) -> Tensor:
        if tensor is None:
            return None
        source = self.nodes[tensor]
        return self._add(Node(kind, inputs, source.channels, source.height, source.width))

    def input(self, channels: int, height: int, width: int) -> int:
        return self._add(Node("input", (), channels, height, width))

    def conv(
        self,
        tensor: Tensor,
        channels: int,
        name: str,
        kernel: int = 1,
        stride: int = 1,
        padding: int = 0,
    ) -> Tensor:
        """Convolution with the batch norm that follows it."""
        if tensor is None:
            return None
        source = self.nodes[tensor]
        height = (source.height + 2 * padding - kernel) // stride + 1
        width = (source.width + 2 * padding - kernel) // stride + 1
        return self._add(
            Node("conv", (tensor,), channels, height, width, name, kernel, stride, padding)
        )

    def norm(self, tensor: Tensor, name: str) -> Tensor:
        """Batch norm that no convolution precedes."""
        if tensor is None:
            return None
        source = self.nodes[tensor]
        return self._add(
            Node("norm", (tensor,), source.channels, source.height, source.width, name)
        )

    def relu(self, tensor: Tensor) -> Tensor:
        return self._same("relu", tensor, () if tensor is None else (tensor,))

    def add(self, tensors: Sequence[Tensor]) -> Tensor:
        """Sum from the left; zero tensors take no part."""
        present = [tensor for tensor in tensors if tensor is not None]
        if not present:
            return None
        total: Tensor = present[0]
        for tensor in present[1:]:
            assert total is not None
            total = self._same("add", total, (total, tensor))
        return total

    def avg_pool(self, tensor: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
        """Average over the valid positions of each window (the pad is not counted)."""
        if tensor is None:
            return None
        source = self.nodes[tensor]
        height = (source.height + 2 * padding - kernel) // stride + 1
        width = (source.width + 2 * padding - kernel) // stride + 1
        return self._add(
            Node("avg_pool", (tensor,), source.channels, height, width, "", kernel, stride, padding)
        )

    def global_pool(self, tensor: Tensor) -> Tensor:
        if tensor is None:
            return None
        return self._add(Node("global_pool", (tensor,), self.nodes[tensor].channels, 1, 1))

    def dense(self, tensor: Tensor, features: int, name: str) -> Tensor:
        if tensor is None:
            return None
        return self._add(Node("dense", (tensor,), features, 1, 1, name))

    def finish(self, output: Tensor) -> Graph:
        return Graph(tuple(self.nodes), output)


@dataclass(frozen=True)
class Graph:
    """Nodes in execution order and the output's index (None: the output is constant)."""

    nodes: tuple[Node, ...]
    output: Tensor

    def live(self) -> tuple[int, ...]:
        """Indices of the nodes that the output needs, in execution order."""
        if self.output is None:
            return ()
        needed = {self.output}
        for index in range(self.output, -1, -1):
            if index in needed:
                needed.update(self.nodes[index].inputs)
        return tuple(sorted(needed))

    def layers(self) -> Layers:
        """Workloads of the units that a compiled graph has, with counts, in order of appearance.

        A batch norm that no convolution precedes is the 1x1 convolution that it equals. A ReLU
        that is the only consumer of a convolution, sum or average pooling is part of that unit;
        any other ReLU is a unit of its own.
        """
        live = self.live()
        consumers = Counter(source for index in live for source in self.nodes[index].inputs)
        fused = {
            index
            for index in live
            if self.nodes[index].kind == "relu"
            and consumers[self.nodes[index].inputs[0]] == 1
            and self.nodes[self.nodes[index].inputs[0]].kind not in ("input", "relu")
        }
        counts: Counter[Workload] = Counter()
        for index in live:
            node = self.nodes[index]
            if node.kind != "input" and index not in fused:
                source = self.nodes[node.inputs[0]]
                shape = (source.channels, source.height, source.width)
                window = (node.kernel, node.stride, node.padding)
                counts[_workload(node.kind, len(node.inputs), shape, node.channels, window)] += 1
        return tuple(counts.items())


@lru_cache(maxsize=4096)
def _workload(
    kind: Kind,
    operands: int,
    shape: tuple[int, int, int],
    channels: int,
    window: tuple[int, int, int],
) -> Workload:
    """``shape`` is the first operand's [C, H, W]; ``window`` is kernel, stride, padding."""
    kernel, stride = (window[0], window[0]), (window[1], window[1])
    padding = (window[2], window[2], window[2], window[2])
    if kind in ("conv", "norm"):
        return ConvWorkload(shape[0], channels, shape[1], shape[2], kernel, stride, padding)
    if kind == "dense":
        return ConvWorkload(shape[0], channels, 1, 1)
    if kind == "avg_pool":
        return PoolWorkload("avg", *shape, kernel, stride, padding)
    if kind == "global_pool":
        return PoolWorkload("avg", *shape, shape[1:])
    return ElementwiseWorkload(operands, *shape)
