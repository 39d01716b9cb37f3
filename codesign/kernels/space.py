"""Schedules of any workload, best estimate first, and which of them are worth a simulation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from operator import attrgetter

from codesign.hw.config import VtaConfig
from codesign.kernels.conv_space import conv_schedules
from codesign.kernels.pricing import NEAR, Ranked
from codesign.kernels.schedule import FixedDataflow, Schedule
from codesign.kernels.streaming_space import streaming_schedules
from codesign.kernels.workload import ConvWorkload, Workload

DATAFLOWS: tuple[FixedDataflow, ...] = ("os", "ws", "is", "rs")
_ALIKE = 2
_shape_and_slots = attrgetter(*(f.name for f in fields(Schedule) if f.name != "dataflow"))


def ranked(workload: Workload, cfg: VtaConfig, dataflow: FixedDataflow) -> list[Ranked]:
    """Schedules that fit, best estimate first; only convolutions have a dataflow."""
    if isinstance(workload, ConvWorkload):
        return conv_schedules(workload, cfg, dataflow)
    return streaming_schedules(workload, cfg)


def stream_key(schedule: Schedule) -> tuple[object, ...]:
    """Equal for schedules whose streams are: only ``rs`` emits differently from the others."""
    return (schedule.dataflow == "rs", *_shape_and_slots(schedule))


def varied(options: Sequence[Ranked]) -> list[Ranked]:
    """All options, those to try first in front: good estimates of different shapes.

    Among them are those of least DRAM traffic among the estimates near the best (`NEAR`).
    """
    if not options:
        return []
    best = options[0].cycles
    bounds = [[r for r in options if r.cycles <= factor * best] for factor in NEAR]
    front = [options[0], *(min(near, key=lambda r: r.dram_bytes) for near in bounds)]
    alike: Counter[tuple[int, int, int, bool]] = Counter()
    for option in options:
        alike[_shape(option)] += 1
        if alike[_shape(option)] <= _ALIKE:
            front.append(option)
    return list(dict.fromkeys([*front, *options]))


def _shape(option: Ranked) -> tuple[int, int, int, bool]:
    s = option.schedule
    return s.rows, s.cols, s.out_groups, s.co_major
