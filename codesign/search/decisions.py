"""Networks and configurations as rows of integer decisions, which learning strategies work on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.hw.config import VtaConfig
from codesign.hw.space import ConfigSpace

Choices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Decisions:
    """M points over D decisions: ``choices`` int64 [M, D] with ``0 <= choices[:, d] < options[d]``,
    ``names`` of the decisions. Two points may share a row."""

    names: tuple[str, ...]
    options: tuple[int, ...]
    choices: Choices

    @cached_property
    def _places(self) -> dict[bytes, int]:
        places: dict[bytes, int] = {}
        for index, row in enumerate(np.ascontiguousarray(self.choices)):
            places.setdefault(row.tobytes(), index)
        return places

    def at(self, choices: Sequence[int] | Choices) -> int:
        """The point with these choices, else the nearest: fewest other choices, then the least
        sum of their distances, then the lowest index."""
        row = np.asarray(choices, np.int64)
        found = self._places.get(row.tobytes())
        if found is not None:
            return found
        distance = np.abs(self.choices - row)
        return int(np.lexsort([distance.sum(axis=1), (distance > 0).sum(axis=1)])[0])


def of_space(space: ConfigSpace, configs: Sequence[VtaConfig]) -> Decisions:
    """Points of a space by the choice of each axis."""
    choices = np.zeros((len(configs), len(space.axes)), np.int64)
    for column, axis in enumerate(space.axes):
        for row, config in enumerate(configs):
            choices[row, column] = next(
                index
                for index, choice in enumerate(axis.choices)
                if all(getattr(config, name) == value for name, value in choice.values.items())
            )
    names = tuple(axis.name for axis in space.axes)
    return Decisions(names, tuple(len(axis.choices) for axis in space.axes), choices)


def of_configs(configs: Sequence[VtaConfig]) -> Decisions:
    """Listed configurations by the fields in which they differ; fields that always change together
    are one decision, named after the first."""
    columns: dict[bytes, tuple[str, int, Choices]] = {}
    for field in fields(VtaConfig):
        values: list[Any] = [getattr(config, field.name) for config in configs]
        distinct = sorted(set(values), key=lambda value: (value is not None, value))
        if field.name == "name" or len(distinct) == 1:
            continue
        column = np.array([distinct.index(value) for value in values], np.int64)
        columns.setdefault(column.tobytes(), (field.name, len(distinct), column))
    kept = list(columns.values())
    choices: Choices = np.zeros((len(configs), len(kept)), np.int64)
    for place, (_, _, column) in enumerate(kept):
        choices[:, place] = column
    return Decisions(tuple(k[0] for k in kept), tuple(k[1] for k in kept), choices)
