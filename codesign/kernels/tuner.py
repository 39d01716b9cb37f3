"""Choosing a schedule: the closed form proposes, the simulator (timing only) decides."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from codesign.errors import Infeasible
from codesign.hw.config import Dataflow, VtaConfig
from codesign.kernels.measurement import ScheduleResult, instruction_counts, measure
from codesign.kernels.schedule import FixedDataflow, Schedule
from codesign.kernels.space import ranked
from codesign.kernels.unit import unsupported
from codesign.kernels.workload import Workload

TRIALS = 6
"""Schedules the simulator compares for one (workload, configuration)."""


def _fixed(dataflow: Dataflow | None, cfg: VtaConfig) -> FixedDataflow | None:
    chosen = cfg.dataflow if dataflow in (None, "auto") else dataflow
    return None if chosen == "auto" else chosen


def candidates(
    workload: Workload, cfg: VtaConfig, dataflow: Dataflow | None = None
) -> list[Schedule]:
    """Schedules that fit the scratchpads, best closed-form estimate first."""
    if unsupported(workload, cfg):
        return []
    return [r.schedule for r in ranked(workload, cfg, _fixed(dataflow, cfg))]


def _emittable(
    workload: Workload, cfg: VtaConfig, dataflow: Dataflow | None
) -> Iterator[ScheduleResult | Infeasible]:
    for schedule in candidates(workload, cfg, dataflow):
        yield measure(workload, cfg, schedule)


_SMALLEST = Schedule("os", 1, 1, 1, 1, co_major=False, inp_slots=1, wgt_slots=1, acc_slots=1)


def _nothing_fits(workload: Workload, cfg: VtaConfig) -> Infeasible:
    """What even the smallest tile overflows, with the numbers; else that no tiling was found."""
    (smallest,) = instruction_counts(workload, cfg, [_SMALLEST])
    if isinstance(smallest, Infeasible):
        return smallest
    return Infeasible("no_schedule", f"no tiling of {workload} fits the scratchpads")


@lru_cache(maxsize=1 << 16)
def best_schedule(
    workload: Workload, cfg: VtaConfig, dataflow: Dataflow | None = None, trials: int = TRIALS
) -> ScheduleResult | Infeasible:
    """The fastest of the ``trials`` most promising schedules, by simulation.

    ``dataflow`` overrides the configuration's; ``auto`` lets the layer choose. An `Infeasible`
    names the limit that the last rejected schedule broke.
    """
    problem = unsupported(workload, cfg)
    if problem is not None:
        return problem
    best: ScheduleResult | None = None
    last: Infeasible | None = None
    measured = 0
    for result in _emittable(workload, cfg, dataflow):
        if isinstance(result, Infeasible):
            last = result
            continue
        measured += 1
        if best is None or result.cycles < best.cycles:
            best = result
        if measured == trials:
            break
    return best or last or _nothing_fits(workload, cfg)


def closed_form_pick(
    workload: Workload, cfg: VtaConfig, dataflow: Dataflow | None = None
) -> Schedule | Infeasible:
    """The first schedule by estimate that can be emitted; no simulation."""
    last = unsupported(workload, cfg)
    for schedule in candidates(workload, cfg, dataflow):
        (count,) = instruction_counts(workload, cfg, [schedule])
        if not isinstance(count, Infeasible):
            return schedule
        last = count
    return last or _nothing_fits(workload, cfg)
