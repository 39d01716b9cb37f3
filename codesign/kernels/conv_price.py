# numpy's reshape, view and copy are partially unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""The closed-form price of a convolution's schedules, a column of numpy for each field."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import prod
from typing import Any

import numpy as np

from codesign.hw.config import VtaConfig
from codesign.kernels.blocking import Blocking, input_ranges
from codesign.kernels.bound import MULTIPLY_CYCLES
from codesign.kernels.layout import output_layout
from codesign.kernels.pricing import (
    FETCH,
    OVERHEAD_GEMM,
    OVERHEAD_LOAD,
    Column,
    Cycles,
    row_beats,
    store_cycles,
)
from codesign.kernels.schedule import FixedDataflow, uop_capacity
from codesign.kernels.workload import ConvWorkload

_PART_OUT, _PART_IN = 28.0, 40.0
"""Cycles that one part more of the last outputs, or of the first weights, costs."""
_DOUBT, _CROWDED = 1.25, 1000.0
"""Where micro-ops seem that much too many, a factor on the cycles: tried last."""


@dataclass(frozen=True)
class Columns:
    """Equally long columns."""

    def take(self, index: Any) -> Any:
        return type(self)(*(getattr(self, f.name)[index] for f in fields(self)))


@dataclass(frozen=True)
class Tilings(Columns):
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
class Buffers(Columns):
    """Loop order and slots, beside the tilings that they belong to."""

    co_major: Column
    inp: Column
    wgt: Column
    acc: Column
    strip: Column
    alternate: Column


def input_groups(w: ConvWorkload, blocking: Blocking) -> tuple[range, ...]:
    """Input groups that each output group reads."""
    whole = Blocking(blocking.group, blocking.group)
    return input_ranges(w.in_channels, w.out_channels, w.groups, whole)


def row_stride(w: ConvWorkload) -> int:
    """Rows in SRAM from one output row to the next; unread rows are not loaded where possible."""
    sampled = w.kernel[0] == 1 and not (w.padding[0] or w.padding[2] or w.in_border)
    return 1 if sampled else w.stride[0]


def price(
    w: ConvWorkload, cfg: VtaConfig, flow: FixedDataflow, t: Tilings, b: Buffers
) -> tuple[Cycles, Cycles, Cycles, Column]:
    """Estimated cycles, DRAM bytes read, least cycles of COMPUTE, and micro-ops.

    Tiles run one after the other; some are *heavy*: they bring in the operand that stays for the
    light ones. A tile takes the longer of its loads and its work; before the first come the
    instructions, the micro-ops and the operands, after the last its store.
    """
    blocking, bus = Blocking.of(cfg), cfg.bus_bits // 8
    out_blocks, taps = blocking.out_blocks(w.out_channels), w.kernel[0] * w.kernel[1]
    latency = cfg.read_latency + OVERHEAD_LOAD
    stride, tiles = row_stride(w), t.spatial * t.channel
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
        read = [len(inputs) for inputs in input_groups(w, blocking)]
        in_blocks = sum(read) / len(read) * blocking.in_subs
    weight_tiles = out_blocks * (in_blocks * taps + w.bias_tiles * prod(w.phases))
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
    extra = (
        (MULTIPLY_CYCLES if w.multiply else 4) + w.bias_tiles + 3 * (w.residual_border is not None)
    )
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
