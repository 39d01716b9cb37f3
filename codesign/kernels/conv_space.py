# numpy's reshape, view and copy are partially unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""The schedule space of a convolution, priced in closed form without emitting anything.

`conv_schedules` enumerates tile sizes, loop orders and buffer splits as numpy columns, drops what
overflows a scratchpad and sorts the rest by estimated cycles (`conv_price`); the simulator decides
among the first few (`tuner`). Estimates are within a few per cent of the simulator.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np

from codesign.hw.config import VtaConfig
from codesign.kernels.blocking import Blocking
from codesign.kernels.bound import SCALING_ROWS
from codesign.kernels.conv_price import (
    Buffers,
    Tilings,
    input_groups,
    price,
    row_stride,
)
from codesign.kernels.identity import identity_count
from codesign.kernels.pricing import (
    Ranked,
    ceil_div,
    grid,
    tile_sizes,
    worth_a_look,
)
from codesign.kernels.schedule import (
    REUSE_DISTANCE,
    SCRATCH,
    FixedDataflow,
    Schedule,
    uop_capacity,
)
from codesign.kernels.workload import ConvWorkload

_DEEP = 6
"""Slots of a buffer that runs ahead further than a double one."""
_LONGEST_STRIP = 8


@dataclass(frozen=True)
class _Reach:
    """Input groups that a channel tile of ``out_groups`` reads, and whether it can be chunked."""

    out_groups: int
    reads: int
    chunked: bool


def conv_schedules(w: ConvWorkload, cfg: VtaConfig, flow: FixedDataflow) -> list[Ranked]:
    """Schedules of one dataflow that fit, best estimate first."""
    tilings, buffers = _with_buffers(w, cfg, flow, _tilings(w, cfg))
    if not tilings.rows.size:
        return []
    cycles, dram_bytes, floor, uops = price(w, cfg, flow, tilings, buffers)
    first = worth_a_look(cycles, dram_bytes, uops)
    t, b = tilings.take(first), buffers.take(first)
    tiles = (t.rows, t.cols, t.out_groups, t.in_groups, t.kernel_rows)
    orders = (b.co_major, b.inp, b.wgt, b.acc, b.strip, b.alternate)
    table = np.stack([*tiles, *orders]).T.tolist()
    estimates = np.stack([cycles, dram_bytes, floor])[:, first].T.tolist()
    return [
        Ranked(_schedule(flow, row), *estimate)
        for row, estimate in zip(table, estimates, strict=True)
    ]


def _schedule(flow: FixedDataflow, row: list[int]) -> Schedule:
    rows, cols, out_groups, in_groups, kernel_rows, co_major, inp, wgt, acc, strip, turns = row
    return Schedule(
        flow,
        rows,
        cols,
        out_groups,
        in_groups,
        bool(co_major),
        inp,
        wgt,
        acc,
        strip,
        kernel_rows,
        bool(turns),
    )


def _reaches(w: ConvWorkload, blocking: Blocking) -> list[_Reach]:
    groups_out = blocking.groups(w.out_channels)
    sizes = tile_sizes(groups_out, 7)
    if w.groups == 1:
        return [_Reach(size, blocking.groups(w.in_channels), True) for size in sizes]
    inputs = input_groups(w, blocking)
    found: list[_Reach] = []
    for size in sizes:
        tiles = [inputs[first : first + size] for first in range(0, groups_out, size)]
        reads = max(tile[-1].stop - tile[0].start for tile in tiles)
        found.append(_Reach(size, reads, all(len(set(tile)) == 1 for tile in tiles)))
    return found


