"""A grid of tilings priced in closed form, for whole arrays of pairs at once.

The schedule generator (`codesign.kernels.space`) prices thousands of schedules for one pair; this
is the same pricing on about a hundred tilings for every pair. A deeper buffer only adds tilings
that fit, so that the best price falls monotonically.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from codesign.costmodel.columns import Columns, Floats

_ROW_CUTS = (1.0, 2.0, 4.0, 8.0, 16.0, np.inf)
_COLUMN_CUTS = (4.0, 16.0)
_CHANNEL_CUTS = (1.0, 2.0, 4.0, np.inf)
_GEMM_OVERHEAD = 7.0
_LOAD_OVERHEAD = 5.0
_FETCH = 3.3
_LONGEST_STRIP = 8.0
_MOST_UOPS = 2048.0
_REUSE_DISTANCE = 3.0

StoreCycles = Callable[[Columns, Floats, Floats], Floats]


@dataclass(frozen=True)
class Blocks:
    """Channel blocks and groups of the pairs (`codesign.kernels.blocking`), in elements.

    ``reads`` are the pairs of an output block and an input block it reads: exact where block
    edges are edges of convolution groups, else (and for gathers) the least there can be.
    """

    in_subs: Floats
    out_subs: Floats
    in_blocks: Floats
    out_blocks: Floats
    in_groups: Floats
    out_groups: Floats
    reads: Floats
    weights: Floats


@dataclass(frozen=True)
class Tiling:
    """Cycles of each module under one tiling, and the tiling; arrays of the pairs' shape.

    ``cycles`` is inf where the tiling does not fit. ``load`` exposes the request latency of every
    LOAD; ``fill`` is what nothing overlaps with. ``rows``: output rows a tile; ``channel_tiles``,
    ``spatial_tiles``, ``chunks``: number of tiles over output channels, output pixels and input
    channels.
    """

    cycles: Floats
    load: Floats
    compute: Floats
    store: Floats
    fetch: Floats
    fill: Floats
    input_loads: Floats
    weight_loads: Floats
    rows: Floats
    channel_tiles: Floats
    spatial_tiles: Floats
    chunks: Floats


def blocks(w: Columns, c: Columns) -> Blocks:
    """Channels cut by BLOCK_IN and BLOCK_OUT."""
    group = np.maximum(c["block_in"], c["block_out"])
    in_blocks = np.ceil(w["in_channels"] / c["block_in"])
    out_blocks = np.ceil(w["out_channels"] / c["block_out"])
    taps = w["kernel_height"] * w["kernel_width"]
    identity = np.maximum(group / c["block_in"], group / c["block_out"])
    into, out = _group_channels(w)
    # An output block inside one group reads that group; blocks of several groups share them.
    reads = np.where(
        out >= c["block_out"],
        out_blocks * np.ceil(into / c["block_in"]),
        np.maximum(out_blocks, in_blocks),
    )
    reads = np.where(w["groups"] == 1, out_blocks * in_blocks, reads)
    gather = w["is_gather"] > 0
    spread = np.maximum(out_blocks, np.ceil(w["out_channels"] / c["block_in"]))
    reads = np.where(gather, spread, reads)
    weights = np.where(
        w["is_conv"] > 0,
        reads * taps + out_blocks * conv_bias_tiles(w, c) + identity * w["identities"],
        identity * w["identities"] + c["default_bias_tiles"] * w["identity_biases"],
    )
    weights = np.where(gather, w["identities"] + out_blocks * c["default_bias_tiles"], weights)
    return Blocks(
        in_subs=group / c["block_in"],
        out_subs=np.minimum(group / c["block_out"], out_blocks),
        in_blocks=in_blocks,
        out_blocks=out_blocks,
        in_groups=np.ceil(w["in_channels"] / group),
        out_groups=np.ceil(w["out_channels"] / group),
        reads=reads,
        weights=weights,
    )


def _group_channels(w: Columns) -> tuple[Floats, Floats]:
    """Input and output channels of one convolution group."""
    return w["in_channels"] / w["groups"], w["out_channels"] / w["groups"]


def _tile_groups(w: Columns, c: Columns, b: Blocks, groups: Floats) -> Floats:
    """Input channel groups that a tile of ``groups`` output channel groups reads."""
    into, out = _group_channels(w)
    channels = np.maximum(c["block_in"], c["block_out"])
    several = np.ceil(np.maximum(groups * channels / out, 1.0) * into / channels)
    return np.where(w["groups"] == 1, b.in_groups, np.minimum(several, b.in_groups))


def conv_bias_tiles(w: Columns, c: Columns) -> Floats:
    """Weight tiles of one bias: what the configuration needs (`units.on_config`), or more."""
    return np.maximum(w["bias_tiles"], c["default_bias_tiles"])


def fits_at_all(w: Columns, c: Columns, b: Blocks) -> NDArray[np.bool_]:
    """Whether one pixel of one channel group fits with a single slot in every buffer.

    A window may come row by row: the weights of a convolution, the pixels of a pooling.
    """
    one = np.ones_like(w["height"])
    inp, wgt, acc = _demand(_row_by_row(w), c, b, one, one, one, b.in_groups)
    whole = (c["flow_is"] + c["flow_rs"] > 0) & (w["is_conv"] > 0)
    inp = np.where(whole, inp * _tile_groups(w, c, b, one), inp)
    fits = (inp + 1.0 <= c["inp_depth"]) & (wgt <= c["wgt_depth"])
    return fits & (np.maximum(acc, 4.0) <= c["acc_depth"])


def tilings(
    w: Columns,
    c: Columns,
    b: Blocks,
    compute: Floats,
    outputs: Floats,
    store_cycles: StoreCycles,
) -> Iterator[Tiling]:
    """Every tiling of the grid; the last is the smallest, with single slots."""
    amounts = (compute, outputs)
    # What could not differ for any pair is not priced twice.
    conv = w["is_conv"] > 0
    orders = (True, False) if conv.any() else (True,)
    one_chunk = np.ones_like(b.in_groups)
    several = bool(conv.any()) and bool((b.in_groups > 1.0).any())
    all_chunks = (one_chunk, b.in_groups) if several else (one_chunk,)
    all_groups = [np.maximum(np.ceil(b.out_groups / cut), 1.0) for cut in _CHANNEL_CUTS]
    all_groups = [
        groups
        for k, groups in enumerate(all_groups)
        if k == 0 or (groups != all_groups[k - 1]).any()
    ]
    for rows, cols in _spatial(w):
        for groups, chunks, co_major in product(all_groups, all_chunks, orders):
            pair = (w, c, b, rows, cols, groups, chunks)
            yield _price(*pair, *amounts, store_cycles, co_major=co_major, slots=2.0)
    one = np.ones_like(w["height"])
    for co_major in orders:
        smallest = (_row_by_row(w), c, b, one, one, one, b.in_groups)
        passes = w["kernel_height"]
        yield _price(*smallest, *amounts, store_cycles, co_major=co_major, slots=1.0, passes=passes)


def _row_by_row(w: Columns) -> Columns:
    """Columns in which a window has one row; the input under a convolution's stays."""
    one = np.ones_like(w["kernel_height"])
    reach = np.where(w["is_conv"] > 0, w["reach_height"], one)
    return {**w, "kernel_height": one, "reach_height": reach}


