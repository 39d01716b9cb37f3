"""Choosing a schedule: the closed form proposes, the simulator (timing only) decides."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import lru_cache

from codesign.errors import Infeasible
from codesign.hw.config import Dataflow, VtaConfig
from codesign.kernels.bound import lower_bound
from codesign.kernels.measurement import (
    ScheduleResult,
    instruction_counts,
    measure,
    measure_many,
)
from codesign.kernels.pricing import Ranked
from codesign.kernels.schedule import FixedDataflow, Schedule
from codesign.kernels.space import DATAFLOWS, ranked, stream_key, varied
from codesign.kernels.unit import unsupported
from codesign.kernels.workload import ConvWorkload, Workload

TRIALS = 8
"""Schedules of each dataflow that the simulator compares for one (workload, configuration)."""
FIRST = 4
"""Of them those that are always simulated; the others only where the best is not at the bound."""
FAR = 1.25
"""Estimates beyond this factor of a dataflow's best are tried only where no other is emitted."""
SLACK = 1.01
"""Cycles within this factor of the best are equal: the least DRAM traffic decides."""


Lookup = Callable[[Workload, VtaConfig, "Dataflow | None"], "ScheduleResult | Infeasible | None"]
_KNOWN: ContextVar[Lookup | None] = ContextVar("known schedules", default=None)


@contextmanager
def known_schedules(lookup: Lookup | None) -> Generator[None]:
    """Within the block `best_schedule` asks ``lookup`` first, for example of tuning records.

    None leaves it as it was.
    """
    token = _KNOWN.set(lookup or _KNOWN.get())
    try:
        yield
    finally:
        _KNOWN.reset(token)


def candidates(workload: Workload, cfg: VtaConfig) -> list[Schedule]:
    """Schedules that fit the scratchpads, best closed-form estimate first."""
    if unsupported(workload, cfg):
        return []
    options = [r for flow in _dataflows(workload, cfg, None) for r in ranked(workload, cfg, flow)]
    return [r.schedule for r in sorted(options, key=lambda r: r.cycles)]


def _dataflows(
    workload: Workload, cfg: VtaConfig, dataflow: Dataflow | None
) -> tuple[FixedDataflow, ...]:
    """Dataflows to choose from; those of a workload that has none are all the same."""
    chosen = cfg.dataflow if dataflow in (None, "auto") else dataflow
    if not isinstance(workload, ConvWorkload):
        return ("os",)
    return DATAFLOWS if chosen == "auto" else (chosen,)


class _Trials:
    """Simulated schedules of one pair; equal streams are simulated once."""

    def __init__(self, workload: Workload, cfg: VtaConfig) -> None:
        self._pair = workload, cfg
        self._cycles: dict[tuple[object, ...], int | Infeasible] = {}
        self._best: float = float("inf")
        self.last: Infeasible | None = None

    def run(self, options: Sequence[Ranked], count: int) -> list[tuple[Ranked, int]]:
        """The first ``count`` options that can be emitted and might matter, with their cycles."""
        found: list[tuple[Ranked, int]] = []
        limit = FAR * options[0].cycles
        near = iter([option for option in options if option.cycles <= limit])
        far = iter([option for option in options if option.cycles > limit])
        enough = SLACK * lower_bound(*self._pair).cycles
        for rest, wanted in ((near, min(FIRST, count)), (near, count), (far, 1)):
            if found and min(cycles for _, cycles in found) <= enough:
                break
            while len(found) < wanted and (batch := self._batch(rest, wanted - len(found))):
                found += self._simulated(batch)
        return found

    def _simulated(self, batch: Sequence[Ranked]) -> list[tuple[Ranked, int]]:
        self._simulate(batch)
        found: list[tuple[Ranked, int]] = []
        for option in batch:
            cycles = self._cycles[stream_key(option.schedule)]
            if isinstance(cycles, Infeasible):
                self.last = cycles
            else:
                found.append((option, cycles))
                self._best = min(self._best, cycles)
        return found

    def _batch(self, rest: Iterable[Ranked], count: int) -> list[Ranked]:
        batch: list[Ranked] = []
        for option in rest:
            if option.floor <= SLACK * self._best:
                batch.append(option)
            if len(batch) == count:
                break
        return batch

    def _simulate(self, batch: Sequence[Ranked]) -> None:
        new = {stream_key(r.schedule): r.schedule for r in batch}
        new = {key: s for key, s in new.items() if key not in self._cycles}
        if new:
            self._cycles.update(
                zip(new, measure_many(*self._pair, list(new.values())), strict=True)
            )


