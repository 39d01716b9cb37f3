# pyright: reportUnknownMemberType=false
# numpy leaves the type of reshaped and viewed arrays partly unknown.
"""`UnitGraph`: the integer program of one region, and its execution in numpy.

Activations are int8 throughout: an unsigned tensor is shifted by 128, value and zero point alike
(DESIGN 5). The graph needs neither TVM nor ONNX, is stored as JSON and arrays, and is the integer
reference that every run is compared with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.kernels import (
    ConvParams,
    ConvWorkload,
    ElementwiseParams,
    ElementwiseWorkload,
    Params,
    PoolParams,
    PoolWorkload,
    Workload,
    reference,
)

_WORKLOADS: dict[str, type[Workload]] = {
    c.__name__: c for c in (ConvWorkload, PoolWorkload, ElementwiseWorkload)
}
_PAIRS = ("kernel", "stride", "padding", "in_borders")


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


def to_json(graph: UnitGraph) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """A JSON-ready dict, and the weights and biases by ``unit.weight``, ``unit.bias``."""
    arrays: dict[str, NDArray[Any]] = {}
    units: list[dict[str, Any]] = []
    for unit in graph.units:
        params: dict[str, Any] | None = None
        if isinstance(unit.params, ConvParams):
            arrays[f"{unit.name}.weight"] = unit.params.weight
            arrays[f"{unit.name}.bias"] = unit.params.bias
            params = {k: getattr(unit.params, k) for k in ("shift", "low", "high", "pad_value")}
        elif isinstance(unit.params, PoolParams):
            counts = [[c, m, b] for c, (m, b) in sorted(unit.params.by_count.items())]
            params = {k: getattr(unit.params, k) for k in ("shift", "low", "high")}
            params["by_count"] = counts
        elif unit.params is not None:
            params = asdict(unit.params)
        units.append(
            {
                "name": unit.name,
                "kind": type(unit.workload).__name__,
                "workload": asdict(unit.workload),
                "params": params,
                "inputs": unit.inputs,
                "output": unit.output,
            }
        )
    document = {
        "name": graph.name,
        "batch": graph.batch,
        "tensors": [asdict(spec) for spec in graph.tensors.values()],
        "inputs": graph.inputs,
        "outputs": graph.outputs,
        "units": units,
    }
    return json.loads(json.dumps(document)), arrays


def from_json(document: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> UnitGraph:
    """The inverse of `to_json`."""
    tensors: dict[str, TensorSpec] = {}
    for stored in document["tensors"]:
        about: dict[str, Any] = {**stored, "shape": tuple(stored["shape"])}
        tensors[about["name"]] = TensorSpec(**about)
    units: list[Unit] = []
    for entry in document["units"]:
        fields: dict[str, Any] = {
            k: tuple(v) if k in _PAIRS else v for k, v in entry["workload"].items()
        }
        workload = _WORKLOADS[entry["kind"]](**fields)
        params = _params(entry, workload, arrays)
        units.append(Unit(entry["name"], workload, params, tuple(entry["inputs"]), entry["output"]))
    return UnitGraph(
        document["name"],
        document["batch"],
        tensors,
        tuple(document["inputs"]),
        tuple(document["outputs"]),
        tuple(units),
    )


def _params(
    entry: Mapping[str, Any], workload: Workload, arrays: Mapping[str, NDArray[Any]]
) -> Params:
    stored = entry["params"]
    if stored is None:
        return None
    if isinstance(workload, ConvWorkload):
        name = entry["name"]
        return ConvParams(arrays[f"{name}.weight"], arrays[f"{name}.bias"], **stored)
    if isinstance(workload, PoolWorkload):
        counts = {c: (m, b) for c, m, b in stored["by_count"]}
        return PoolParams(counts, stored["shift"], stored["low"], stored["high"])
    numbers: dict[str, Any] = {**stored, "multipliers": tuple(stored["multipliers"])}
    return ElementwiseParams(**numbers)
