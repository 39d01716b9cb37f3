"""Canonical JSON and content keys: equal values have equal text and equal sha256, everywhere.

The text of a dataclass is a JSON object of its comparing fields plus ``"type"``; keys are
sorted, separators are compact, tuples become arrays.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

import numpy as np

from codesign.errors import StoreError
from codesign.hw.config import VtaConfig
from codesign.kernels.workload import (
    ConvWorkload,
    ElementwiseWorkload,
    GatherWorkload,
    PoolWorkload,
    Workload,
)

_WORKLOADS: dict[str, type[Workload]] = {
    "ConvWorkload": ConvWorkload,
    "PoolWorkload": PoolWorkload,
    "ElementwiseWorkload": ElementwiseWorkload,
    "GatherWorkload": GatherWorkload,
}


def to_plain(value: object) -> Any:
    """The JSON-able form of dataclasses (tagged with their type), containers and scalars."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        plain = {
            field.name: to_plain(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if field.compare
        }
        return {"type": type(value).__name__, **plain}
    if isinstance(value, Mapping):
        mapping = cast(Mapping[object, object], value)
        return {str(key): to_plain(item) for key, item in mapping.items()}
    if isinstance(value, (str, bool, int, float)) or value is None:
        return value
    if isinstance(value, np.generic):
        return cast(Any, value).item()
    if isinstance(value, Sequence):
        return [to_plain(item) for item in cast(Sequence[object], value)]
    raise TypeError(f"no canonical JSON for a {type(value).__name__}: {value!r}")


def canonical_json(value: object) -> str:
    """One line of JSON, the same text for equal values."""
    return json.dumps(to_plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def content_key(value: object) -> str:
    """sha256 (hex) of the canonical JSON of ``value``."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def to_tuples(value: object) -> Any:
    """``value`` with every list turned into a tuple, so that dataclasses stay hashable."""
    if isinstance(value, list):
        return tuple(to_tuples(item) for item in cast(list[object], value))
    return value


def workload_from_plain(plain: Mapping[str, Any]) -> Workload:
    """The workload whose ``to_plain`` is ``plain``; StoreError for an unknown type or field."""
    fields = {key: to_tuples(item) for key, item in plain.items() if key != "type"}
    kind = plain.get("type")
    if kind not in _WORKLOADS:
        raise StoreError(f"unknown workload type {kind!r}; known: {', '.join(_WORKLOADS)}")
    try:
        return _WORKLOADS[kind](**fields)
    except TypeError as error:
        raise StoreError(f"malformed {kind} {dict(plain)!r}: {error}") from error


def config_from_plain(plain: Mapping[str, Any]) -> VtaConfig:
    """The configuration whose ``to_plain`` is ``plain`` (a ``name`` may ride along)."""
    try:
        return VtaConfig(**{key: item for key, item in plain.items() if key != "type"})
    except TypeError as error:
        raise StoreError(f"malformed configuration {dict(plain)!r}: {error}") from error


@lru_cache(maxsize=65536)
def workload_text(workload: Workload) -> str:
    """Canonical JSON of a workload."""
    return canonical_json(workload)


@lru_cache(maxsize=65536)
def config_text(config: VtaConfig) -> str:
    """Canonical JSON of the configuration's comparing fields (its name is not one)."""
    return canonical_json(dataclasses.replace(config, frequency_mhz=float(config.frequency_mhz)))