def _least_traffic(trials: Iterable[tuple[Ranked, int]], cycles: float) -> tuple[Ranked, int]:
    """Of the trials that take at most ``cycles``, the one that moves the fewest bytes."""
    good = [trial for trial in trials if trial[1] <= cycles]
    return min(good, key=lambda trial: (trial[0].dram_bytes, trial[1]))


_SMALLEST = Schedule("os", 1, 1, 1, 1, co_major=False, inp_slots=1, wgt_slots=1, acc_slots=1)


def _nothing_fits(workload: Workload, cfg: VtaConfig, flows: Sequence[str]) -> Infeasible:
    """What even the smallest tile overflows, with the numbers; else that no tiling was found."""
    cut = isinstance(workload, ConvWorkload) and workload.up == (1, 1)
    (smallest,) = instruction_counts(workload, cfg, [replace(_SMALLEST, kernel_rows=int(cut))])
    if isinstance(smallest, Infeasible):
        return smallest
    depths = f"INP {cfg.inp_depth}, WGT {cfg.wgt_depth}, ACC {cfg.acc_depth}, UOP {cfg.uop_depth}"
    fixed = isinstance(workload, ConvWorkload) and len(flows) == 1
    more = "; dataflow auto has other tilings" if fixed else ""
    return Infeasible(
        "no_schedule", f"no {'/'.join(flows)} tiling fits scratchpads of {depths} elements{more}"
    )


def best_schedule(
    workload: Workload, cfg: VtaConfig, dataflow: Dataflow | None = None, trials: int = TRIALS
) -> ScheduleResult | Infeasible:
    """The fastest of the ``trials`` most promising schedules of each dataflow, by simulation.

    ``dataflow`` overrides the configuration's; ``auto`` takes the best over all four and is never
    slower than any of them alone. Of schedules as fast as the best (`SLACK`), the one with the
    least DRAM traffic. An `Infeasible` names the limit that the last rejected schedule broke.
    Within `known_schedules` what is known is not searched.
    """
    lookup = _KNOWN.get()
    known = None if lookup is None else lookup(workload, cfg, dataflow)
    return known or _search(workload, cfg, dataflow, trials)


@lru_cache(maxsize=1 << 16)
def _search(
    workload: Workload, cfg: VtaConfig, dataflow: Dataflow | None, trials: int
) -> ScheduleResult | Infeasible:
    problem = unsupported(workload, cfg)
    if problem is not None:
        return problem
    flows = _dataflows(workload, cfg, dataflow)
    spaces = [ranked(workload, cfg, flow) for flow in flows]
    spaces = sorted((space for space in spaces if space), key=lambda space: space[0].cycles)
    simulated = _Trials(workload, cfg)
    runs = [simulated.run(varied(space), trials) for space in spaces]
    runs = [run for run in runs if run]
    if not runs:
        return simulated.last or _nothing_fits(workload, cfg, flows)
    # The best of each dataflow alone; the last comparison may not give any of it up.
    alone = [_least_traffic(run, SLACK * min(cycles for _, cycles in run))[1] for run in runs]
    chosen, _ = _least_traffic((trial for run in runs for trial in run), min(alone))
    found = measure(workload, cfg, chosen.schedule)
    assert not isinstance(found, Infeasible)
    return found
