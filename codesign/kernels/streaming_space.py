# numpy's reshape, view and copy are partially unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""The schedule space of pooling, elementwise and gather units, priced in closed form."""

from __future__ import annotations

import numpy as np

from codesign.hw.config import VtaConfig
from codesign.kernels.blocking import Blocking, channel_tiles
from codesign.kernels.constants import default_bias_tiles
from codesign.kernels.layout import output_layout
from codesign.kernels.pool import valid_counts
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
from codesign.kernels.workload import ElementwiseWorkload, GatherWorkload, PoolWorkload

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


def streaming_schedules(
    workload: PoolWorkload | ElementwiseWorkload | GatherWorkload, cfg: VtaConfig
) -> list[Ranked]:
    """Schedules that fit, best estimate first."""
    w, blocking = workload, Blocking.of(cfg)
    channels = output_layout(w).channels
    groups = blocking.groups(channels)
    blocks = blocking.out_blocks(channels)
    rows, cols, tco, inp_slots, acc_slots = grid(
        tile_sizes(w.out_height), tile_sizes(w.out_width, 6), tile_sizes(groups, 8), (1, 2), (1, 2)
    )
    subs_in, subs_out = blocking.in_subs, min(blocking.out_subs, blocks)
    if isinstance(w, PoolWorkload):
        high = np.minimum((rows - 1) * w.stride[0] + w.kernel[0], w.height)
        wide = np.minimum((cols - 1) * w.stride[1] + w.kernel[1], w.width)
        border = w.in_border
    elif isinstance(w, GatherWorkload):
        high = np.minimum(ceil_div(rows + w.repeat[0] - 1, w.repeat[0]), w.height)
        wide = np.minimum(ceil_div(cols + w.repeat[1] - 1, w.repeat[1]), w.width)
        border = max(w.in_borders)
    else:
        high, wide, border = rows, cols, max(w.in_borders)
    # Input groups under a tile, weight tiles, and GEMM micro-ops of an accumulator.
    reads, weights, terms = tco, np.zeros_like(tco), float(subs_in)
    if isinstance(w, ElementwiseWorkload):
        reads, terms = w.operands * tco, float(w.operands * subs_in)
    elif isinstance(w, GatherWorkload):
        demands = {int(t): _gather_demand(w, blocking, cfg, int(t)) for t in np.unique(tco)}
        reads, weights = (np.array([demands[int(t)][i] for t in tco]) for i in (0, 1))
        terms = demands[int(tco[0])][2]
    copied = isinstance(w, PoolWorkload) and w.kind == "max"
    acc_slot = tco * subs_out * (rows * cols + (high * wide if copied else 0)) + SCRATCH
    inp_slot = reads * high * wide * subs_in
    fits = (inp_slots * inp_slot + 1 <= cfg.inp_depth) & (acc_slots * acc_slot <= cfg.acc_depth)
    fits &= weights <= cfg.wgt_depth
    if not fits.any():
        return []
    rows, cols, tco, inp_slots, acc_slots, high, wide, reads = (
        c[fits] for c in (rows, cols, tco, inp_slots, acc_slots, high, wide, reads)
    )
    tiles = ceil_div(w.out_height, rows) * ceil_div(w.out_width, cols) * ceil_div(groups, tco)
    latency = cfg.read_latency + OVERHEAD_LOAD
    line = row_beats(cfg, wide * subs_in)
    whole = wide == w.width + 2 * border
    loads = np.where(whole & (high == w.height), reads / tco, reads)
    load = tiles * (loads * latency + reads * high * line)
    per_tile = _instructions(w)
    elements = blocks * w.out_height * w.out_width
    gemm, alu = _work(w, terms, cfg, (high * wide) / (rows * cols))
    compute = elements * (gemm + alu) + tiles * OVERHEAD_GEMM * per_tile
    lines = np.where(cols == output_layout(w).pitch, 1, rows)
    bursts = tiles * tco * lines
    if subs_out < blocking.out_subs:
        bursts = np.full_like(rows, groups * w.out_height * w.out_width)
    store = store_cycles(cfg, elements, bursts) + tiles
    fetch = tiles * (loads + per_tile + tco) * FETCH
    total = _overlap(load + 0.0, compute, store + 0.0, tiles, inp_slots, acc_slots)
    total = np.maximum(total, fetch) + 3 * latency
    read = tiles * reads * high * wide * (subs_in * float(cfg.inp_element_bytes))
    first = worth_a_look(total, read)
    columns = np.stack([rows, cols, tco, inp_slots, acc_slots])[:, first].T.tolist()
    estimates = np.stack([total, read])[:, first].T.tolist()
    return [
        Ranked(Schedule("os", rows, cols, tco, 1, True, inp, 1, acc), *estimate)
        for (rows, cols, tco, inp, acc), estimate in zip(columns, estimates, strict=True)
    ]


def _gather_demand(
    w: GatherWorkload, blocking: Blocking, cfg: VtaConfig, step: int
) -> tuple[int, int, float]:
    """(input groups, weight tiles) of the largest tile of ``step`` groups, and terms a block."""
    tiles = channel_tiles(len(w.picks), step, blocking)
    found = [(tile.blocks, select(w, blocking, tile)) for tile in tiles]
    bias = default_bias_tiles(cfg)
    terms = sum(len(block) for _, s in found for block in s.terms)
    return (
        max(_groups_read(s, blocking) for _, s in found),
        max(len(s.patterns) + blocks * bias for blocks, s in found),
        terms / blocking.out_blocks(len(w.picks)),
    )


def _groups_read(selection: Selection, blocking: Blocking) -> int:
    terms = (term for block in selection.terms for term in block)
    return len({(term.source, term.block // blocking.in_subs) for term in terms})


def _instructions(w: _Streaming) -> int:
    """GEMM and ALU instructions of one tile."""
    if isinstance(w, ElementwiseWorkload):
        return w.operands + 5
    if isinstance(w, GatherWorkload):
        return len(w.channels) + 5
    if w.kind == "max":
        return 3 + w.kernel[0] * w.kernel[1]
    return 4 + 2 * min(len(valid_counts(w)) ** 2, 9)


def _work(w: _Streaming, terms: float, cfg: VtaConfig, halo: Cycles) -> tuple[Cycles, float]:
    """(GEMM, other) cycles per output element; ``halo`` = input per output pixels of a tile.

    ``terms``: GEMM micro-ops that bring one input pixel of an output block in, over all sources.
    """
    bias = default_bias_tiles(cfg)
    if not isinstance(w, PoolWorkload):
        return np.full_like(halo, terms), 4.0 + bias
    taps = w.kernel[0] * w.kernel[1]
    if w.kind == "max":
        return halo * (1 + terms), 2.0 + 2 * taps
    return np.full_like(halo, taps * terms), 4.0 + bias