def _spatial(w: Columns) -> Iterator[tuple[Floats, Floats]]:
    height, width = np.maximum(w["out_height"], 1.0), np.maximum(w["out_width"], 1.0)
    for cut in _ROW_CUTS:
        yield np.maximum(np.ceil(height / cut), 1.0), width
    for cut in _COLUMN_CUTS:
        yield np.ones_like(height), np.ceil(width / cut)


def _window(w: Columns, rows: Floats, cols: Floats) -> tuple[Floats, Floats]:
    """Input rows and columns under a tile; pooling never loads padding."""
    stride = np.where(w["sampled_rows"] > 0, 1.0, w["stride_height"])
    high = np.ceil(((rows - 1.0) * stride + w["reach_height"]) / w["up_height"])
    wide = np.ceil(((cols - 1.0) * w["stride_width"] + w["reach_width"]) / w["up_width"])
    conv = w["is_conv"] > 0
    return (
        np.where(conv, high, np.minimum(high, w["height"])),
        np.where(conv, wide, np.minimum(wide, w["width"])),
    )


def _demand(
    w: Columns,
    c: Columns,
    b: Blocks,
    rows: Floats,
    cols: Floats,
    groups: Floats,
    chunks: Floats,
) -> tuple[Floats, Floats, Floats]:
    """Elements of one INP, WGT and ACC slot."""
    conv = w["is_conv"] > 0
    high, wide = _window(w, rows, cols)
    taps = w["kernel_height"] * w["kernel_width"]
    chunk = np.ceil(_tile_groups(w, c, b, groups) / chunks)
    out_blocks = np.minimum(groups * b.out_subs, b.out_blocks)
    in_blocks = np.minimum(chunk * b.in_subs, b.reads / b.out_blocks)
    inp = high * wide * b.in_subs * np.where(conv, chunk, groups * w["operands"])
    inp = inp + w["residual"] * rows * cols * groups * b.in_subs
    own = out_blocks * (in_blocks * taps + conv_bias_tiles(w, c))
    shared = np.where(w["is_gather"] > 0, b.weights / b.out_groups * groups, b.weights)
    wgt = np.where(conv, own, shared)
    # Maxima form among copied inputs, or (strided) in an accumulator a row and output column.
    area = np.where(w["stride_width"] > 1, np.maximum(rows, high) * cols, high * wide)
    pixels = np.where(w["is_max_pool"] > 0, area, rows * cols)
    return inp, wgt, out_blocks * pixels + np.where(conv, 0.0, 2.0)


