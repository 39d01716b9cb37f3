"""Traces as arrays that learners take: columns, inputs and targets, row by row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.costmodel.columns import Columns, Floats, config_columns, take, workload_columns
from codesign.costmodel.energy_base import counter_prices, energy_base_mj
from codesign.costmodel.heads import Pairs
from codesign.costmodel.inputs import pair_inputs
from codesign.costmodel.intervals import unit_kinds
from codesign.costmodel.traces import TraceRows


@dataclass(frozen=True, eq=False)
class Design:
    """Everything that a learner may use of ``rows``; arrays are [N] unless said otherwise.

    ``w``, ``c``: workload and configuration columns; ``log_base``: what T1 corrects; ``t0``,
    ``roofline``, ``cycles``: cycles; ``energy_base_mj``: what the energy head corrects; ``kinds``:
    index into `intervals.KINDS`.
    """

    rows: TraceRows
    w: Columns
    c: Columns
    values: NDArray[np.float32]
    log_base: Floats
    t0: Floats
    roofline: Floats
    energy_base_mj: Floats
    kinds: NDArray[np.intp]

    @property
    def cycles(self) -> Floats:
        return self.rows.cycles

    def __len__(self) -> int:
        return len(self.rows.cycles)

    def pairs(self, rows: NDArray[np.intp]) -> Pairs:
        """What the heads take of these rows."""
        return Pairs(
            self.values[rows],
            self.log_base[rows],
            np.isfinite(self.t0[rows]),
            self.roofline[rows],
            self.energy_base_mj[rows],
            self.kinds[rows],
        )


def make_design(rows: TraceRows) -> Design:
    """The arrays of all rows."""
    w = take(workload_columns(rows.workloads), rows.layer_ids)
    c = take(config_columns(rows.configs), rows.config_ids)
    found = pair_inputs(w, c)
    prices = take(counter_prices(rows.configs), rows.config_ids)
    roofline = np.broadcast_to(found.t0.work.roofline, found.t0.cycles.shape)
    return Design(
        rows=rows,
        w=w,
        c=c,
        values=found.values,
        log_base=found.log_base,
        t0=found.t0.cycles,
        roofline=roofline,
        energy_base_mj=energy_base_mj(found.t0, c, prices),
        kinds=unit_kinds(w),
    )


def misfit_inputs(rows: TraceRows) -> NDArray[np.float32]:
    """Inputs float32[K, F] of the infeasible pairs."""
    w = take(workload_columns(rows.workloads), rows.misfits[:, 0])
    c = take(config_columns(rows.configs), rows.misfits[:, 1])
    return pair_inputs(w, c).values
