"""Schedules chosen where they run: by the cycles of the whole stream, in which units overlap.

`best_schedule` times a unit alone, the machine drained before it and behind it. In a stream
(``compose="overlap"``) its first loads hide behind the unit before it and its last stores before
the unit behind it, so that another schedule may be better.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from codesign.compiler.compose import compose_region
from codesign.compiler.package import Package
from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.kernels import Schedule, Workload, instruction_counts, lower_bound
from codesign.kernels.space import DATAFLOWS, ranked, stream_key, varied

FAR = 1.1
"""Estimates of a unit alone beyond this factor of the best are not tried."""


@dataclass(frozen=True)
class StreamTuned:
    """A distinct unit's schedule, and the network's cycles once all its units have it."""

    workload: Workload
    schedule: Schedule
    cycles: int


def tune_in_stream(
    package: Package, trials: int, workloads: Collection[Workload] | None = None
) -> Iterator[StreamTuned]:
    """Give every distinct unit in turn the schedule with which the network takes fewest cycles.

    One sweep over the units, or over those with ``workloads``, the ones farthest above their lower
    bounds first. Tried are the schedule that a unit has and the ``trials`` most promising of each
    dataflow that the configuration allows; each is simulated (timing only) in the streams of all
    regions that hold the unit. The cycles found never rise. ``package`` stays as it is: compile
    again with the schedules known (`codesign.kernels.known_schedules`, or the records of
    ``codesign tune --compose overlap``).
    """
    cfg = package.config
    schedules = {unit.name: Schedule(**unit.schedule) for unit in package.units}
    owners: dict[Workload, list[str]] = {}
    spare: dict[Workload, int] = {}
    for unit in package.units:
        owners.setdefault(unit.workload, []).append(unit.name)
        above = unit.cycles - lower_bound(unit.workload, cfg).cycles
        spare[unit.workload] = spare.get(unit.workload, 0) + above * package.passes(unit.region)
    cycles = _cycles(package, schedules, {program.graph.name for program in package.programs})
    chosen = owners if workloads is None else [w for w in owners if w in workloads]
    for workload in sorted(chosen, key=lambda w: -spare[w]):
        names = owners[workload]
        regions = {unit.region for unit in package.units if unit.workload == workload}
        for schedule in _promising(workload, cfg, trials):
            changed = {**schedules, **dict.fromkeys(names, schedule)}
            found = {**cycles, **_cycles(package, changed, regions)}
            if sum(found.values()) < sum(cycles.values()):
                schedules, cycles = changed, found
        yield StreamTuned(workload, schedules[names[0]], sum(cycles.values()))


def _cycles(
    package: Package, schedules: Mapping[str, Schedule], regions: set[str]
) -> dict[str, int]:
    """Cycles of one declared batch by region, each composed as one stream."""
    found: dict[str, int] = {}
    for program in package.programs:
        name = program.graph.name
        if name in regions:
            mine = {unit.name: schedules[unit.name] for unit in program.graph.units}
            composed = compose_region(program.graph, package.config, mine, "overlap")
            found[name] = sum(composed.cycles.values()) * package.passes(name)
    return found


def _promising(workload: Workload, cfg: VtaConfig, trials: int) -> list[Schedule]:
    """The ``trials`` schedules of each dataflow to try, those with equal streams once."""
    found: dict[tuple[object, ...], Schedule] = {}
    for flow in DATAFLOWS if cfg.dataflow == "auto" else (cfg.dataflow,):
        options = varied(ranked(workload, cfg, flow))
        near = [option for option in options if option.cycles <= FAR * options[0].cycles]
        for option in near[:trials]:
            found.setdefault(stream_key(option.schedule), option.schedule)
    schedules = list(found.values())
    counts = instruction_counts(workload, cfg, schedules)
    return [
        schedule
        for schedule, count in zip(schedules, counts, strict=True)
        if not isinstance(count, Infeasible)
    ]
