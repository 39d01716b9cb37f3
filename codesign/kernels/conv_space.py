# numpy's reshape, view and copy are partially unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""The schedule space of a convolution, priced in closed form without emitting anything.

`conv_schedules` enumerates tile sizes, loop orders and buffer splits as numpy columns, drops what
overflows a scratchpad and sorts the rest by estimated cycles (`_price`); the simulator decides
among the first few (`tuner`). Estimates are within a few per cent of the simulator.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np

from codesign.hw.config import VtaConfig
from codesign.kernels.blocking import Blocking
from codesign.kernels.identity import identity_count
from codesign.kernels.layout import output_layout
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
_PART_OUT, _PART_IN = 28.0, 40.0
"""Cycles that one part more of the last outputs, or of the first weights, costs."""
_DOUBT, _CROWDED = 1.25, 1000.0
"""Where micro-ops seem that much too many, a factor on the cycles: tried last."""


@dataclass(frozen=True)
class _Columns:
    """Equally long columns."""

    def take(self, index: Any) -> Any:
        return type(self)(*(getattr(self, f.name)[index] for f in fields(self)))


@dataclass(frozen=True)
class _Tilings(_Columns):
    """What does not depend on buffer slots; ``inp``, ``wgt``, ``acc`` are elements of one slot.

    ``spatial``, ``channel``, ``chunks``: number of tiles over output pixels and output channels,
    and steps of a reduction, which reads its input in ``parts``. ``high`` x ``wide``: input pixels
    of a tile. ``reads``: input groups of a channel tile. ``kernel_rows``: as in `Schedule`.
    ``uops``: micro-ops of one GEMM.
    """

    rows: Column
    cols: Column
    out_groups: Column
    in_groups: Column
    kernel_rows: Column
    spatial: Column
    channel: Column
    chunks: Column
    parts: Column
    high: Column
    wide: Column
    reads: Column
    inp: Column
    wgt: Column
    acc: Column
    uops: Column


@dataclass(frozen=True)
class _Buffers(_Columns):
    """Loop order and slots, beside the tilings that they belong to."""

    co_major: Column
    inp: Column
    wgt: Column
    acc: Column
    strip: Column
    alternate: Column


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
    cycles, dram_bytes, floor, uops = _price(w, cfg, flow, tilings, buffers)
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