def _micro_ops(
    w: Columns, b: Blocks, rows: Floats, cols: Floats, groups: Floats, chunks: Floats
) -> Floats:
    """Micro-ops of one tile's GEMM: its loops less the two longest, which become iterations.

    Fewer than three outputs take turns on partial sums, which leaves no loop to iterate.
    """
    conv = w["is_conv"] > 0
    windowed = conv | (w["is_avg_pool"] > 0)
    blocks_out = np.minimum(groups * b.out_subs, b.out_blocks)
    reduction = np.where(conv, np.ceil(b.reads / b.out_blocks / chunks), b.in_subs)
    # The vertical and horizontal kernel loops are the shortest: the others compete.
    a, z = np.maximum(rows, cols), np.minimum(rows, cols)
    d, e = np.maximum(blocks_out, reduction), np.minimum(blocks_out, reduction)
    iterated = np.maximum(np.maximum(a * z, a * d), d * e)
    taps = np.where(windowed, w["kernel_height"] * w["kernel_width"], 1.0)
    total = rows * cols * blocks_out * reduction * taps
    return np.where(rows * cols * blocks_out < _REUSE_DISTANCE, total, total / iterated)


def _price(
    w: Columns,
    c: Columns,
    b: Blocks,
    rows: Floats,
    cols: Floats,
    groups: Floats,
    chunks: Floats,
    compute: Floats,
    outputs: Floats,
    store_cycles: StoreCycles,
    *,
    co_major: bool,
    slots: float,
    passes: Floats | float = 1.0,
) -> Tiling:
    """``passes``: steps in which a window comes, row by row."""
    conv = w["is_conv"] > 0
    chunks = np.minimum(chunks, _tile_groups(w, c, b, groups))
    pooled = np.where(conv, 1.0, passes)
    spatial = np.ceil(w["out_height"] / rows) * np.ceil(w["out_width"] / cols)
    channel = np.ceil(b.out_groups / groups)
    tiles = spatial * channel
    high, wide = _window(w, rows, cols)
    inp, wgt, acc = _demand(w, c, b, rows, cols, groups, chunks)
    steps = tiles * passes * np.where(conv, chunks, 1.0)
    inp_slots, acc_slots = np.minimum(slots, steps), np.minimum(slots, tiles)
    wgt_slots = np.where(conv, np.minimum(slots, channel * chunks), 1.0)

    # Input- and row-stationary keep a tile's whole reduction in INP.
    resident = conv & (c["flow_is"] + c["flow_rs"] > 0)
    inp_demand = np.where(resident, chunks * inp, inp_slots * inp)
    fits = (inp_demand + 1.0 <= c["inp_depth"]) & (wgt_slots * wgt <= c["wgt_depth"])
    fits &= acc_slots * np.maximum(acc, 4.0) <= c["acc_depth"]
    fits &= ~conv | ((c["flow_is"] if co_major else c["flow_ws"]) == 0)

    # How often the whole input and all weights come in; a tile of a grouped convolution reads
    # its groups' share of the input.
    share = _tile_groups(w, c, b, groups) / b.in_groups
    if co_major:
        inp_again = np.where(conv, np.maximum(channel * share, 1.0), 1.0)
        wgt_again = np.where(conv & (passes * chunks * wgt > c["wgt_depth"]), spatial, 1.0)
    else:
        again = np.maximum(channel * share, 1.0)
        inp_again = np.where(conv & (chunks * inp > c["inp_depth"]), again, 1.0)
        wgt_again = np.where(conv, spatial, 1.0)
    stride = np.where(w["sampled_rows"] > 0, 1.0, w["stride_height"])
    line_elements = np.maximum(b.in_groups * wide * b.in_subs, 1.0)
    room = (c["inp_depth"] / line_elements - high) / (rows * stride) + 1.0
    strip = np.minimum(np.maximum(room, 1.0), _LONGEST_STRIP)
    halo = np.maximum(high - rows * stride, 0.0) * np.where(c["flow_rs"] > 0, 1.0 / strip, 1.0)
    fresh = np.where(conv, np.minimum(high, rows * stride) + halo, high)

    latency = c["read_latency"] + _LOAD_OVERHEAD
    line = np.maximum(np.ceil(wide * b.in_subs * c["inp_bytes"] / c["bus_bytes"]), 2.0)
    whole = (wide >= w["width"]) & (w["pad_left"] + w["pad_right"] == 0)
    arriving = np.where(conv, spatial * b.in_groups, spatial * b.out_groups) * w["operands"]
    image = inp_again * arriving * pooled * fresh * line
    requests = np.where(whole, np.where(conv, spatial * chunks, tiles), arriving) * inp_again
    requests = requests * pooled
    residual = w["residual"] * spatial * b.out_groups
    out_line = np.maximum(np.ceil(cols * b.in_subs * c["inp_bytes"] / c["bus_bytes"]), 2.0)
    image = image + residual * rows * out_line
    requests = requests + residual
    weight_beats = wgt_again * np.ceil(b.weights * c["wgt_bytes"] / c["bus_bytes"])
    weight_requests = np.where(conv, wgt_again * channel * chunks * passes, 1.0)
    load = image + weight_beats + (requests + weight_requests) * latency

    per_tile = w["tile_instructions"] + np.where(conv, conv_bias_tiles(w, c) - 1.0, 0.0)
    instructions = requests + weight_requests + steps + tiles * (per_tile + groups)
    computing = compute + _GEMM_OVERHEAD * (steps + tiles * per_tile)
    whole_out = cols >= w["out_width"] + 2.0 * w["out_border"]
    ragged = b.out_subs < np.maximum(c["block_in"], c["block_out"]) / c["block_out"]
    bursts = b.out_groups * np.where(whole_out, spatial, spatial * rows)
    bursts = np.where(ragged, b.out_groups * w["plane_outputs"], bursts)
    storing = store_cycles(c, outputs, bursts) + tiles

    # The first step waits for its operands, resident weights among them; then the slowest module
    # sets the pace, and the last tile is stored alone.
    first = np.where(conv, channel * chunks, 1.0)
    uops = _micro_ops(w, b, rows, cols, groups, chunks) * np.minimum(steps, inp_slots * acc_slots)
    uop_beats = np.minimum(uops, _MOST_UOPS) * c["uop_bytes"] / c["bus_bytes"]
    # A fetch chunk arrives whole before its first instruction starts.
    chunk_bytes = np.minimum(instructions * c["instruction_bytes"], c["burst_bytes"])
    fill = 2.0 * latency + (chunk_bytes / c["bus_bytes"] + uop_beats)
    fill = fill + image / steps + weight_beats / wgt_again / first
    drain = storing / tiles
    total = np.maximum(
        np.maximum(load + computing / steps, fill + computing) + drain,
        fill + computing / steps + storing,
    )
    if slots == 1.0:
        total = np.maximum(total, load + computing + storing)
    fetch = instructions * _FETCH
    cycles = np.where(fits, np.maximum(total, fetch + fill), np.inf)
    return Tiling(
        cycles=cycles,
        load=load,
        compute=computing,
        store=storing,
        fetch=fetch,
        fill=fill,
        input_loads=inp_again,
        weight_loads=wgt_again,
        rows=rows,
        channel_tiles=channel,
        spatial_tiles=spatial,
        chunks=chunks,
    )
