# numpy's reshape, view and copy are partially unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""The schedule space of pooling, elementwise and gather units, priced in closed form."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from codesign.hw.config import VtaConfig
from codesign.kernels.blocking import Blocking, channel_tiles
from codesign.kernels.constants import default_bias_tiles
from codesign.kernels.layout import input_layouts, output_layout
from codesign.kernels.pool import max_form, maxima, valid_counts, window_comes_whole
from codesign.kernels.pricing import (
    FETCH,
    OVERHEAD_GEMM,
    OVERHEAD_LOAD,
    Column,
    Cycles,
    Ranked,
    ceil_div,
    grid,
    row_beats,
    store_cycles,
    tile_sizes,
    worth_a_look,
)
from codesign.kernels.schedule import SCRATCH, Schedule
from codesign.kernels.selection import Selection, select
from codesign.kernels.workload import (
    ElementwiseWorkload,
    GatherWorkload,
    PoolWorkload,
    shift_steps,
)

_Streaming = PoolWorkload | ElementwiseWorkload | GatherWorkload


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


@dataclass(frozen=True)
class _Demand:
    """What tiles take: INP pixels and channel groups, accumulators of a block, weight tiles.

    ``gemm`` and ``alu`` are COMPUTE cycles of one accumulator, ``instructions`` those of a tile.
    """

    high: Column
    wide: Column
    groups: Column
    accumulators: Column
    weights: Column
    gemm: Cycles
    alu: Cycles
    instructions: Column


def streaming_schedules(workload: _Streaming, cfg: VtaConfig) -> list[Ranked]:
    """Schedules that fit, best estimate first."""
    w, blocking = workload, Blocking.of(cfg)
    target = output_layout(w)
    groups, blocks = blocking.groups(target.channels), blocking.out_blocks(target.channels)
    rows, cols, tco, taps, inp_slots, acc_slots = grid(
        tile_sizes(w.out_height),
        tile_sizes(w.out_width, 6),
        tile_sizes(groups, 8),
        _window_rows(w, cfg),
        (1, 2),
        (1, 2),
    )
    subs_in, subs_out = blocking.in_subs, min(blocking.out_subs, blocks)
    d = _demand(w, cfg, rows, cols, tco, taps)
    acc_slot = tco * subs_out * d.accumulators + SCRATCH
    inp_slot = d.groups * d.high * d.wide * subs_in
    fits = (inp_slots * inp_slot + 1 <= cfg.inp_depth) & (acc_slots * acc_slot <= cfg.acc_depth)
    fits &= d.weights <= cfg.wgt_depth
    if not fits.any():
        return []
    rows, cols, tco, taps, inp_slots, acc_slots = (
        c[fits] for c in (rows, cols, tco, taps, inp_slots, acc_slots)
    )
    d = _Demand(*(getattr(d, field.name)[fits] for field in fields(d)))
    kernel = w.kernel[0] if isinstance(w, PoolWorkload) else 1
    tiles = ceil_div(w.out_height, rows) * ceil_div(w.out_width, cols) * ceil_div(groups, tco)
    steps = tiles * ceil_div(kernel, taps)
    latency = cfg.read_latency + OVERHEAD_LOAD
    line = row_beats(cfg, d.wide * subs_in)
    pitch = max(t.pitch for t in input_layouts(w))
    whole = (d.wide == pitch) & (d.high == w.height)
    loads = np.where(whole, d.groups / tco, d.groups)
    load = steps * (loads * latency + d.groups * d.high * line)
    elements = blocks * w.out_height * w.out_width
    compute = elements * (d.gemm + d.alu) + steps * OVERHEAD_GEMM * d.instructions
    apart = isinstance(w, PoolWorkload) and w.kind == "max"  # output rows may not be neighbours
    lines = np.where((cols == target.pitch) & (not apart), 1, rows)
    bursts = tiles * tco * lines
    if subs_out < blocking.out_subs:
        bursts = np.full_like(rows, groups * w.out_height * w.out_width)
    store = store_cycles(cfg, elements, bursts) + tiles
    fetch = (steps * (loads + d.instructions) + tiles * tco * (lines if apart else 1)) * FETCH
    total = _overlap(load + 0.0, compute, store + 0.0, steps, inp_slots, acc_slots)
    total = np.maximum(total, fetch) + 3 * latency
    read = steps * d.groups * d.high * d.wide * (subs_in * float(cfg.inp_element_bytes))
    first = worth_a_look(total, read, np.zeros_like(rows))
    taps = np.where(taps < kernel, taps, 0)
    columns = np.stack([rows, cols, tco, inp_slots, acc_slots, taps])[:, first].T.tolist()
    estimates = np.stack([total, read])[:, first].T.tolist()
    return [
        Ranked(Schedule("os", rows, cols, tco, 1, True, inp, 1, acc, kernel_rows=taps), *estimate)
        for (rows, cols, tco, inp, acc, taps), estimate in zip(columns, estimates, strict=True)
    ]