def _input_groups(w: ConvWorkload, blocking: Blocking) -> Iterator[range]:
    """Input groups that each output group reads."""
    of, into, size = w.out_channels // w.groups, w.in_channels // w.groups, blocking.group
    for group in range(blocking.groups(w.out_channels)):
        last = min((group + 1) * size, w.out_channels) - 1
        yield range(group * size // of * into // size, blocking.groups((last // of + 1) * into))


def _reaches(w: ConvWorkload, blocking: Blocking) -> list[_Reach]:
    groups_out = blocking.groups(w.out_channels)
    sizes = tile_sizes(groups_out, 7)
    if w.groups == 1:
        return [_Reach(size, blocking.groups(w.in_channels), True) for size in sizes]
    inputs = list(_input_groups(w, blocking))
    found: list[_Reach] = []
    for size in sizes:
        tiles = [inputs[first : first + size] for first in range(0, groups_out, size)]
        reads = max(tile[-1].stop - tile[0].start for tile in tiles)
        found.append(_Reach(size, reads, all(len(set(tile)) == 1 for tile in tiles)))
    return found


@lru_cache(maxsize=8)  # the dataflows of one layer
def _tilings(w: ConvWorkload, cfg: VtaConfig) -> _Tilings:
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
    high = -(-((rows - 1) * _row_stride(w) + w.reach[0]) // w.up[0])
    wide = -(-((cols - 1) * w.stride[1] + w.reach[1]) // w.up[1])
    blocks_in = np.minimum(tci * blocking.in_subs, in_blocks)
    blocks_out = np.minimum(tco * min(blocking.out_subs, out_blocks), out_blocks)
    # Where every output group has inputs of its own, its weights are of those alone.
    own = np.where(chunked, blocks_in, ceil_div(reads, tco) * blocking.in_subs)
    acc = np.maximum(blocks_out * rows * cols, 4)
    if w.groups > 1 or w.up != (1, 1) or w.residual_border is not None:
        acc = acc + SCRATCH
    # Rows of a tile that lie one behind the other are one loop.
    merged = (wide == cols) if w.kernel == (1, 1) and _row_stride(w) == 1 else wide < 0
    plane = np.where(merged, rows * cols, rows), np.where(merged, 1, cols)
    loops = [*plane, blocks_out, own, height, w.kernel[1]]
    stacked = np.sort(np.stack(np.broadcast_arrays(*loops)), axis=0)
    few = blocks_out * rows * cols < REUSE_DISTANCE
    uops = np.where(few, stacked.prod(axis=0), stacked[:-2].prod(axis=0))
    tilings = _Tilings(
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
        wgt=blocks_out * (own * height * w.kernel[1] + w.bias_tiles),
        acc=acc,
        uops=uops,
    )
    fits = (tilings.inp < cfg.inp_depth) & (tilings.wgt <= cfg.wgt_depth)
    return tilings.take(fits & (acc <= cfg.acc_depth) & (uops <= uop_capacity(cfg)))


def _row_stride(w: ConvWorkload) -> int:
    """Rows in SRAM from one output row to the next; unread rows are not loaded where possible."""
    sampled = w.kernel[0] == 1 and not (w.padding[0] or w.padding[2] or w.in_border)
    return 1 if sampled else w.stride[0]


def _with_buffers(
    w: ConvWorkload, cfg: VtaConfig, flow: FixedDataflow, base: _Tilings
) -> tuple[_Tilings, _Buffers]:
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
    acc = np.minimum(np.minimum((cfg.acc_depth // base.acc)[index], tiles), 2)
    inp_depth, wgt_depth = cfg.inp_depth - 1, cfg.wgt_depth
    if w.residual_border is not None:
        pixels = (base.out_groups * base.rows * base.cols * blocking.in_subs)[index]
        inp_depth = inp_depth - acc * pixels
        wgt_depth = wgt_depth - identity_count(blocking)
    inp_size = base.inp[index]
    fits = (order == orders[0]) | ((spatial > 1) & (channel > 1)) if orders else order > 0
    if flow == "rs":
        stride = _row_stride(w)
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
    buffers = _Buffers(
        order,
        np.where(inp_shared, inp_room, np.minimum(inp, inp_room)) * inp_whole,
        np.where(wgt_shared, wgt_room, np.minimum(wgt, wgt_room)) * wgt_whole,
        acc,
        strip,
        alternate,
    )
    kept = np.flatnonzero(fits)
    return base.take(index[kept]), buffers.take(kept)


def _price(
    w: ConvWorkload, cfg: VtaConfig, flow: FixedDataflow, t: _Tilings, b: _Buffers
) -> tuple[Cycles, Cycles, Cycles, Column]:
    """Estimated cycles, DRAM bytes read, least cycles of COMPUTE, and micro-ops.

    Tiles run one after the other; some are *heavy*: they bring in the operand that stays for the
    light ones. A tile takes the longer of its loads and its work; before the first come the
    instructions, the micro-ops and the operands, after the last its store.
    """
    blocking, bus = Blocking.of(cfg), cfg.bus_bits // 8
    out_blocks, taps = blocking.out_blocks(w.out_channels), w.kernel[0] * w.kernel[1]
    latency = cfg.read_latency + OVERHEAD_LOAD
    stride, tiles = _row_stride(w), t.spatial * t.channel
    # Loads: the input of one tile and the weights of one channel tile, all chunks of each.
    whole = (t.wide >= w.width) & (w.padding[1] + w.padding[3] == 0)
    fresh = t.high + 0.0
    if flow == "rs":
        fresh = np.minimum(t.high, t.rows * stride) + max(w.reach[0] - stride, 0) / b.strip
    requests = np.where(whole, t.parts, t.reads)
    inp_load = requests * latency + t.reads * row_beats(cfg, t.wide * blocking.in_subs) * fresh
    if w.groups == 1:
        in_blocks = blocking.in_blocks(w.in_channels) + 0.0
    else:
        read = [len(inputs) for inputs in _input_groups(w, blocking)]
        in_blocks = sum(read) / len(read) * blocking.in_subs
    weight_tiles = out_blocks * (in_blocks * taps + w.bias_tiles)
    weight_bytes = weight_tiles * cfg.wgt_element_bytes
    wgt_load = t.chunks * latency + weight_bytes / t.channel / bus
    residual = np.zeros(tiles.size)
    if w.residual_border is not None:
        line = row_beats(cfg, t.cols * blocking.in_subs)
        residual = t.out_groups * (latency + t.rows * line)
    # Which operand stays, so that only heavy tiles bring it in.
    first_order = b.co_major == 1
    wgt_kept = (first_order | (t.channel == 1)) & (b.wgt >= t.chunks)
    if flow == "rs":
        inp_kept = ~first_order | (t.channel == 1)
    else:
        inp_kept = (~first_order | (t.spatial == 1)) & (b.inp >= t.parts) & (w.groups == 1)
    inp_kept &= ~wgt_kept | (t.spatial == 1)
    wgt_kept &= ~inp_kept
    # An operand may stay in part: what came in last, where the reduction alternates.
    turns = (b.alternate == 1) & ~inp_kept & ~wgt_kept
    inp_stay = np.where(turns & ~first_order, b.inp / t.parts, inp_kept + 0.0)
    wgt_stay = np.where(turns & first_order, b.wgt / t.chunks, wgt_kept + 0.0)
    inp_times = tiles - (tiles - t.spatial) * inp_stay
    wgt_times = tiles - (tiles - t.channel) * wgt_stay
    heavy = np.where(wgt_stay > 0, t.channel, np.where(inp_stay > 0, t.spatial, tiles))
    heavy_load = inp_load + wgt_load + residual
    light_load = inp_load * (1 - inp_stay) + wgt_load * (1 - wgt_stay) + residual
    load = inp_times * inp_load + wgt_times * wgt_load + tiles * residual
    # Work: a step for each chunk, and a tile's end.
    elements = out_blocks * w.out_height * w.out_width
    extra = 4 + w.bias_tiles + 5 * w.multiply + 3 * (w.residual_border is not None)
    gemm = elements * in_blocks * taps / (w.up[0] * w.up[1])
    step = gemm / (tiles * t.chunks) + OVERHEAD_GEMM
    end = elements * extra / tiles + OVERHEAD_GEMM * extra
    work = t.chunks * step + end
    # Stores.
    lines = np.where(t.cols == output_layout(w).pitch, 1, t.rows)
    ragged = out_blocks < blocking.out_subs
    bursts = lines * t.spatial * blocking.groups(w.out_channels)
    if ragged:
        bursts = np.full_like(bursts, w.out_height * w.out_width)
    store = store_cycles(cfg, elements, bursts) + tiles
    # The last tile leaves in parts, and the first weights come in parts.
    drain = store / tiles
    pieces = np.clip(np.rint(np.sqrt(drain / _PART_OUT)), 1, np.maximum(elements / tiles / 16, 1))
    drain = drain / pieces + _PART_OUT * (pieces - 1)
    # Before the first step: one fetch chunk, micro-ops, operands.
    instructions = inp_times * requests + (wgt_times + tiles) * t.chunks + 3.0
    instructions = instructions + tiles * (extra + (lines if ragged else t.out_groups))
    # Every combination of slots that meet has micro-ops of its own.
    rows = t.chunks // t.parts
    variants = np.where(turns, b.inp * rows * b.wgt, np.lcm(b.inp * rows, b.wgt)) * b.acc
    if flow == "rs":
        variants = b.inp * b.strip * t.chunks * b.acc
    uops = t.uops * np.minimum(variants, tiles * t.chunks)
    uop_bytes = np.minimum(uops, uop_capacity(cfg)) * cfg.uop_bytes
    burst = np.minimum(instructions * cfg.instruction_bytes, cfg.burst_bytes)
    fill = (burst + uop_bytes) / bus + cfg.read_latency + 3.0 * latency
    head = wgt_load / t.chunks
    pieces = np.clip(np.rint(np.sqrt(head / _PART_IN)), 1, t.out_groups)
    ready = fill + inp_load / t.parts + head / pieces + _PART_IN * (pieces - 1)
    # LOAD runs ahead by the free slots, then waits for the tile's end.
    free = np.where(wgt_kept, b.inp, np.where(inp_kept, b.wgt, np.minimum(b.inp, b.wgt)))
    if flow == "rs":
        free = np.where(wgt_kept, 2, free)

    def paced(loads: Column | Cycles) -> Cycles:
        waits = np.maximum(end + step - free * (loads / t.chunks), 0)
        return np.maximum(work, loads + np.where(free <= t.chunks, waits, 0))

    ahead = np.maximum(np.minimum(b.inp, b.wgt) - 1, 0) * step + end * (b.inp > 1)
    again = np.where(tiles == heavy, heavy_load, np.maximum(heavy_load - ahead, 0))
    total = ready + np.maximum(work, heavy_load - (ready - fill) + step + end)
    total = total + (heavy - 1) * paced(again) + (tiles - heavy) * paced(light_load) + drain
    # A single buffer puts its loads, or stores, in a row with the work.
    total = total + np.where(b.inp == 1, (inp_times - 1 / t.parts) * inp_load, 0)
    total = total + np.where(b.wgt == 1, (wgt_times - 1 / t.chunks) * wgt_load, 0)
    total = total + np.where(b.acc == 1, (tiles - 1) * drain, 0)
    total = np.maximum(total, fill + load + step + end + drain)
    total = np.maximum(total, ready + work + store * (1 - 1 / tiles) + drain)
    total = np.maximum(total, instructions * FETCH + fill)
    line_bytes = t.wide * blocking.in_subs * cfg.inp_element_bytes
    dram_bytes = inp_times * t.reads * line_bytes * np.minimum(fresh, w.height)
    dram_bytes = dram_bytes + wgt_times * (weight_bytes / t.channel) + uop_bytes
    total = np.where(uops > _DOUBT * uop_capacity(cfg), _CROWDED * total, total)
    exact = w.groups == 1 and w.up == (1, 1)
    return total, dram_bytes, tiles * work if exact else np.zeros_like(total), uops
