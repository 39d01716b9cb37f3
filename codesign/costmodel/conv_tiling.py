"""One tiling of a convolution as stages of the pipeline, for arrays of pairs."""

from __future__ import annotations

from dataclasses import dataclass

from codesign.costmodel.arrays import Array, Arrays, Columns
from codesign.costmodel.demand import (
    Blocks,
    Plane,
    channel_tiles,
    plane_store,
    row_cycles,
    tile_groups,
)
from codesign.costmodel.pipeline import AHEAD, GEMM_OVERHEAD, LOAD_OVERHEAD, Stages
from codesign.costmodel.work import Work

MOST_UOPS = 2048.0
"""`codesign.kernels.schedule.MAX_UOPS`."""
LONGEST_STRIP = 8.0
REUSE_DISTANCE = 3.0


@dataclass(frozen=True)
class ChannelCut:
    """Output channels cut into tiles of ``groups``, their inputs into ``parts``.

    ``turns``: tiles as the order of loops counts them, a ragged group with the one before it;
    ``reads``: input groups of a tile; ``chunk``: INP elements of a pixel in a step; ``load``: LOAD
    cycles of a tile's weights; ``room``: steps whose weights fit at once; ``stays``: share of a
    tile's weights that stays for the next, all or none where ``whole``; ``extra``: instructions of
    a tile's end; ``long``, ``both_loops``: the longer of the loops over output and input blocks,
    and both; ``pixel_uops``: micro-ops of an output pixel without loops; ``possible``: a
    transposed convolution takes all kernel rows at once.
    """

    groups: Array
    tiles: Array
    turns: Array
    blocks: Array
    reads: Array
    parts: Array
    chunks: Array
    chunk: Array
    load: Array
    room: Array
    stays: Array
    whole: Array
    extra: Array
    long: Array
    both_loops: Array
    pixel_uops: Array
    possible: Array


def channel_cut(
    a: Arrays, w: Columns, c: Columns, b: Blocks, groups: Array, cut: Array, by_row: Array
) -> ChannelCut:
    """``cut``: steps that a reduction is cut into (inf: one for each input group), and
    ``by_row``: 1 where each of those takes the kernel row by row."""
    tiles = channel_tiles(a, b, groups)
    blocks = a.minimum(groups * b.out_subs, b.out_blocks)
    reads = tile_groups(a, w, b, groups)
    grouped = a.any(w["groups"] > 1)
    chunk = a.maximum(a.whole(reads / cut), 1.0)
    whole = w["residual"] > 0
    if grouped:
        apart = (w["groups"] > 1) & (groups * b.group * w["groups"] > w["out_channels"])
        chunk = a.where(apart, reads, chunk)
        whole = whole | (w["groups"] > 1)
    parts = a.whole(reads / chunk)
    rows = 1.0 + by_row * (w["kernel_height"] - 1.0)
    chunks = parts * rows
    taps = w["kernel_height"] * w["kernel_width"]
    own = a.minimum(chunk * b.in_subs, b.reduction)
    wgt = blocks * (own * (taps / rows) + b.bias_tiles)
    identity = w["residual"] * a.maximum(b.in_subs, b.out_subs)
    room = (c["wgt_depth"] - identity) / wgt
    stays = a.minimum(a.room(room) / chunks, 1.0)
    stays = a.where(whole & (stays < 1.0), 0.0, stays)
    products = blocks * own
    return ChannelCut(
        groups=groups,
        tiles=tiles,
        turns=a.whole(b.out_groups / groups),
        blocks=blocks,
        reads=reads,
        parts=parts,
        chunks=chunks,
        chunk=chunk * b.in_subs,
        load=chunks * (c["read_latency"] + LOAD_OVERHEAD) + b.weight_cycles / tiles,
        room=room,
        stays=stays,
        whole=whole,
        extra=w["tile_instructions"] + b.bias_tiles - 1.0,
        long=a.maximum(blocks, own),
        both_loops=products,
        pixel_uops=products * (taps / rows),
        possible=(rows == 1.0) | (w["phases"] == 1.0),
    )


@dataclass(frozen=True)
class Fit:
    """How often a tiling's slots fit INP and ACC, how often it fits at all (below 1: not), its
    micro-ops, LOAD cycles of a tile's input, and requests for it.

    ``strips``: row tiles that share an INP slot, where the window slides.
    """

    tiles: Array
    steps: Array
    inp: Array
    acc: Array
    least: Array
    uops: Array
    load: Array
    requests: Array


