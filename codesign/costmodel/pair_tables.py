# numpy's reshape is partially unknown to pyright.
# pyright: reportUnknownMemberType=false
"""Pairs of columns that broadcast together, as the tables and row numbers that tapes take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.costmodel.arrays import Columns
from codesign.costmodel.columns import CONFIG_COLUMNS, WORKLOAD_COLUMNS, Floats
from codesign.costmodel.tape import RecordedColumns, Recorder, Tape

FEW = 1000
"""Fewer pairs are cheaper in numpy than a tape is to record; the numbers are the same."""


@dataclass(frozen=True, eq=False)
class PairTables:
    """``workloads``, ``configs`` float64[columns, rows]; ``workload``, ``config`` int64[n]: the
    rows that each of the n pairs takes."""

    workloads: Floats
    configs: Floats
    workload: NDArray[np.int64]
    config: NDArray[np.int64]

    def run(self, tape: Tape, third: Floats | None, out: NDArray[np.floating]) -> None:
        """Write a tape's outputs [outputs, ...], contiguous arrays of the pairs' shape; ``third``
        float64[columns, ...] is its third table, a row for each pair."""
        rows = np.arange(len(self.workload), dtype=np.int64)
        own = np.zeros((1, len(rows))) if third is None else third.reshape(len(third), -1)
        tables, numbers = (self.workloads, self.configs, own), (self.workload, self.config, rows)
        tape.run(tables, numbers, out.reshape(len(out), -1))


def pair_tables(w: Columns, c: Columns, shape: tuple[int, ...]) -> PairTables:
    """The tables of pairs of columns that broadcast to ``shape``."""
    return PairTables(
        _matrix(w, WORKLOAD_COLUMNS),
        _matrix(c, CONFIG_COLUMNS),
        _row_numbers(w["height"], shape),
        _row_numbers(c["batch"], shape),
    )


def recorded(
    a: Recorder, units: Mapping[str, float], configs: Mapping[str, float]
) -> tuple[Columns, Columns]:
    """The columns of workloads and configurations as nodes; those given are numbers."""
    return (
        RecordedColumns(a, "workloads", WORKLOAD_COLUMNS, units),
        RecordedColumns(a, "configs", CONFIG_COLUMNS, configs),
    )


def _matrix(columns: Columns, names: tuple[str, ...]) -> Floats:
    return np.stack([np.asarray(columns[name], np.float64).reshape(-1) for name in names])


def _row_numbers(column: Floats, shape: tuple[int, ...]) -> NDArray[np.int64]:
    numbers = np.arange(column.size, dtype=np.int64).reshape(column.shape)
    return np.array(np.broadcast_to(numbers, shape)).reshape(-1)
