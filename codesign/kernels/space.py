# numpy's reshape, view and copy are partially unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""The schedule space of a workload, and a closed form that ranks it without emitting anything.

`ranked` enumerates tile sizes, loop orders and buffer splits as numpy columns, drops what
overflows a scratchpad, and sorts the rest by estimated cycles. The estimate is per module, as
VTA_TIMING.md prices instructions; the simulator decides among the first few (`tuner`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.hw.config import VtaConfig
from codesign.kernels.blocking import Blocking
from codesign.kernels.constants import default_bias_tiles
from codesign.kernels.layout import output_layout
from codesign.kernels.pool import valid_counts
from codesign.kernels.schedule import SCRATCH, FixedDataflow, Schedule, uop_capacity
from codesign.kernels.workload import (
    ConvWorkload,
    ElementwiseWorkload,
    GatherWorkload,
    PoolWorkload,
    Workload,
)

Column = NDArray[np.int64]
Cycles = NDArray[np.floating[Any]]

_OVERHEAD_GEMM = 7
_OVERHEAD_LOAD = 5
_FETCH = 3.3
_KEEP = 256


@dataclass(frozen=True)
class Ranked:
    """A schedule and its estimated cycles."""

    schedule: Schedule
    estimate: float


def tile_sizes(extent: int, most: int = 12) -> list[int]:
    """Balanced tile sizes of an axis: ceil(extent / n) for n = 1, 2, ..., and small ones."""
    sizes = {ceil(extent / n) for n in range(1, extent + 1)}
    ordered = sorted(sizes, reverse=True)
    if len(ordered) <= most:
        return ordered
    picks = np.unique(np.geomspace(1, len(ordered), most).round().astype(int)) - 1
    return [ordered[i] for i in picks] + [1] * (ordered[picks[-1]] != 1)


def _ceil(a: Column | int, b: Column | int) -> Column:
    return -(-np.asarray(a) // np.asarray(b))


def _grid(*axes: Iterable[int]) -> list[Column]:
    rows = np.array(list(product(*axes)), np.int64).reshape(-1, len(axes))
    return [rows[:, i] for i in range(len(axes))]


def _row_beats(cfg: VtaConfig, elements: Column, element_bytes: int) -> Column:
    """Beats of one DMA row, at least 2: requests go out every second cycle."""
    return np.maximum(_ceil(elements * element_bytes, cfg.bus_bits // 8), 2)


def _store_cycles(cfg: VtaConfig, elements: Column, bursts: Column) -> Column:
    size = cfg.out_element_bytes * elements
    beats = np.maximum(_ceil(size, cfg.bus_bits // 8), bursts)
    latency = cfg.write_address_latency + cfg.write_response_latency
    bursts = np.maximum(bursts, _ceil(size, cfg.burst_bytes))
    if cfg.bus_bits // 8 >= cfg.out_element_bytes:
        return beats + bursts * (latency + 2)
    return beats + elements + bursts * (latency + 1)


def _overlap(
    load: Cycles,
    compute: Cycles,
    store: Cycles,
    tiles: Column,
    inp_slots: Column,
    acc_slots: Column,
) -> Cycles:
    """Cycles of three modules in a pipeline of ``tiles`` stages, each slot count 1 or more."""
    longest = np.maximum(np.maximum(load, compute), store)
    serial = longest + (load + compute + store - longest) / np.maximum(tiles, 1)
    serial = np.where(inp_slots == 1, np.maximum(serial, load + compute), serial)
    return np.where(acc_slots == 1, serial + np.minimum(store, compute), serial)


def ranked(workload: Workload, cfg: VtaConfig, dataflow: FixedDataflow | None) -> list[Ranked]:
    """Schedules that fit, best estimate first; ``dataflow`` restricts convolutions."""
    if isinstance(workload, ConvWorkload):
        flows: tuple[FixedDataflow, ...] = (dataflow,) if dataflow else ("os", "ws", "is", "rs")
        found = [r for flow in flows for r in _rank_conv(workload, cfg, flow)]
        return sorted(found, key=lambda r: r.estimate)
    if isinstance(workload, GatherWorkload):
        return []
    return _rank_streaming(workload, cfg)


def _rank_conv(workload: ConvWorkload, cfg: VtaConfig, flow: FixedDataflow) -> list[Ranked]:
    w, blocking = workload, Blocking.of(cfg)
    groups_in, groups_out = blocking.groups(w.in_channels), blocking.groups(w.out_channels)
    in_blocks, out_blocks = blocking.in_blocks(w.in_channels), blocking.out_blocks(w.out_channels)
    taps = w.kernel[0] * w.kernel[1]
    strips = (1, 2, 3, 4, 8) if flow == "rs" else (1,)
    orders = {"os": (0, 1), "ws": (1,), "is": (0,), "rs": (1, 0)}[flow]
    rows, cols, tco, tci, strip, co_major, inp_mode, wgt_mode, acc_slots = _grid(
        tile_sizes(w.out_height),
        tile_sizes(w.out_width, 5),
        tile_sizes(groups_out, 6),
        tile_sizes(groups_in, 8),
        strips,
        orders,
        (1, 2),
        (1, 2),
        (1, 2),
    )
    n_sp = _ceil(w.out_height, rows) * _ceil(w.out_width, cols)
    n_co, n_ci = _ceil(groups_out, tco), _ceil(groups_in, tci)
    subs_in, subs_out = blocking.in_subs, min(blocking.out_subs, out_blocks)
    sampled = w.kernel[0] == 1 and not (w.padding[0] or w.padding[2] or w.in_border)
    stride = 1 if sampled else w.stride[0]
    high = (rows - 1) * stride + w.kernel[0]
    wide = (cols - 1) * w.stride[1] + w.kernel[1]
    blocks_in = np.minimum(tci * subs_in, in_blocks)
    blocks_out = np.minimum(tco * subs_out, out_blocks)
    bias = w.bias_tiles * blocks_out
    wgt_slot = blocks_out * blocks_in * taps + bias
    # Slots: resident operands have one slot a chunk (mode 2: twice that, to prefetch the next).
    inp_slots = n_ci * inp_mode if flow == "is" else inp_mode
    wgt_slots = n_ci * wgt_mode if flow in ("ws", "rs") else wgt_mode
    if flow in ("ws", "rs"):
        # Where a whole reduction's weights do not fit, the tile is bounded by the accumulators.
        overflow = (n_ci * wgt_slot > cfg.wgt_depth) | (co_major == 0)
        wgt_slots = np.where(overflow, wgt_mode, wgt_slots)
    strip_high = (np.minimum(rows * strip, w.out_height) - 1) * stride + w.kernel[0]
    inp_slot = tci * high * wide * subs_in
    if flow == "rs":
        inp_slot = groups_in * strip_high * wide * subs_in
    fits = (
        (inp_slots * inp_slot + 1 <= cfg.inp_depth)
        & (wgt_slots * wgt_slot <= cfg.wgt_depth)
        & (acc_slots * np.maximum(blocks_out * rows * cols, 4) <= cfg.acc_depth)
    )
    if not fits.any():
        return []
    columns = [rows, cols, tco, tci, strip, co_major, inp_slots, wgt_slots, acc_slots]
    rows, cols, tco, tci, strip, co_major, inp_slots, wgt_slots, acc_slots = (
        c[fits] for c in columns
    )
    n_sp, n_co, n_ci, high, wide, wgt_slot, strip_high = (
        c[fits] for c in (n_sp, n_co, n_ci, high, wide, wgt_slot, strip_high)
    )
    latency = cfg.read_latency + _OVERHEAD_LOAD
    # Input loads: how often each chunk comes, in how many instructions and rows.
    inp_kept = (co_major == 0) & (inp_slots >= n_ci)
    inp_times = n_sp * np.where(inp_kept, 1, n_co)
    fresh = np.minimum(high, rows * stride) if flow == "rs" else high
    if flow == "rs":
        inp_times = n_sp * np.where(co_major == 0, 1, n_co)
        restart = np.maximum(w.kernel[0] - stride, 0) / np.maximum(strip, 1)
        fresh = np.asarray(fresh + restart)
    whole = (wide >= w.width) & (w.padding[1] + w.padding[3] == 0)
    line = _row_beats(cfg, wide * subs_in, cfg.inp_element_bytes)
    image = groups_in * line * fresh
    inp_loads = np.where(whole, n_ci, groups_in)
    load = inp_times * (inp_loads * latency + image)
    wgt_kept = (co_major == 1) & (wgt_slots >= n_ci)
    wgt_times = np.where(wgt_kept, 1, n_sp)
    all_tiles = out_blocks * (in_blocks * taps + w.bias_tiles)
    wgt_beats = _ceil(all_tiles * cfg.wgt_element_bytes, cfg.bus_bits // 8)
    load = load + wgt_times * (n_co * n_ci * latency + wgt_beats)
    elements = out_blocks * w.out_height * w.out_width
    tiles = n_sp * n_co
    gemm = elements * (in_blocks * taps + 4 + w.bias_tiles)
    compute = gemm + tiles * _OVERHEAD_GEMM * (n_ci + 4 + w.bias_tiles) + 0.0
    whole_out = cols == output_layout(w).pitch
    if subs_out == blocking.out_subs:
        bursts = np.where(whole_out, groups_out * n_sp, groups_out * n_sp * rows)
    else:
        bursts = np.full_like(rows, groups_out * w.out_height * w.out_width)
    store = _store_cycles(cfg, np.full_like(rows, elements), bursts) + tiles + 0.0
    steps = tiles * n_ci
    stores = np.where(whole_out, 1, rows if subs_out < blocking.out_subs else 1) * tco
    instructions = inp_times * inp_loads + wgt_times * n_co * n_ci + steps + tiles * (5 + stores)
    fetch = instructions * _FETCH
    first = latency * 2 + image / np.maximum(n_ci, 1) + wgt_beats / (n_co * n_ci)
    total = _overlap(load + 0.0, compute, store, steps, inp_slots, acc_slots)
    total = np.maximum(total, fetch) + first
    uops = _uop_estimate(
        np.stack(
            [
                rows,
                cols,
                np.minimum(tco * subs_out, out_blocks),
                np.minimum(tci * subs_in, in_blocks),
                np.full_like(rows, w.kernel[0]),
                np.full_like(rows, w.kernel[1]),
            ]
        )
    )
    uops = uops * np.maximum(np.maximum(inp_slots, wgt_slots), acc_slots) * strip
    order = np.lexsort((total, uops > uop_capacity(cfg)))
    return [
        Ranked(
            Schedule(
                flow,
                int(rows[i]),
                int(cols[i]),
                int(tco[i]),
                int(tci[i]),
                bool(co_major[i]),
                int(inp_slots[i]),
                int(wgt_slots[i]),
                int(acc_slots[i]),
                int(strip[i]),
            ),
            float(total[i]),
        )
        for i in order[:_KEEP]
    ]


def _uop_estimate(extents: Column) -> Column:
    """Micro-ops of a GEMM whose two longest loops of ``extents`` [loops, schedules] iterate."""
    ordered = np.sort(extents, axis=0)
    return ordered[:-2].prod(axis=0)


def _rank_streaming(workload: PoolWorkload | ElementwiseWorkload, cfg: VtaConfig) -> list[Ranked]:
    w, blocking = workload, Blocking.of(cfg)
    groups = blocking.groups(w.channels)
    blocks = blocking.out_blocks(w.channels)
    operands = w.operands if isinstance(w, ElementwiseWorkload) else 1
    rows, cols, tco, inp_slots, acc_slots = _grid(
        tile_sizes(w.out_height), tile_sizes(w.out_width, 6), tile_sizes(groups, 8), (1, 2), (1, 2)
    )
    subs_in, subs_out = blocking.in_subs, min(blocking.out_subs, blocks)
    if isinstance(w, PoolWorkload):
        high = np.minimum((rows - 1) * w.stride[0] + w.kernel[0], w.height)
        wide = np.minimum((cols - 1) * w.stride[1] + w.kernel[1], w.width)
        border = w.in_border
    else:
        high, wide, border = rows, cols, max(w.in_borders)
    copied = isinstance(w, PoolWorkload) and w.kind == "max"
    acc_slot = tco * subs_out * (rows * cols + (high * wide if copied else 0)) + SCRATCH
    inp_slot = operands * tco * high * wide * subs_in
    fits = (inp_slots * inp_slot + 1 <= cfg.inp_depth) & (acc_slots * acc_slot <= cfg.acc_depth)
    if not fits.any():
        return []
    rows, cols, tco, inp_slots, acc_slots, high, wide = (
        c[fits] for c in (rows, cols, tco, inp_slots, acc_slots, high, wide)
    )
    tiles = _ceil(w.out_height, rows) * _ceil(w.out_width, cols) * _ceil(groups, tco)
    latency = cfg.read_latency + _OVERHEAD_LOAD
    line = _row_beats(cfg, wide * subs_in, cfg.inp_element_bytes)
    whole = wide == w.width + 2 * border
    loads = np.where(whole & (high == w.height), 1, tco) * operands
    load = tiles * (loads * latency + operands * tco * high * line)
    per_tile = _instructions(w)
    elements = blocks * w.out_height * w.out_width
    gemm, alu = _work(w, subs_in, cfg, (high * wide) / (rows * cols))
    compute = elements * (gemm + alu) + tiles * _OVERHEAD_GEMM * per_tile
    lines = np.where(cols == output_layout(w).pitch, 1, rows)
    bursts = tiles * tco * lines
    if subs_out < blocking.out_subs:
        bursts = np.full_like(rows, groups * w.out_height * w.out_width)
    store = _store_cycles(cfg, np.full_like(rows, elements), bursts) + tiles
    fetch = tiles * (loads + per_tile + tco) * _FETCH
    total = _overlap(load + 0.0, compute, store + 0.0, tiles, inp_slots, acc_slots)
    total = np.maximum(total, fetch) + 3 * latency
    order = np.argsort(total, kind="stable")[:_KEEP]
    return [
        Ranked(
            Schedule(
                "os",
                int(rows[i]),
                int(cols[i]),
                int(tco[i]),
                1,
                True,
                int(inp_slots[i]),
                1,
                int(acc_slots[i]),
            ),
            float(total[i]),
        )
        for i in order
    ]


def _instructions(w: PoolWorkload | ElementwiseWorkload) -> int:
    """GEMM and ALU instructions of one tile."""
    if isinstance(w, ElementwiseWorkload):
        return w.operands + 5
    if w.kind == "max":
        return 3 + w.kernel[0] * w.kernel[1]
    return 4 + 2 * min(len(valid_counts(w)) ** 2, 9)


def _work(
    w: PoolWorkload | ElementwiseWorkload, subs_in: int, cfg: VtaConfig, halo: Cycles
) -> tuple[Cycles, float]:
    """(GEMM, other) cycles per output element; ``halo`` = input per output pixels of a tile."""
    bias = default_bias_tiles(cfg)
    if isinstance(w, ElementwiseWorkload):
        return np.full_like(halo, w.operands * subs_in), 4.0 + bias
    taps = w.kernel[0] * w.kernel[1]
    if w.kind == "max":
        return halo * (1 + subs_in), 2.0 + 2 * taps
    return np.full_like(halo, taps * subs_in), 4.0 + bias
