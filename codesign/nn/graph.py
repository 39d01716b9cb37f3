"""A network as a value: operations in order, built once, read by torch and by the cost model.

The graph is value-numbered: the same weightless operation on the same tensors is one node.
Tensors that are zero by construction (a ``none`` edge) are ``None`` and vanish from sums; an
operation of zero is zero. What no output needs is dropped by `live`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal, NamedTuple

from codesign.errors import ModelError
from codesign.kernels.workload import (
    ConvWorkload,
    ElementwiseWorkload,
    GatherWorkload,
    PoolWorkload,
    Workload,
)

Kind = Literal[
    "input",
    "conv",
    "pointwise",
    "norm",
    "relu",
    "relu6",
    "add",
    "concat",
    "crop",
    "avg_pool",
    "max_pool",
    "global_pool",
    "dense",
    "gate",
]
Tensor = int | None
Shape = tuple[int, int, int]
Layers = tuple[tuple[Workload, int], ...]


class Window(NamedTuple):
    """Kernel size, stride, zero padding on every side and dilation, the same in both directions."""

    kernel: int = 1
    stride: int = 1
    padding: int = 0
    dilation: int = 1

    def output(self, size: int) -> int:
        reach = (self.kernel - 1) * self.dilation + 1
        return (size + 2 * self.padding - reach) // self.stride + 1

    def live_taps(self, size: int) -> tuple[int, int]:
        """First and last tap of the kernel that some output finds in the image.

        Taps outside read padding only. What is trimmed never crops the image.
        """
        starts = range(-self.padding, self.output(size) * self.stride - self.padding, self.stride)
        taps = range(self.kernel)
        live = [t for t in taps if any(0 <= s + t * self.dilation < size for s in starts)]
        most = self.padding // self.dilation
        first, last = min(*live, most, self.kernel - 1), max(*live, self.kernel - 1 - most, 0)
        return (first, last) if first <= last else (0, self.kernel - 1)


class Node(NamedTuple):
    """One operation: ``inputs`` are node indices; the output is channels x height x width.

    ``name`` is unique for operations with weights and empty for the others. It ends in the shape
    of the weights, so that networks of one space may share weights by name.
    """

    kind: Kind
    inputs: tuple[int, ...]
    channels: int
    height: int
    width: int
    name: str = ""
    window: Window = Window()
    groups: int = 1

    @property
    def shape(self) -> Shape:
        return self.channels, self.height, self.width


@dataclass
class GraphBuilder:
    """Adds nodes and hands their tensors back; `finish` gives the frozen graph."""

    nodes: list[Node] = field(default_factory=list[Node])
    _numbers: dict[tuple[object, ...], int] = field(default_factory=dict[tuple[object, ...], int])

    def _add(self, node: Node) -> int:
        key = (node.kind, node.inputs, node.window, node.name)
        if key in self._numbers:
            return self._numbers[key]
        self._numbers[key] = len(self.nodes)
        self.nodes.append(node)
        return len(self.nodes) - 1

    def _same(self, kind: Kind, tensor: Tensor, inputs: tuple[int, ...]) -> Tensor:
        return None if tensor is None else self._add(Node(kind, inputs, *self.shape(tensor)))

    def _slide(self, kind: Kind, tensor: Tensor, window: Window) -> Tensor:
        if tensor is None:
            return None
        channels, height, width = self.shape(tensor)
        size = window.output(height), window.output(width)
        return self._add(Node(kind, (tensor,), channels, *size, "", window))

    def shape(self, tensor: int) -> Shape:
        """[C, H, W]."""
        return self.nodes[tensor].shape

    def input(self, channels: int, height: int, width: int) -> int:
        return self._add(Node("input", (), channels, height, width))

    def conv(
        self,
        tensor: Tensor,
        channels: int,
        name: str,
        kernel: int = 1,
        stride: int = 1,
        padding: int | None = None,
        groups: int = 1,
        dilation: int = 1,
    ) -> Tensor:
        """Convolution with the batch norm that follows it; ``padding`` None keeps the size."""
        if tensor is None:
            return None
        inputs, height, width = self.shape(tensor)
        if inputs % groups or channels % groups:
            raise ModelError(
                f"convolution {name!r}: groups = {groups} must divide the {inputs} input and "
                f"{channels} output channels"
            )
        same = (kernel - 1) * dilation // 2
        window = Window(kernel, stride, same if padding is None else padding, dilation)
        size = window.output(height), window.output(width)
        if min(size) < 1:
            raise ModelError(
                f"convolution {name!r}: kernel {kernel} does not fit a {height} x {width} image; "
                "give the space a larger resolution"
            )
        label = f"{name}_{channels}x{inputs // groups}x{kernel}"
        return self._add(Node("conv", (tensor,), channels, *size, label, window, groups))

    def pointwise(self, tensor: int, channels: int, name: str) -> int:
        """1x1 convolution with a bias, without batch norm."""
        inputs, height, width = self.shape(tensor)
        label = f"{name}_{channels}x{inputs}x1"
        return self._add(Node("pointwise", (tensor,), channels, height, width, label))

    def norm(self, tensor: Tensor, name: str) -> Tensor:
        """Batch norm that no convolution precedes."""
        if tensor is None:
            return None
        shape = self.shape(tensor)
        return self._add(Node("norm", (tensor,), *shape, f"{name}_{shape[0]}"))

    def relu(self, tensor: Tensor) -> Tensor:
        return self._same("relu", tensor, () if tensor is None else (tensor,))

    def relu6(self, tensor: Tensor) -> Tensor:
        return self._same("relu6", tensor, () if tensor is None else (tensor,))

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

    def concat(self, tensors: Sequence[int]) -> int:
        """Channels of tensors of one size, one after the other."""
        _, height, width = self.shape(tensors[0])
        channels = sum(self.nodes[tensor].channels for tensor in tensors)
        return self._add(Node("concat", tuple(tensors), channels, height, width))

    def crop(self, tensor: int) -> int:
        """The image without its first row and column."""
        channels, height, width = self.shape(tensor)
        return self._add(Node("crop", (tensor,), channels, height - 1, width - 1))

    def avg_pool(self, tensor: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
        """Average over the valid positions of each window (the pad is not counted)."""
        return self._slide("avg_pool", tensor, Window(kernel, stride, padding))

    def max_pool(self, tensor: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
        """Maximum over the valid positions of each window."""
        return self._slide("max_pool", tensor, Window(kernel, stride, padding))

    def global_pool(self, tensor: Tensor) -> Tensor:
        if tensor is None:
            return None
        return self._add(Node("global_pool", (tensor,), self.nodes[tensor].channels, 1, 1))

    def gate(self, tensor: int, weights: int) -> int:
        """Each channel times the sigmoid of its weight; ``weights`` is [C, 1, 1]."""
        return self._add(Node("gate", (tensor, weights), *self.shape(tensor)))

    def dense(self, tensor: Tensor, features: int, name: str) -> Tensor:
        if tensor is None:
            return None
        label = f"{name}_{features}x{self.nodes[tensor].channels}"
        return self._add(Node("dense", (tensor,), features, 1, 1, label))

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

    def layers(self, *, borders: bool = False) -> Layers:
        """Workloads of the units that a compiled graph has, with counts, in order of appearance.

        A batch norm that no convolution precedes is the 1x1 convolution that it equals. A ReLU
        that is the only consumer of a convolution, sum or average pooling is part of that unit;
        any other ReLU is a unit of its own. A gate is no unit: products of two activations are
        the host's. With ``borders``, tensors that a convolution pads are marked as
        `codesign.costmodel.units` has it.
        """
        live = self.live()
        consumers = Counter(source for index in live for source in self.nodes[index].inputs)
        units: dict[int, Workload] = {}
        written: dict[int, int] = {}
        for index in live:
            node = self.nodes[index]
            if self._is_fused(node, consumers):
                written[node.inputs[0]] = index
            elif node.kind not in ("input", "gate"):
                shapes = tuple(self.nodes[source].shape for source in node.inputs)
                units[index] = _workload(node.kind, shapes, node.shape, node.window, node.groups)
        if borders:
            units = self._marked(units, written, self._regions(live))
        return tuple(Counter(units.values()).items())

    def _regions(self, live: tuple[int, ...]) -> dict[int, int]:
        """By node, the most gates on a way to it: the host between two regions of units."""
        found: dict[int, int] = {}
        for index in live:
            node = self.nodes[index]
            before = max((found[source] for source in node.inputs), default=0)
            found[index] = before + (node.kind == "gate")
        return found

    def _marked(
        self,
        units: Mapping[int, Workload],
        written: Mapping[int, int],
        regions: Mapping[int, int],
    ) -> dict[int, Workload]:
        """Units by node with the borders that convolutions ask of tensors; every region has its
        own copy of a tensor. ``written`` is the fused node whose tensor a unit writes."""
        most: Counter[tuple[int, int]] = Counter()
        for index, unit in units.items():
            if isinstance(unit, ConvWorkload):
                tensor = self.nodes[index].inputs[0], regions[index]
                most[tensor] = max(most[tensor], *unit.padding)
        found: dict[int, Workload] = {}
        for index, unit in units.items():
            region = regions[index]
            read = tuple(-most[source, region] for source in self.nodes[index].inputs)
            found[index] = with_borders(unit, read, -most[written.get(index, index), region])
        return found

    def _is_fused(self, node: Node, consumers: Counter[int]) -> bool:
        if node.kind not in ("relu", "relu6") or consumers[node.inputs[0]] > 1:
            return False
        return self.nodes[node.inputs[0]].kind not in ("input", "relu", "relu6", "gate")


@lru_cache(maxsize=4096)
def with_borders(unit: Workload, read: tuple[int, ...], written: int) -> Workload:
    """The unit whose tensors, read and written, have these borders in DRAM."""
    if isinstance(unit, ElementwiseWorkload | GatherWorkload):
        rest = unit.in_borders[len(read) :]
        return replace(unit, in_borders=(*read, *rest), out_border=written)
    return replace(unit, in_border=read[0], out_border=written)


@lru_cache(maxsize=4096)
def _workload(
    kind: Kind, shapes: tuple[Shape, ...], output: Shape, window: Window, groups: int
) -> Workload:
    """``shapes`` are the operands' [C, H, W]."""
    (channels, height, width), kernel = shapes[0], (window.kernel, window.kernel)
    stride, padding = (window.stride, window.stride), (window.padding,) * 4
    assert len(padding) == 4
    if kind in ("conv", "pointwise", "norm"):
        return _convolution(shapes[0], output[0], window, groups)
    if kind == "dense":
        return ConvWorkload(channels, output[0], 1, 1)
    if kind == "avg_pool":
        return PoolWorkload("avg", channels, height, width, kernel, stride, padding)
    if kind == "max_pool":
        return PoolWorkload("max", channels, height, width, kernel, stride, padding)
    if kind == "global_pool":
        return PoolWorkload("avg", channels, height, width, (height, width))
    if kind == "concat":
        sizes = tuple(shape[0] for shape in shapes)
        picks = tuple((i, c) for i, size in enumerate(sizes) for c in range(size))
        return GatherWorkload(sizes, picks, height, width, in_borders=(0,) * len(sizes))
    if kind == "crop":
        picks = tuple((0, c) for c in range(channels))
        return GatherWorkload(
            (channels,), picks, height, width, padding=(-1, -1, 0, 0), in_borders=(0,)
        )
    return ElementwiseWorkload(len(shapes), channels, height, width)


def _convolution(shape: Shape, channels: int, window: Window, groups: int) -> ConvWorkload:
    """The convolution without the taps that read padding only, as the compiler has it."""
    (top, bottom), (left, right) = (window.live_taps(size) for size in shape[1:])
    step, behind = window.dilation, window.kernel - 1
    return ConvWorkload(
        shape[0],
        channels,
        shape[1],
        shape[2],
        (bottom - top + 1, right - left + 1),
        (window.stride, window.stride),
        (
            window.padding - top * step,
            window.padding - left * step,
            window.padding - (behind - bottom) * step,
            window.padding - (behind - right) * step,
        ),
        groups=groups,
        dilation=(step, step),
    )
