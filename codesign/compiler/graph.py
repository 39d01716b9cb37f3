# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# numpy leaves the type of reshaped and viewed arrays partly unknown.
"""`UnitGraph`: the integer program of one region, and its execution in numpy.

Activations are int8 throughout: an unsigned tensor is shifted by 128, value and zero point alike
(DESIGN 5). The graph needs neither TVM nor ONNX, is stored as JSON and arrays, and is the integer
reference that every run is compared with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.kernels import Params, PatchFold, Workload, fold_input, reference


@dataclass(frozen=True)
class TensorSpec:
    """An activation tensor: real value = scale * (q - zero_point), q int8.

    ``shape`` is (C, H, W) of one image as units see it. ``border`` rows and columns on every side
    hold the zero point in DRAM.

    ``view_of`` names the tensor whose memory this one is or shares: a reshape of it, or, where the
    channel counts differ, its channels from ``first_channel`` on (a multiple of the channel group,
    so that parts are written and read where they lie: concat and split without copies).

    Outside the region the tensor is uint8 = q + 128 if ``unsigned``, else int8, of rank ``rank``:
    [N, C], [N, C, L] or [N, C, H, W]; with ``channel_last`` [N, T, C] (T = H * W) or [N, H, W, C].
    An input with ``fold`` is [N, *image] outside and ``shape`` counts patches as channels.
    """

    name: str
    shape: tuple[int, int, int]
    scale: float
    zero_point: int
    unsigned: bool = False
    rank: int = 4
    border: int = 0
    view_of: str = ""
    first_channel: int = 0
    channel_last: bool = False
    fold: PatchFold | None = None
    image: tuple[int, int, int] | None = None

    @property
    def elements(self) -> int:
        return int(np.prod(self.shape))

    @property
    def outside_shape(self) -> tuple[int, ...]:
        """Shape outside the region, without the batch."""
        channels, height, width = self.image or self.shape
        if self.channel_last:
            rows = (height * width,) if self.rank == 3 else (height, width)
            return (*rows, channels)
        space = (height * width,) if self.rank == 3 else (height, width)
        return (channels, *space)[: self.rank - 1]

    @property
    def outside_steps(self) -> tuple[int, int, int]:
        """Elements from one channel, row and column to the next, outside the region."""
        channels, height, width = self.image or self.shape
        if self.channel_last:
            return 1, width * channels, channels
        return height * width, width, 1


@dataclass(frozen=True, eq=False)
class Unit:
    """One unit: a workload with its numbers, and the tensors that it reads and writes."""

    name: str
    workload: Workload
    params: Params
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, eq=False)
class UnitGraph:
    """Units of one region in execution order; ``batch`` images enter a call together."""

    name: str
    batch: int
    tensors: Mapping[str, TensorSpec]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    units: tuple[Unit, ...]


def evaluate(graph: UnitGraph, inputs: tuple[NDArray[Any], ...]) -> tuple[NDArray[Any], ...]:
    """Outputs of a region by the integer reference.

    Parameters
    ----------
    inputs : int8 or uint8 arrays as they are outside, in the order of ``graph.inputs``

    Returns
    -------
    arrays of the types and ranks that the region's outputs have outside.
    """
    values = evaluate_tensors(graph, inputs)
    return tuple(from_int8(values[name], graph.tensors[name]) for name in graph.outputs)


def evaluate_tensors(
    graph: UnitGraph, inputs: tuple[NDArray[Any], ...]
) -> dict[str, NDArray[np.int8]]:
    """Every tensor of the region, int8 [N, *shape], by the integer reference."""
    values = {
        name: np.zeros((len(inputs[0]), *spec.shape), np.int8)
        for name, spec in graph.tensors.items()
        if not spec.view_of
    }
    for name, array in zip(graph.inputs, inputs, strict=True):
        _part(values, graph, name)[...] = to_int8(array, graph.tensors[name])
    for unit in graph.units:
        operands = tuple(_part(values, graph, name) for name in unit.inputs)
        _part(values, graph, unit.output)[...] = reference(unit.workload, unit.params, operands)
    return {name: _part(values, graph, name) for name in graph.tensors}


def _part(values: Mapping[str, NDArray[np.int8]], graph: UnitGraph, name: str) -> NDArray[np.int8]:
    """A tensor as a numpy view of the tensor that owns its memory."""
    spec = graph.tensors[name]
    if not spec.view_of:
        return values[name]
    whole = _part(values, graph, spec.view_of)
    if is_part(graph, spec):
        whole = whole[:, spec.first_channel : spec.first_channel + spec.shape[0]]
    return whole.reshape(len(whole), *spec.shape)


def is_part(graph: UnitGraph, spec: TensorSpec) -> bool:
    """Whether a view is some channels of its tensor, not a reshape of it."""
    return spec.elements != graph.tensors[spec.view_of].elements


def storage(graph: UnitGraph, name: str) -> TensorSpec:
    """The tensor that owns the memory of ``name``."""
    spec = graph.tensors[name]
    return storage(graph, spec.view_of) if spec.view_of else spec


def layout_owner(graph: UnitGraph, name: str) -> TensorSpec:
    """The tensor whose rows and columns ``name`` has in DRAM: itself, or what it reshapes."""
    spec = graph.tensors[name]
    if not spec.view_of or is_part(graph, spec):
        return spec
    return layout_owner(graph, spec.view_of)


def to_int8(array: NDArray[Any], spec: TensorSpec) -> NDArray[np.int8]:
    """A tensor from outside as units see it, [N, C, H, W]; uint8 minus 128."""
    signed = (array ^ 128).view(np.int8) if array.dtype == np.uint8 else array.astype(np.int8)
    channels, height, width = spec.image or spec.shape
    if spec.channel_last:
        signed = signed.reshape(len(array), height, width, channels).transpose(0, 3, 1, 2)
    signed = signed.reshape(len(array), channels, height, width)
    if spec.fold is None:
        return signed
    return fold_input(signed, spec.fold, *spec.shape[1:], spec.zero_point)


def from_int8(array: NDArray[np.int8], spec: TensorSpec) -> NDArray[Any]:
    """[N, C, H, W] as it is outside the region: layout, rank and signedness of ``spec``."""
    if spec.channel_last:
        array = array.transpose(0, 2, 3, 1)
    outside = np.ascontiguousarray(array).reshape(len(array), *spec.outside_shape)
    return outside.view(np.uint8) ^ 128 if spec.unsigned else outside
