"""What a pair needs whatever its tiling (`blocks`), and what one cut of its plane needs."""

from __future__ import annotations

from dataclasses import dataclass

from codesign.costmodel.arrays import Array, Arrays, Columns
from codesign.costmodel.columns import SPANS

SCRATCH = 2.0
"""`codesign.kernels.schedule.SCRATCH`."""


@dataclass(frozen=True)
class Blocks:
    """Channel blocks and groups of the pairs (`codesign.kernels.blocking`), in elements.

    ``reads`` are the pairs of an output block and an input block it reads: exact where block
    edges are edges of convolution groups, else (and for gathers) the least there can be.
    ``ragged``: 1 where the last output group lacks blocks, and so is a tile of its own.
    ``reduction``: input blocks that a schedule multiplies with an output block, on average, and
    ``products`` all its GEMM micro-ops: of convolution groups, whole channel groups are read.
    ``scratch``: accumulators that a slot keeps for partial sums.
    ``weight_cycles``: LOAD cycles of all weights, requests apart.
    """

    group: Array
    in_subs: Array
    out_subs: Array
    in_blocks: Array
    out_blocks: Array
    in_groups: Array
    out_groups: Array
    full_groups: Array
    ragged: Array
    scratch: Array
    reads: Array
    weights: Array
    bias_tiles: Array
    reduction: Array
    products: Array
    weight_cycles: Array


def spanned_groups(a: Arrays, w: Columns, group: Array) -> Array:
    """Columns ``spans_k``, of channel groups of 2^k, at ``group``: linear between powers of two."""
    size = a.log2(group)
    total = 0.0
    for k in SPANS:
        share = a.maximum(1.0 - abs(size - k), 0.0)
        total = total + share * w[f"spans_{k}"]
    return total


def conv_bias_tiles(a: Arrays, w: Columns, c: Columns) -> Array:
    """Weight tiles of one bias: what the configuration needs (`units.on_config`), or more."""
    return a.maximum(w["bias_tiles"], c["default_bias_tiles"])


def blocks(a: Arrays, w: Columns, c: Columns) -> Blocks:
    """Channels cut by BLOCK_IN and BLOCK_OUT."""
    group = a.maximum(c["block_in"], c["block_out"])
    in_blocks = a.whole(w["in_channels"] / c["block_in"])
    out_blocks = a.whole(w["out_channels"] / c["block_out"])
    taps = w["kernel_height"] * w["kernel_width"]
    in_subs, all_subs = group / c["block_in"], group / c["block_out"]
    identity = a.maximum(in_subs, all_subs)
    into, out = w["in_channels"] / w["groups"], w["out_channels"] / w["groups"]
    # An output block inside one group reads that group; blocks of several groups share them.
    reads = a.where(
        out >= c["block_out"],
        out_blocks * a.whole(into / c["block_in"]),
        a.maximum(out_blocks, in_blocks),
    )
    reads = a.where(w["groups"] == 1, out_blocks * in_blocks, reads)
    conv, gather = w["is_conv"] > 0, w["is_gather"] > 0
    spread = a.maximum(out_blocks, a.whole(w["out_channels"] / c["block_in"]))
    reads = a.where(gather, spread, reads)
    bias = a.where(conv, conv_bias_tiles(a, w, c), c["default_bias_tiles"])
    weights = a.where(
        conv,
        reads * taps + out_blocks * bias + identity * w["identities"],
        identity * w["identities"] + bias * w["identity_biases"],
    )
    weights = a.where(gather, w["identities"] + out_blocks * bias, weights)
    full = a.room(out_blocks / all_subs)
    plain = (w["groups"] == 1) & (w["phases"] == 1) & (w["residual"] == 0) & conv
    out_groups = a.whole(w["out_channels"] / group)
    spans = spanned_groups(a, w, group)
    spanned = a.minimum(spans / out_groups * in_subs, in_blocks)
    reduction = a.where(w["groups"] > 1, spanned, in_blocks)
    emitted = a.where(
        conv,
        out_blocks * (reduction * taps + bias) + identity * w["identities"],
        weights,
    )
    return Blocks(
        group=group,
        in_subs=in_subs,
        out_subs=a.minimum(all_subs, out_blocks),
        in_blocks=in_blocks,
        out_blocks=out_blocks,
        in_groups=a.where(gather, spans, a.whole(w["in_channels"] / group)),
        out_groups=out_groups,
        full_groups=full,
        ragged=a.minimum(a.maximum(out_blocks - full * all_subs, 0.0), 1.0),
        scratch=a.where(plain, 0.0, SCRATCH),
        reads=reads,
        weights=weights,
        bias_tiles=bias,
        reduction=reduction,
        products=w["plane_gemm"] * out_blocks * reduction,
        weight_cycles=stream_cycles(a, c, emitted * c["wgt_bytes"]),
    )


def tile_groups(a: Arrays, w: Columns, b: Blocks, groups: Array) -> Array:
    """Input channel groups that a tile of ``groups`` output channel groups reads."""
    into, out = w["in_channels"] / w["groups"], w["out_channels"] / w["groups"]
    several = a.whole(a.maximum(groups * b.group / out, 1.0) * into / b.group)
    return a.where(w["groups"] == 1, b.in_groups, a.minimum(several, b.in_groups))


def channel_tiles(a: Arrays, b: Blocks, groups: Array) -> Array:
    """Tiles of at most ``groups`` output channel groups; a ragged group stands alone."""
    return a.whole(b.full_groups / groups) + b.ragged


