"""Whole networks from their layers: a table of unique units and a matrix of counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from codesign.costmodel.columns import Floats
from codesign.kernels.workload import Workload


@dataclass(frozen=True, eq=False)
class UnitCounts:
    """M networks over their U unique units; ``counts`` float64 [M, U] holds whole numbers, so that
    products with whole cycles are exact below 2^53."""

    units: tuple[Workload, ...]
    counts: Floats

    @staticmethod
    def of(networks: Sequence[Iterable[tuple[Workload, int]]]) -> UnitCounts:
        """Of networks given as (unit, count) pairs; a unit may appear twice."""
        place: dict[Workload, int] = {}
        cells: list[tuple[int, int, int]] = []
        for row, layers in enumerate(networks):
            for unit, count in layers:
                cells.append((row, place.setdefault(unit, len(place)), count))
        counts = np.zeros((len(networks), len(place)))
        for row, unit, count in cells:
            counts[row, unit] += count
        return UnitCounts(tuple(place), counts)

    def total(self, table: Floats) -> Floats:
        """Sums float64 [M, C] of a table [U, C]; nan where a unit that a network has is nan.

        A network without units (its output does not depend on its input) is 0.
        """
        missing = np.isnan(table)
        if not missing.any():
            return self.counts @ table
        sums = self.counts @ np.where(missing, 0.0, table)
        return np.where((self.counts > 0).astype(float) @ missing > 0, np.nan, sums)
