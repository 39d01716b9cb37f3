# numpy's reshape, view and copy are partially unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""What the schedule spaces of all units share: tile sizes, grids, and prices of VTA_TIMING.md."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.hw.config import VtaConfig
from codesign.kernels.schedule import Schedule

Column = NDArray[np.int64]
Cycles = NDArray[np.floating[Any]]

OVERHEAD_GEMM = 7
OVERHEAD_LOAD = 5
FETCH = 3.3
KEEP = 48
"""Schedules of one space that are worth a look."""
_FRUGAL = 4
NEAR = (1.015, 1.008, 1.003)
"""Factors of the best estimate within which the schedule of least DRAM traffic is tried."""


@dataclass(frozen=True)
class Ranked:
    """A schedule, its estimated cycles and its estimated DRAM bytes, those stored left out.

    ``floor``: cycles that COMPUTE needs for it at least.
    """

    schedule: Schedule
    cycles: float
    dram_bytes: float
    floor: float = 0.0


def tile_sizes(extent: int, most: int = 12) -> list[int]:
    """Balanced tile sizes of an axis: ceil(extent / n) for n = 1, 2, ..., and small ones."""
    sizes = {ceil(extent / n) for n in range(1, extent + 1)}
    ordered = sorted(sizes, reverse=True)
    if len(ordered) <= most:
        return ordered
    picks = np.unique(np.geomspace(1, len(ordered), most).round().astype(int)) - 1
    return [ordered[i] for i in picks] + [1] * (ordered[picks[-1]] != 1)


def ceil_div(a: Column | int, b: Column | int) -> Column:
    return -(-np.asarray(a) // np.asarray(b))


def grid(*axes: Iterable[int]) -> list[Column]:
    """The product of the axes, one column an axis."""
    points = np.meshgrid(*(np.array(list(axis), np.int64) for axis in axes), indexing="ij")
    return [p.reshape(-1) for p in points]


def row_beats(cfg: VtaConfig, elements: Column) -> Column:
    """Beats of one INP row, at least 2: requests go out every second cycle."""
    return np.maximum(ceil_div(elements * cfg.inp_element_bytes, cfg.bus_bits // 8), 2)


def store_cycles(cfg: VtaConfig, elements: int, bursts: Column) -> Cycles:
    """STORE cycles of ``elements`` in at least ``bursts`` bursts."""
    size, bus = cfg.out_element_bytes * elements, cfg.bus_bits // 8
    beats = np.maximum(ceil(size / bus), bursts)
    latency = cfg.write_address_latency + cfg.write_response_latency
    bursts = np.maximum(bursts, ceil(size / cfg.burst_bytes))
    if bus >= cfg.out_element_bytes:
        return beats + bursts * (latency + 2.0)
    return beats + elements + bursts * (latency + 1.0)


def worth_a_look(cycles: Cycles, dram_bytes: Cycles, uops: Column) -> Column:
    """Indices of the fastest, in order, with those of least traffic that are near.

    Those of the fewest micro-ops are among them too: only emission counts micro-ops exactly.
    """
    count = min(KEEP, cycles.size)
    fast = np.argpartition(cycles, count - 1)[:count]
    bounds = [np.flatnonzero(cycles <= factor * cycles.min()) for factor in NEAR]
    light = [near[np.argmin(dram_bytes[near])] for near in bounds]
    few = min(_FRUGAL, cycles.size)
    frugal = np.argpartition(uops * 1e9 + cycles, few - 1)[:few]
    kept = np.unique(np.concatenate([fast, light, frugal]))
    return kept[np.lexsort((dram_bytes[kept], cycles[kept]))]