def row_cycles(a: Arrays, c: Columns, elements: Array) -> Array:
    """LOAD cycles of one row of INP elements among many: beats, one request every second cycle,
    and bursts in flight."""
    beats = a.whole(elements * c["inp_bytes"] / c["bus_bytes"])
    return a.maximum(a.maximum(beats, 2.0), (c["read_latency"] + beats) / c["outstanding_reads"])


def stream_cycles(a: Arrays, c: Columns, size: Array) -> Array:
    """LOAD cycles of ``size`` bytes in a row: beats, and bursts in flight."""
    burst = c["burst_bytes"] / c["bus_bytes"]
    flight = (c["read_latency"] + burst) / (c["outstanding_reads"] * burst)
    return a.whole(size / c["bus_bytes"]) * a.maximum(flight, 1.0)


def store_cycles(a: Arrays, c: Columns, elements: Array, bursts: Array) -> Array:
    """STORE of ``elements`` in at least ``bursts`` bursts; a bus narrower than an element adds a
    bubble per element."""
    size = elements * c["out_bytes"]
    latency = c["write_address_latency"] + c["write_response_latency"]
    bursts = a.maximum(bursts, a.whole(size / c["burst_bytes"]))
    beats = a.maximum(a.whole(size / c["bus_bytes"]), bursts)
    narrow = c["bus_bytes"] < c["out_bytes"]
    return beats + a.where(narrow, elements, 0.0) + bursts * (latency + a.where(narrow, 1.0, 2.0))


@dataclass(frozen=True)
class Plane:
    """The output plane cut into tiles of ``rows`` x ``cols`` pixels.

    ``high``, ``wide``: input pixels under a tile at most, ``window`` in all; ``read_rows``: rows of
    it that are loaded, on average; ``line``: LOAD cycles of a row of one channel group;
    ``cycles``: of a tile's input of one group, requests apart; ``contiguous``: 1 where a tile's
    rows lie behind one another in DRAM; ``padding``: elements of zeros that a LOAD writes;
    ``lines``: rows that a STORE writes one by one; ``long``, ``both_loops``: the longest loop over
    output pixels, and all of them.
    """

    rows: Array
    cols: Array
    row_tiles: Array
    col_tiles: Array
    tiles: Array
    pixels: Array
    high: Array
    wide: Array
    row_step: Array
    read_rows: Array
    line: Array
    cycles: Array
    contiguous: Array
    padding: Array
    lines: Array
    window: Array
    long: Array
    both_loops: Array


def plane(a: Arrays, w: Columns, c: Columns, b: Blocks, rows: Array, cols: Array) -> Plane:
    """Padding is not loaded; borders that a tensor carries in DRAM are."""
    row_tiles, col_tiles = a.ceil(w["out_height"] / rows), a.ceil(w["out_width"] / cols)
    row_step = a.where(w["sampled_rows"] > 0, 1.0, w["stride_height"]) / w["up_height"]
    col_step = w["stride_width"] / w["up_width"]
    high = a.ceil((rows - 1.0) * row_step + w["reach_height"] / w["up_height"])
    wide = a.ceil((cols - 1.0) * col_step + w["reach_width"] / w["up_width"])
    border = a.where((w["in_border"] > 0) & (w["is_conv"] > 0), 1.0, 0.0)
    all_rows = w["height"] + border * (w["pad_top"] + w["pad_bottom"])
    all_cols = w["width"] + border * (w["pad_left"] + w["pad_right"])
    all_rows = a.where(w["sampled_rows"] > 0, w["out_height"], all_rows)
    pooled = w["is_conv"] == 0
    high = a.where(pooled, a.minimum(high, w["height"]), high)
    wide = a.where(pooled, a.minimum(wide, w["width"]), wide)

    def read(tiles: Array, most: Array, extent: Array, step: Array) -> Array:
        halo = a.maximum(most - step, 0.0)
        return a.minimum(most, (extent + (tiles - 1.0) * halo) / tiles)

    read_rows = read(row_tiles, high, all_rows, rows * row_step)
    read_cols = read(col_tiles, wide, all_cols, cols * col_step)
    padded = (1.0 - border) * (w["pad_top"] + w["pad_left"] + w["pad_bottom"] + w["pad_right"])
    pitch = w["width"] + 2.0 * w["in_border"]
    behind = (wide >= pitch) & (pooled | (padded == 0.0)) & (w["sampled_rows"] == 0.0)
    line = row_cycles(a, c, read_cols * b.in_subs)
    whole = stream_cycles(a, c, read_rows * read_cols * b.in_subs * c["inp_bytes"])
    merged = (w["kernel_height"] * w["kernel_width"] == 1.0) & (wide == cols) & (row_step == 1.0)
    return Plane(
        rows=rows,
        cols=cols,
        row_tiles=row_tiles,
        col_tiles=col_tiles,
        tiles=row_tiles * col_tiles,
        pixels=rows * cols,
        high=high,
        wide=wide,
        row_step=row_step,
        read_rows=read_rows,
        line=line,
        cycles=a.where(behind, whole, read_rows * line),
        contiguous=a.where(behind, 1.0, 0.0),
        padding=a.where(pooled, 0.0, (high * wide - read_rows * read_cols) * b.in_subs),
        lines=a.where(cols >= w["out_width"] + 2.0 * w["out_border"], 1.0, rows),
        window=high * wide,
        long=a.where(merged, rows * cols, a.maximum(rows, cols)),
        both_loops=rows * cols,
    )


def plane_store(a: Arrays, w: Columns, c: Columns, b: Blocks, s: Plane, lines: Array) -> Array:
    """STORE cycles of all tiles; a ragged group is written pixel by pixel."""
    bursts = b.full_groups * s.tiles * lines + b.ragged * w["plane_outputs"]
    return store_cycles(a, c, b.out_blocks * w["plane_outputs"], bursts)