@lru_cache(maxsize=8)  # the dataflows of one layer
def _tilings(w: ConvWorkload, cfg: VtaConfig) -> Tilings:
    """Every tiling that fits with one slot in each buffer."""
    blocking = Blocking.of(cfg)
    in_blocks, out_blocks = blocking.in_blocks(w.in_channels), blocking.out_blocks(w.out_channels)
    reaches = _reaches(w, blocking)
    most = max(r.reads for r in reaches)
    cuts = (0, 1) if w.kernel[0] > 1 and w.up == (1, 1) else (0,)
    rows, cols, reach, tci, kernel_rows = grid(
        tile_sizes(w.out_height),
        tile_sizes(w.out_width, 6),
        range(len(reaches)),
        tile_sizes(most, 8),
        cuts,
    )
    reads = np.array([r.reads for r in reaches])[reach]
    chunked = np.array([r.chunked for r in reaches])[reach]
    tco = np.array([r.out_groups for r in reaches])[reach]
    possible = np.where(chunked, tci <= reads, tci == most)
    possible &= (kernel_rows == 0) | (tci == 1) | ~chunked  # else fewer channels are the finer cut
    kept = np.flatnonzero(possible)
    rows, cols, tco, reads, chunked, kernel_rows = (
        c[kept] for c in (rows, cols, tco, reads, chunked, kernel_rows)
    )
    tci = np.where(chunked, tci[kept], reads)
    height = np.where(kernel_rows == 0, w.kernel[0], kernel_rows)
    parts = ceil_div(reads, tci)
    high = -(-((rows - 1) * row_stride(w) + w.reach[0]) // w.up[0])
    wide = -(-((cols - 1) * w.stride[1] + w.reach[1]) // w.up[1])
    blocks_in = np.minimum(tci * blocking.in_subs, in_blocks)
    blocks_out = np.minimum(tco * min(blocking.out_subs, out_blocks), out_blocks)
    # Where every output group has inputs of its own, its weights are of those alone.
    own = np.where(chunked, blocks_in, ceil_div(reads, tco) * blocking.in_subs)
    acc = np.maximum(blocks_out * rows * cols, 4)
    if w.groups > 1 or w.up != (1, 1) or w.residual_border is not None:
        acc = acc + SCRATCH
    # Rows of a tile that lie one behind the other are one loop.
    merged = (wide == cols) if w.kernel == (1, 1) and row_stride(w) == 1 else wide < 0
    plane = np.where(merged, rows * cols, rows), np.where(merged, 1, cols)
    loops = [*plane, blocks_out, own, height, w.kernel[1]]
    stacked = np.sort(np.stack(np.broadcast_arrays(*loops)), axis=0)
    few = blocks_out * rows * cols < REUSE_DISTANCE
    uops = np.where(few, stacked.prod(axis=0), stacked[:-2].prod(axis=0))
    tilings = Tilings(
        rows=rows,
        cols=cols,
        out_groups=tco,
        in_groups=tci,
        kernel_rows=kernel_rows,
        spatial=ceil_div(w.out_height, rows) * ceil_div(w.out_width, cols),
        channel=ceil_div(blocking.groups(w.out_channels), tco),
        chunks=parts * ceil_div(w.kernel[0], height),
        parts=parts,
        high=high,
        wide=wide,
        reads=reads,
        inp=tci * high * wide * blocking.in_subs,
        wgt=blocks_out * (own * height * w.kernel[1] + w.bias_tiles * prod(w.phases)),
        acc=acc,
        uops=uops,
    )
    fits = (tilings.inp < cfg.inp_depth) & (tilings.wgt <= cfg.wgt_depth)
    slots, room = _acc_slots(w, cfg)
    return tilings.take(fits & (slots * acc <= room) & (uops <= uop_capacity(cfg)))


def _acc_slots(w: ConvWorkload, cfg: VtaConfig) -> tuple[int, int]:
    """Fewest accumulator slots, one of them for a copy with multipliers, and room for slots."""
    if not w.multiply:
        return 1, cfg.acc_depth
    scaling = SCALING_ROWS * Blocking.of(cfg).out_blocks(w.out_channels)
    return 2, cfg.acc_depth - scaling


def _with_buffers(
    w: ConvWorkload, cfg: VtaConfig, flow: FixedDataflow, base: Tilings
) -> tuple[Tilings, Buffers]:
    """Loop orders and slots of one dataflow: each buffer double, or as deep as it pays."""
    orders = {"os": (0, 1), "ws": (1,), "is": (0,), "rs": (1, 0)}[flow]
    if flow == "rs" and (w.groups > 1 or w.up != (1, 1)):
        orders = (1,) if w.up == (1, 1) else ()
    strips = (1, _LONGEST_STRIP) if flow == "rs" else (1,)
    # Going through the reduction backwards pays where an operand is shared but does not stay.
    ways = (0, 1) if flow != "rs" and w.groups == 1 and w.residual_border is None else (0,)
    index, order, inp, wgt, strip, alternate = grid(
        range(base.rows.size), orders, (2, _DEEP), (2, _DEEP), strips, ways
    )
    blocking = Blocking.of(cfg)
    rows, chunks, parts = base.rows[index], base.chunks[index], base.parts[index]
    spatial, channel = base.spatial[index], base.channel[index]
    wgt_size, tiles = base.wgt[index], spatial * channel
    slots, room = _acc_slots(w, cfg)
    acc = np.minimum(np.minimum((room // base.acc - slots + 1)[index], tiles), 2)
    inp_depth, wgt_depth = cfg.inp_depth - 1, cfg.wgt_depth
    if w.residual_border is not None:
        pixels = (base.out_groups * base.rows * base.cols * blocking.in_subs)[index]
        inp_depth = inp_depth - acc * pixels
        wgt_depth = wgt_depth - identity_count(blocking)
    inp_size = base.inp[index]
    fits = (order == orders[0]) | ((spatial > 1) & (channel > 1)) if orders else order > 0
    if flow == "rs":
        stride = row_stride(w)
        pixels = (base.reads * base.wide * blocking.in_subs)[index]
        room = (inp_depth // (2 * pixels) - w.reach[0]) // stride + 1
        longest = np.minimum(room // rows, ceil_div(w.out_height, rows))
        fits &= (strip == 1) | (longest > 1)
        strip = np.clip(longest, 1, strip)
        high = (np.minimum(rows * strip, w.out_height) - 1) * stride + w.reach[0]
        inp_size = pixels * high
    # The slots of a whole reduction stay together; what does not fit streams.
    inp_whole, wgt_whole = np.ones_like(parts), np.ones_like(chunks)
    if flow == "is":
        inp_whole = np.where(parts * inp_size <= inp_depth, parts, 1)
    if flow in ("ws", "rs"):
        wgt_whole = np.where((chunks * wgt_size <= wgt_depth) & (order == 1), chunks, 1)
    # No more slots than loads.
    inp_room = np.minimum(inp_depth // (inp_whole * inp_size), ceil_div(tiles * parts, inp_whole))
    wgt_room = np.minimum(
        wgt_depth // (wgt_whole * wgt_size), ceil_div(channel * chunks, wgt_whole)
    )
    fits &= (inp_room > 0) & (wgt_room > 0)
    fits &= ((inp == 2) | (inp_room > 2)) & ((wgt == 2) | (wgt_room > 2))
    if flow != "rs":  # one order where there is only one, so that equal streams look equal
        order = np.where(spatial == 1, 0, np.where(channel == 1, 1, order))
    # What is shared from tile to tile takes all the room there is.
    inp_shared, wgt_shared = (alternate == 1) & (order == 0), (alternate == 1) & (order == 1)
    fits &= ~inp_shared | ((channel > 1) & (inp > 2) & (inp_whole == 1) & (inp_room < parts))
    fits &= ~wgt_shared | ((spatial > 1) & (wgt > 2) & (wgt_whole == 1) & (wgt_room < chunks))
    buffers = Buffers(
        order,
        np.where(inp_shared, inp_room, np.minimum(inp, inp_room)) * inp_whole,
        np.where(wgt_shared, wgt_room, np.minimum(wgt, wgt_room)) * wgt_whole,
        acc,
        strip,
        alternate,
    )
    kept = np.flatnonzero(fits)
    return base.take(index[kept]), buffers.take(kept)
