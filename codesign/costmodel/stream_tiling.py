"""One tiling of a pooling, elementwise or gather unit as stages of the pipeline."""

from __future__ import annotations

from codesign.costmodel.arrays import Array, Arrays, Columns
from codesign.costmodel.conv_tiling import MOST_UOPS
from codesign.costmodel.demand import Blocks, Plane, channel_tiles, plane_store
from codesign.costmodel.pipeline import GEMM_OVERHEAD, LOAD_OVERHEAD, Stages
from codesign.costmodel.work import Work


def stream_stages(
    a: Arrays,
    w: Columns,
    c: Columns,
    b: Blocks,
    amount: Work,
    s: Plane,
    groups: Array,
    parts: Array,
) -> tuple[Stages, Array]:
    """The stages, and how often the tiling fits (below 1: not); ``parts``: steps in which a
    window comes, row by row."""
    channel = channel_tiles(a, b, groups)
    tiles = s.tiles * channel
    blocks = a.minimum(groups * b.out_subs, b.out_blocks)
    outputs = blocks * s.pixels
    gather = w["is_gather"] > 0
    cut = parts > 1.0
    # Loads: a request for each channel group, or for all where they lie behind one another.
    reads = a.where(
        gather, a.minimum(b.in_groups, a.maximum(groups, b.in_groups / channel)), groups
    )
    reads = reads * w["operands"]
    at_once = a.where(gather, a.minimum(w["pick_runs"], reads), w["operands"])
    requests = parts * (s.contiguous * at_once + (1.0 - s.contiguous) * reads)
    high = a.where(cut, a.minimum((s.rows - 1.0) * s.row_step + 1.0, s.high), s.high)
    cycles = a.where(cut, high * s.line, s.cycles)
    latency = c["read_latency"] + LOAD_OVERHEAD
    inp = requests * latency + parts * reads * cycles
    wgt_tiles = a.where(gather, channel, 1.0)
    wgt = latency + b.weight_cycles / wgt_tiles
    # Work of a tile, and instructions.
    step, end, count, area, apart = _work(a, w, b, amount, s, tiles, blocks, parts)
    inp_room = (c["inp_depth"] - 1.0) / (reads * high * s.wide * b.in_subs)
    acc_room = c["acc_depth"] / (blocks * area + b.scratch)
    wgt_room = c["wgt_depth"] * wgt_tiles / b.weights
    lines = a.where(apart > 0.0, s.rows, s.lines)
    instructions = tiles * (requests + count + parts - 1.0) + 4.0 + wgt_tiles
    instructions = instructions + tiles * groups * a.where(apart > 0.0, s.rows, 1.0)
    x, y = a.maximum(blocks, b.in_subs), a.minimum(blocks, b.in_subs)
    longest = a.maximum(a.maximum(s.both_loops, x * y), s.long * x)
    uops = outputs * b.in_subs / longest * 1.5
    uop_room = a.minimum(c["uop_depth"], MOST_UOPS) / uops
    slots = a.maximum(a.minimum(a.room(inp_room), tiles * parts), 1.0)
    return Stages(
        tiles=tiles,
        heavy=wgt_tiles,
        chunks=parts,
        parts=parts,
        inp=inp,
        wgt=parts * wgt,
        heavy_load=inp + wgt,
        light_load=inp,
        load=tiles * inp + wgt_tiles * wgt,
        inp_after=(tiles - 1.0 / parts) * inp,
        wgt_after=0.0,
        step=step,
        end=end,
        store=plane_store(a, w, c, b, s, lines) + tiles,
        instructions=instructions,
        uops=a.minimum(uops * a.minimum(4.0, tiles * parts), MOST_UOPS),
        wgt_pieces=1.0,
        out_pieces=a.where(w["is_max_pool"] > 0, 1.0, a.maximum(outputs * (1.0 / 16.0), 1.0)),
        inp_slots=slots,
        wgt_slots=2.0,
        acc_slots=a.maximum(a.minimum(a.room(acc_room), tiles), 1.0),
        free=a.minimum(slots, 2.0),
        input_loads=parts,
        weight_loads=1.0,
    ), a.minimum(a.minimum(inp_room, acc_room), a.minimum(uop_room, wgt_room))