def _window_rows(w: _Streaming, cfg: VtaConfig) -> list[int]:
    """Rows of a window that come in one step: all, or parts of windows that fill INP or ACC."""
    if not isinstance(w, PoolWorkload):
        return [1]
    if w.digits > 1 or window_comes_whole(w, cfg):
        return [w.kernel[0]]
    return tile_sizes(w.kernel[0], 8)


def _demand(
    w: _Streaming, cfg: VtaConfig, rows: Column, cols: Column, tco: Column, taps: Column
) -> _Demand:
    blocking = Blocking.of(cfg)
    subs, outputs, digits = blocking.in_subs, rows * cols, w.digits
    epilogue = 2.0 + shift_steps(w) + digits + default_bias_tiles(cfg) * min(digits, 2)
    more = 2 * digits - (digits == 1)  # instructions of the epilogue beyond the least
    same = np.ones_like(rows)
    if isinstance(w, PoolWorkload):
        high = np.minimum((rows - 1) * w.stride[0] + taps, w.height)
        wide = np.minimum((cols - 1) * w.stride[1] + w.kernel[1], w.width)
        if w.kind == "max":
            return _max_demand(w, blocking, rows, cols, tco, taps, high, wide)
        gemm = float(digits * w.kernel[0] * w.kernel[1] * subs)
        count = 3 + more + 2 * digits * min(len(valid_counts(w)) ** 2, 9)
        alu = same * epilogue
        return _Demand(high, wide, tco, outputs, 0 * same, gemm * same, alu, count * same)
    if isinstance(w, ElementwiseWorkload):
        reads, terms = w.operands * tco, float(digits * w.operands * subs)
        count = digits * w.operands + 4 + more
        alu = same * epilogue
        return _Demand(rows, cols, reads, outputs, 0 * same, terms * same, alu, count * same)
    high = np.minimum(ceil_div(rows + w.repeat[0] - 1, w.repeat[0]), w.height)
    wide = np.minimum(ceil_div(cols + w.repeat[1] - 1, w.repeat[1]), w.width)
    demands = {int(t): _gather_demand(w, blocking, cfg, int(t)) for t in np.unique(tco)}
    reads, weights = (np.array([demands[int(t)][i] for t in tco]) for i in (0, 1))
    terms = digits * demands[int(tco[0])][2] * same
    count = (digits * len(w.channels) + 4 + more) * same
    return _Demand(high, wide, reads, outputs, weights, terms, same * epilogue, count)


def _max_demand(
    w: PoolWorkload,
    blocking: Blocking,
    rows: Column,
    cols: Column,
    tco: Column,
    taps: Column,
    high: Column,
    wide: Column,
) -> _Demand:
    """Tiles of a max pooling (csrc/max_pool.cc), padding taken for pixels."""
    (ky, kx), (sy, sx), subs = w.kernel, w.stride, blocking.in_subs
    same, outputs = np.ones_like(rows), rows * cols
    along_x, tap = 2.0 * maxima(kx, sx), 1 + 2 * subs
    all_high, all_wide = (rows - 1) * sy + taps, (cols - 1) * sx + kx
    along_y = np.array([2.0 * maxima(int(t), sy) for t in taps])
    whole = max_form(w, blocking)
    copied = (taps < ky) | (whole == "copied")
    gathered = copied & ((taps < ky) | (sx > 1))
    if whole == "taps":
        area, work, count = outputs, outputs * (ky * kx * tap - subs), 3 * ky * kx
        along_y = np.where(copied, along_y, 0.0)
    else:
        area, work, count = all_high * cols, all_high * cols * (kx * tap - subs), 3 * kx + 3
    copies = high * wide * subs + all_high * (all_wide + cols * along_x)
    work = np.where(copied, copies, work) + outputs * along_y
    work = (work + np.where(gathered, 3 * outputs, 0)) * ceil_div(ky, taps)
    area = np.where(copied, all_high * all_wide + np.where(gathered, outputs, 0), area)
    instructions = np.where(copied, 8 + maxima(kx, sx), count) + maxima(ky, sy)
    return _Demand(high, wide, tco, area, 0 * same, 0.0 * same, work / outputs, instructions * same)


def _gather_demand(
    w: GatherWorkload, blocking: Blocking, cfg: VtaConfig, step: int
) -> tuple[int, int, float]:
    """(input groups, weight tiles) of the largest tile of ``step`` groups, and terms a block."""
    tiles = channel_tiles(len(w.picks), step, blocking)
    found = [(tile.blocks, select(w, blocking, tile)) for tile in tiles]
    bias = default_bias_tiles(cfg) * min(w.digits, 2)
    terms = sum(len(block) for _, s in found for block in s.terms)
    return (
        max(_groups_read(s, blocking) for _, s in found),
        max(w.digits * len(s.patterns) + blocks * bias for blocks, s in found),
        terms / blocking.out_blocks(len(w.picks)),
    )


def _groups_read(selection: Selection, blocking: Blocking) -> int:
    terms = (term for block in selection.terms for term in block)
    return len({(term.source, term.block // blocking.in_subs) for term in terms})