def conv_fit(
    a: Arrays, w: Columns, c: Columns, b: Blocks, s: Plane, k: ChannelCut, *, sliding: bool
) -> Fit:
    """``sliding``: row-stationary, a slot holds all input channels of several row tiles."""
    tiles = s.tiles * k.tiles
    steps = tiles * k.chunks
    depth = c["inp_depth"] - 1.0
    if a.any(w["residual"]):
        second = w["residual"] * k.groups * s.pixels * b.in_subs
        depth = a.maximum(depth - a.minimum(tiles, 2.0) * second, 0.5)
    load, requests = s.cycles, k.reads - s.contiguous * (k.reads - k.parts)
    if sliding:
        line = k.reads * s.wide * b.in_subs
        rows = (depth / (2.0 * line) - w["reach_height"]) / s.row_step + 1.0
        strips = a.minimum(a.room(rows / s.rows), a.ceil(w["out_height"] / s.rows))
        strips = a.minimum(a.maximum(strips, 1.0), LONGEST_STRIP)
        inp = depth / (line * ((s.rows - 1.0) * s.row_step + w["reach_height"]))
        inp = a.minimum(inp, 2.0)
        halo = a.maximum(w["reach_height"] - s.row_step, 0.0)
        fresh = a.minimum(s.rows * s.row_step + halo / strips, s.high)
        load = a.minimum(fresh * s.line, load)
    else:
        inp = depth / (k.chunk * s.window)
    outputs = k.blocks * s.pixels
    acc = (c["acc_depth"] - w["multiply"] * b.out_blocks) / (a.maximum(outputs, 4.0) + b.scratch)
    # Micro-ops: a GEMM's loops less the two longest.
    longest = a.maximum(a.maximum(s.both_loops, k.both_loops), s.long * k.long)
    longest = a.where(outputs < REUSE_DISTANCE, 1.0, longest)
    uops = k.pixel_uops * s.pixels / longest
    uop_room = a.minimum(c["uop_depth"], MOST_UOPS) / uops
    latency = a.maximum(c["read_latency"] + LOAD_OVERHEAD, s.padding)
    return Fit(
        tiles=tiles,
        steps=steps,
        inp=inp,
        acc=acc,
        least=a.minimum(a.minimum(inp, k.room), a.minimum(acc, uop_room)),
        uops=uops,
        load=requests * latency + k.reads * load,
        requests=requests,
    )


def stays_of(a: Arrays, w: Columns, k: ChannelCut, f: Fit, *, sliding: bool) -> Array:
    """Share of a tile's input that stays for the next, where output channels run inside."""
    if sliding:
        return 1.0
    stays = a.minimum(a.room(f.inp) / k.parts, 1.0)
    stays = a.where(k.whole & (stays < 1.0), 0.0, stays)
    # Tiles of convolution groups have inputs of their own.
    return a.where(w["groups"] > 1, 0.0, stays)


def conv_stages(
    a: Arrays,
    w: Columns,
    c: Columns,
    b: Blocks,
    amount: Work,
    s: Plane,
    k: ChannelCut,
    f: Fit,
    *,
    channels_outside: bool,
    sliding: bool,
) -> Stages:
    """What the tiling asks of the modules; ``channels_outside``: weights stay, not the input."""
    tiles = f.tiles
    latency = c["read_latency"] + LOAD_OVERHEAD
    second = requests = 0.0
    if a.any(w["residual"]):
        requests = w["residual"] * a.where(s.lines == 1.0, 1.0, k.groups)
        second = s.rows * row_cycles(a, c, s.cols * b.in_subs) * k.groups
        second = w["residual"] * second + requests * latency
    wgt_slots = a.maximum(a.minimum(a.room(k.room), k.chunks * k.tiles), 1.0)
    inp_slots = a.maximum(a.minimum(a.room(f.inp), k.parts * tiles), 1.0)
    if channels_outside:
        stays, heavy = k.stays, k.tiles
        if sliding:
            stays = a.where(stays < 1.0, 0.0, stays)
            heavy = a.where(stays > 0.0, k.tiles, tiles)
        light = f.load + second + k.load * (1.0 - stays)
        own, other = inp_slots, wgt_slots
        inp_times, wgt_times = tiles, tiles - (tiles - k.tiles) * stays
    else:
        stays, heavy = stays_of(a, w, k, f, sliding=sliding), s.tiles
        # Weights of convolution groups that fit all at once come in once.
        again = 1.0
        if a.any(w["groups"] > 1):
            again = a.where((w["groups"] > 1) & (k.room >= k.chunks * k.tiles), 0.0, 1.0)
        light = k.load * again + second + f.load * (1.0 - stays)
        own, other = wgt_slots, inp_slots
        inp_times = tiles - (tiles - s.tiles) * stays
        wgt_times = k.tiles + (tiles - k.tiles) * again
    free = a.minimum(a.where(stays < 1.0, a.minimum(own, other), own), AHEAD)
    instructions = inp_times * f.requests + (wgt_times + tiles) * k.chunks
    instructions = instructions + tiles * (k.extra + k.groups + requests) + 3.0
    return Stages(
        tiles=tiles,
        heavy=heavy,
        chunks=k.chunks,
        parts=k.parts,
        inp=f.load,
        wgt=k.load,
        heavy_load=f.load + k.load + second,
        light_load=light,
        load=inp_times * f.load + wgt_times * k.load + tiles * second,
        inp_after=(inp_times - 1.0 / k.parts) * f.load,
        wgt_after=(wgt_times - 1.0 / k.chunks) * k.load,
        step=b.products / f.steps + GEMM_OVERHEAD * w["phases"],
        end=(amount.compute - amount.products) / tiles + GEMM_OVERHEAD * k.extra,
        store=plane_store(a, w, c, b, s, s.lines) + tiles,
        instructions=instructions,
        uops=a.minimum(f.uops * a.minimum(4.0, f.steps), MOST_UOPS),
        wgt_pieces=k.groups,
        out_pieces=a.maximum(k.blocks * s.pixels * (1.0 / 16.0), 1.0),
        inp_slots=inp_slots,
        wgt_slots=wgt_slots,
        acc_slots=a.maximum(a.minimum(a.room(f.acc), tiles), 1.0),
        free=free,
        input_loads=inp_times / s.tiles * (k.reads / b.in_groups),
        weight_loads=wgt_times / k.tiles,
    )
