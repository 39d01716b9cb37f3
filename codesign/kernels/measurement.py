"""Cycles of a unit under given schedules, by the simulator's timing alone (truth level T2).

Emission and simulation run in the C++ core without the interpreter's lock, so that threads add up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.kernels.native import measure_unit, measure_units
from codesign.kernels.schedule import Schedule
from codesign.kernels.unit import epilogue, unsupported
from codesign.kernels.workload import Workload


@dataclass(frozen=True)
class ScheduleResult:
    """A schedule with its simulated cycles and counters."""

    schedule: Schedule
    cycles: int
    counters: Mapping[str, int]


def measure(workload: Workload, cfg: VtaConfig, schedule: Schedule) -> ScheduleResult | Infeasible:
    """Simulated cycles and counters of one schedule, or the limit it breaks."""
    problem = unsupported(workload, cfg)
    if problem is not None:
        return problem
    counters = measure_unit(workload, cfg, schedule, epilogue(workload))
    if isinstance(counters, Infeasible):
        return counters
    return ScheduleResult(schedule, counters["cycles"], counters)


def measure_many(
    workload: Workload, cfg: VtaConfig, schedules: Sequence[Schedule]
) -> list[int | Infeasible]:
    """Simulated cycles of each schedule, or the limit it breaks."""
    return _each(workload, cfg, schedules, simulate=True)


def instruction_counts(
    workload: Workload, cfg: VtaConfig, schedules: Sequence[Schedule]
) -> list[int | Infeasible]:
    """Instructions of each schedule, or the limit it breaks; nothing is simulated."""
    return _each(workload, cfg, schedules, simulate=False)


def _each(
    workload: Workload, cfg: VtaConfig, schedules: Sequence[Schedule], *, simulate: bool
) -> list[int | Infeasible]:
    problem = unsupported(workload, cfg)
    if problem is not None:
        return [problem] * len(schedules)
    return measure_units(workload, cfg, schedules, epilogue(workload), simulate=simulate)