def _work(
    a: Arrays,
    w: Columns,
    b: Blocks,
    amount: Work,
    s: Plane,
    tiles: Array,
    blocks: Array,
    parts: Array,
) -> tuple[Array, Array, Array, Array, Array]:
    """COMPUTE cycles of a step and of a tile's end, instructions of a tile, accumulators of an
    output block in a tile, and 1 where output rows lie apart."""
    regions = 1.0 + (w["row_runs"] - 1.0) / s.row_tiles
    regions = regions * (1.0 + (w["col_runs"] - 1.0) / s.col_tiles)
    averaged = w["is_avg_pool"] > 0
    terms = a.minimum(blocks * (b.reads / b.out_blocks), w["pick_runs"])
    products = a.where(averaged, regions, a.where(w["is_gather"] > 0, terms, w["operands"]))
    bias = a.where(averaged, regions, 1.0) * b.bias_tiles
    ends = w["tile_instructions"] + bias
    step = amount.gemm / (tiles * parts) + GEMM_OVERHEAD * products
    end = amount.alu / tiles + GEMM_OVERHEAD * ends
    count = parts * products + ends
    best = w["is_max_pool"] > 0
    max_step, max_end, max_count, area, apart = _maxima(a, w, b, s, parts)
    per_tile = b.out_blocks * s.tiles / tiles
    return (
        a.where(best, per_tile * max_step + GEMM_OVERHEAD * 2.0, step),
        a.where(best, per_tile * parts * max_end + GEMM_OVERHEAD * (max_count - 2.0), end),
        a.where(best, max_count, count),
        a.where(best, area, s.pixels),
        a.where(best, apart, 0.0),
    )


def _maxima(
    a: Arrays, w: Columns, b: Blocks, s: Plane, parts: Array
) -> tuple[Array, Array, Array, Array, Array]:
    """A max pooling's (csrc/max_pool.cc) GEMM and other cycles of an output block's step,
    instructions of a tile, accumulators, and 1 where output rows lie apart."""
    ky, kx, sy, sx = (
        w[name] for name in ("kernel_height", "kernel_width", "stride_height", "stride_width")
    )
    along_x, along_y = 2.0 * w["row_maxima"], 2.0 * w["column_maxima"]
    copy, tap = 1.0 + b.in_subs, 1.0 + 2.0 * b.in_subs
    all_copied = sy * (sx * copy + along_x) + 3.0
    all_rows, all_taps = sy * (copy + (kx - 1.0) * tap), copy + (ky * kx - 1.0) * tap
    cut = parts > 1.0
    taps = all_taps <= a.minimum(all_copied, all_rows) + along_y
    copied = cut | (sx == 1.0) | (~taps & (all_rows > all_copied))
    taps = taps & ~copied
    gathered = copied & (cut | (sx > 1.0))
    # Averages over tiles, whose last one may be smaller.
    rows, cols = w["out_height"] / s.row_tiles, w["out_width"] / s.col_tiles
    high_taps = a.where(cut, 1.0, ky)
    high, wide = (rows - 1.0) * sy + high_taps, (cols - 1.0) * sx + kx
    outputs = rows * cols
    row_taps = w["row_taps"] / s.col_tiles
    lines = a.where(taps, w["column_taps"] / s.row_tiles, s.read_rows)
    read = a.minimum(high, w["height"]) * a.minimum(wide, w["width"])
    gemm = 2.0 * lines * row_taps - a.where(taps, outputs, lines * cols)
    gemm = a.where(copied, read, gemm) * b.in_subs
    other = high * (wide + cols * along_x) + a.where(gathered, 3.0 * outputs, 0.0)
    other = a.where(copied, other, lines * row_taps)
    other = other + a.where(taps | cut, 0.0, outputs * along_y)
    most_high, most_wide = (s.rows - 1.0) * sy + high_taps, (s.cols - 1.0) * sx + kx
    area = a.where(taps, s.pixels, most_high * s.cols)
    area = a.where(copied, most_high * most_wide + a.where(gathered, s.pixels, 0.0), area)
    count = a.where(taps, 3.0 * ky * kx, 3.0 * kx + 3.0 + w["column_maxima"])
    count = a.where(copied, 8.0 + w["row_maxima"] + w["column_maxima"], count)
    apart = a.where(~copied & ~taps & (sy > 1.0), 1.0, 0.0)
    return gemm, other, count, area, apart
