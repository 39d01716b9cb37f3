# pyright: reportUnknownMemberType=false
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

from codesign.kernels import (
    Params,
    Workload,
    reference,
)


@dataclass(frozen=True)
class TensorSpec:
    """An activation tensor: real value = scale * (q - zero_point), q int8.

    ``shape`` is (C, H, W) of one image, ``rank`` that of the graph (2: H = W = 1); ``unsigned``
    says that outside the region the tensor is uint8 = q + 128. ``border`` rows and columns on every
    side hold the zero point in DRAM. ``view_of`` names the tensor whose memory a reshape shares.
    """

    name: str
    shape: tuple[int, int, int]
    scale: float
    zero_point: int
    unsigned: bool = False
    rank: int = 4
    border: int = 0
    view_of: str = ""

    @property
    def elements(self) -> int:
        return int(np.prod(self.shape))


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
    inputs : int8 or uint8 arrays [N, C, H, W] (or [N, C]) in the order of ``graph.inputs``

    Returns
    -------
    arrays of the types and ranks that the region's outputs have outside.
    """
    values: dict[str, NDArray[np.int8]] = {}
    for name, array in zip(graph.inputs, inputs, strict=True):
        values[name] = to_int8(array).reshape(len(array), *graph.tensors[name].shape)
    for unit in graph.units:
        operands = tuple(
            values[name].reshape(-1, *graph.tensors[name].shape) for name in unit.inputs
        )
        values[unit.output] = reference(unit.workload, unit.params, operands)
    return tuple(
        from_int8(values[storage(graph, name).name], graph.tensors[name]) for name in graph.outputs
    )


def storage(graph: UnitGraph, name: str) -> TensorSpec:
    """The tensor that owns the memory of ``name``."""
    spec = graph.tensors[name]
    return storage(graph, spec.view_of) if spec.view_of else spec


def to_int8(array: NDArray[Any]) -> NDArray[np.int8]:
    """uint8 minus 128; int8 as it is."""
    return (array ^ 128).view(np.int8) if array.dtype == np.uint8 else array.astype(np.int8)


def from_int8(array: NDArray[np.int8], spec: TensorSpec) -> NDArray[Any]:
    """The tensor as it is outside the region: rank and signedness of ``spec``."""
    array = array.reshape(len(array), *spec.shape[: spec.rank - 1])
    return array.view(np.uint8) ^ 128 if spec.unsigned else array
