# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# JSON values have no type.
"""A `UnitGraph` as JSON and arrays, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.compiler.graph import TensorSpec, Unit, UnitGraph
from codesign.kernels import (
    ConvParams,
    ConvWorkload,
    ElementwiseParams,
    ElementwiseWorkload,
    GatherParams,
    GatherWorkload,
    PatchFold,
    PoolParams,
    PoolWorkload,
)

Arrays = Mapping[str, NDArray[Any]]
_KINDS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        ConvWorkload,
        ConvParams,
        PoolWorkload,
        PoolParams,
        ElementwiseWorkload,
        ElementwiseParams,
        GatherWorkload,
        GatherParams,
    )
}
_ARRAY, _ITEMS, _KIND = "array", "items", "type"


def to_json(graph: UnitGraph) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """A JSON-ready dict, and the arrays it names (``UNIT.weight``, ``UNIT.bias``, ...)."""
    arrays: dict[str, NDArray[Any]] = {}
    units = [
        {
            "name": unit.name,
            "workload": _document(unit.workload, unit.name, arrays),
            "params": _document(unit.params, unit.name, arrays),
            "inputs": unit.inputs,
            "output": unit.output,
        }
        for unit in graph.units
    ]
    document = {
        "name": graph.name,
        "batch": graph.batch,
        "tensors": [asdict(spec) for spec in graph.tensors.values()],
        "inputs": graph.inputs,
        "outputs": graph.outputs,
        "units": units,
    }
    return json.loads(json.dumps(document)), arrays


def from_json(document: Mapping[str, Any], arrays: Arrays) -> UnitGraph:
    """The inverse of `to_json`."""
    tensors = [_tensor(_frozen(stored)) for stored in document["tensors"]]
    units = [
        Unit(
            entry["name"],
            _value(entry["workload"], arrays),
            _value(entry["params"], arrays),
            tuple(entry["inputs"]),
            entry["output"],
        )
        for entry in document["units"]
    ]
    return UnitGraph(
        document["name"],
        document["batch"],
        {spec.name: spec for spec in tensors},
        tuple(document["inputs"]),
        tuple(document["outputs"]),
        tuple(units),
    )


def _tensor(stored: dict[str, Any]) -> TensorSpec:
    values = dict(stored)
    values["fold"] = PatchFold(**stored["fold"]) if stored["fold"] else None
    return TensorSpec(**values)


def _document(value: Any, unit: str, arrays: dict[str, NDArray[Any]]) -> dict[str, Any] | None:
    """A workload or params: arrays by reference, mappings as lists of items."""
    if value is None:
        return None
    document: dict[str, Any] = {_KIND: type(value).__name__}
    for field in fields(value):
        entry = getattr(value, field.name)
        if isinstance(entry, np.ndarray):
            arrays[f"{unit}.{field.name}"] = entry
            entry = {_ARRAY: f"{unit}.{field.name}"}
        elif isinstance(entry, Mapping):
            entry = {_ITEMS: sorted(entry.items())}
        document[field.name] = entry
    return document


def _value(document: Mapping[str, Any] | None, arrays: Arrays) -> Any:
    if document is None:
        return None
    entries = dict(document)
    made = _KINDS[entries.pop(_KIND)]
    values: dict[str, Any] = {}
    for name, entry in entries.items():
        if isinstance(entry, dict) and _ARRAY in entry:
            value = arrays[entry[_ARRAY]]
        elif isinstance(entry, dict):
            value = {key: _frozen(item) for key, item in entry[_ITEMS]}
        else:
            value = _frozen(entry)
        values[name] = value
    return made(**values)


def _frozen(value: Any) -> Any:
    """JSON lists as tuples, all the way down."""
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    return value
