"""The constants of the closed form, fitted on traces."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np

from codesign.costmodel.closed_form import bound
from codesign.costmodel.columns import config_columns, take, workload_columns
from codesign.costmodel.constants import Constants
from codesign.costmodel.traces import TraceRows

GRID: dict[str, tuple[float, ...]] = {
    "part_out": (1.0, 2.0, 4.0, 7.0, 14.0, 28.0),
    "part_in": (5.0, 10.0, 20.0, 40.0, 80.0),
}
"""Values that are tried."""


@dataclass(frozen=True)
class Calibration:
    """``error``: mean of |log(cycles / T0)| over the traces that T0 has a tiling for."""

    constants: Constants
    error: float


def calibrate(rows: TraceRows, threads: int = 1) -> Calibration:
    """The constants of `GRID` with the least error on ``rows``, one after the other until none
    moves."""
    w = take(workload_columns(rows.workloads), rows.layer_ids)
    c = take(config_columns(rows.configs), rows.config_ids)

    def error(constants: Constants) -> float:
        t0 = bound(w, c, threads, constants).cycles
        fits = np.isfinite(t0)
        return float(np.abs(np.log(rows.cycles[fits] / t0[fits])).mean())

    first = Constants(**{name: values[0] for name, values in GRID.items()})
    found = Calibration(first, error(first))
    while True:
        before = found.constants
        for name, values in GRID.items():
            for value in values:
                tried = replace(found.constants, **{name: value})
                if tried != found.constants:
                    found = min(found, Calibration(tried, error(tried)), key=lambda x: x.error)
        if found.constants == before:
            return found


def described(found: Calibration, rows: TraceRows) -> dict[str, object]:
    """What ``data/closed_form.json`` holds: the constants and where they come from."""
    return {
        **asdict(found.constants),
        "unit": "cycles",
        "mean_abs_log_error": round(found.error, 5),
        "traces": len(rows.cycles),
        "data_sha256": rows.digest(),
        "simulator": rows.simulator,
    }
