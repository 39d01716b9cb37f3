"""Convolution and dense units: a tiled GEMM with a fused bias and requantisation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.isa import AluOp, Memory
from codesign.kernels.blocking import Blocking, ChannelTile, channel_tiles
from codesign.kernels.constants import ConstantMap
from codesign.kernels.layout import TensorLayout, input_layouts, output_layout
from codesign.kernels.nest import Dim, Nest, partial_sums, plan, plan_partial
from codesign.kernels.output import Requant, bias_rows, linear, requantize, reset, stores
from codesign.kernels.schedule import Schedule, overflow, uop_capacity
from codesign.kernels.stream import Buffer, Ring, Row, Step, UnitStream, load_row
from codesign.kernels.window import (
    Axis,
    SpatialTile,
    Window,
    axes,
    load_legal,
    spatial_tiles,
    strips,
    window,
    window_loads,
)
from codesign.kernels.workload import ConvWorkload


@dataclass(frozen=True)
class InChunk:
    """Input channel groups ``[first, first + full)`` plus a ragged group of ``ragged`` blocks."""

    first: int
    full: int
    ragged: int
    subs: int

    @property
    def groups(self) -> range:
        return range(self.first, self.first + self.full + (self.ragged > 0))

    @property
    def blocks(self) -> int:
        return self.full * self.subs + self.ragged


def in_chunks(channels: int, step: int, blocking: Blocking) -> tuple[InChunk, ...]:
    """Cut input channels into chunks of ``step`` groups."""
    subs = blocking.in_subs
    full, ragged = divmod(blocking.in_blocks(channels), subs)
    groups = full + (ragged > 0)
    return tuple(
        InChunk(
            first,
            min(step, full - first),
            ragged if ragged and first + step >= groups else 0,
            subs,
        )
        for first in range(0, groups, step)
    )


@dataclass(frozen=True)
class ConvTiling:
    """Everything that follows from (workload, configuration, schedule) before emission."""

    workload: ConvWorkload
    cfg: VtaConfig
    schedule: Schedule

    @cached_property
    def blocking(self) -> Blocking:
        return Blocking.of(self.cfg)

    @cached_property
    def source(self) -> TensorLayout:
        return input_layouts(self.workload)[0]

    @cached_property
    def target(self) -> TensorLayout:
        return output_layout(self.workload)

    @cached_property
    def channels(self) -> tuple[ChannelTile, ...]:
        return channel_tiles(self.workload.out_channels, self.schedule.out_groups, self.blocking)

    @cached_property
    def chunks(self) -> tuple[InChunk, ...]:
        return in_chunks(self.workload.in_channels, self.schedule.in_groups, self.blocking)

    @cached_property
    def tiles(self) -> list[SpatialTile]:
        w, s = self.workload, self.schedule
        sliding = s.dataflow == "rs"
        return spatial_tiles(w.out_height, w.out_width, s.rows, s.cols, column_major=sliding)

    @cached_property
    def axes(self) -> tuple[Axis, Axis]:
        return axes(self.workload)

    @cached_property
    def sampled(self) -> bool:
        """Whether only every stride-th input row is read, and so only those are loaded."""
        w = self.workload
        padded = w.padding[0] or w.padding[2] or w.in_border
        return w.kernel[0] == 1 and w.stride[0] > 1 and not padded

    @property
    def row_stride(self) -> int:
        """Input rows in SRAM from one output row to the next."""
        return 1 if self.sampled else self.workload.stride[0]

    def window(self, tile: SpatialTile) -> Window:
        return window(*self.axes, tile, self.workload.in_border, sampled=self.sampled)

    @cached_property
    def taps(self) -> int:
        return self.workload.kernel[0] * self.workload.kernel[1]

    def weight_tiles(self, channels: ChannelTile, chunk: InChunk) -> int:
        """Weight tiles of one (output tile, input chunk); biases come with the last chunk."""
        bias = self.workload.bias_tiles if chunk is self.chunks[-1] else 0
        return channels.blocks * (chunk.blocks * self.taps + bias)

    # Scratchpad demand, elements ---------------------------------------------------------------
    @cached_property
    def wgt_slot(self) -> int:
        return max(self.weight_tiles(c, k) for c in self.channels for k in self.chunks)

    @cached_property
    def acc_slot(self) -> int:
        s = self.schedule
        outputs = max(c.blocks for c in self.channels) * s.rows * s.cols
        return max(outputs, 4)

    @cached_property
    def inp_slot(self) -> int:
        subs, s = self.blocking.in_subs, self.schedule
        if s.dataflow == "rs":
            groups = self.blocking.groups(self.workload.in_channels)
            return groups * self.strip_pitch
        tall = max(self.window(t).rows * self.window(t).cols for t in self.corner_tiles)
        return max(len(k.groups) for k in self.chunks) * tall * subs

    @cached_property
    def strip_rows(self) -> int:
        """Input rows that ``strip`` adjacent row tiles read."""
        rows = min(self.schedule.rows * self.schedule.strip, self.workload.out_height)
        return (rows - 1) * self.row_stride + self.workload.kernel[0]

    @cached_property
    def strip_pitch(self) -> int:
        cols = self.axes[1].span(0, self.schedule.cols)[1]
        return self.strip_rows * cols * self.blocking.in_subs

    @cached_property
    def corner_tiles(self) -> list[SpatialTile]:
        """One tile of each shape and padding: first, second and last along each axis."""
        w, s = self.workload, self.schedule
        ys = {0, min(s.rows, w.out_height - 1) // s.rows, (w.out_height - 1) // s.rows}
        xs = {0, min(s.cols, w.out_width - 1) // s.cols, (w.out_width - 1) // s.cols}
        return [
            SpatialTile(
                y * s.rows,
                x * s.cols,
                min(s.rows, w.out_height - y * s.rows),
                min(s.cols, w.out_width - x * s.cols),
            )
            for y in ys
            for x in xs
        ]

    def infeasible(self) -> Infeasible | None:
        """The first scratchpad or field the schedule overflows, with the numbers."""
        s, cfg = self.schedule, self.cfg
        problem = overflow(
            ("wgt_depth", s.wgt_slots * self.wgt_slot, cfg.wgt_depth),
            ("acc_depth", s.acc_slots * self.acc_slot, cfg.acc_depth),
            ("inp_depth", s.inp_slots * self.inp_slot + 1, cfg.inp_depth),
        )
        if problem is not None:
            return problem
        for tile in self.corner_tiles:
            if not load_legal(self.window(tile), self.blocking.in_subs):
                return Infeasible("load_padding", f"window {self.window(tile)} exceeds LOAD's pads")
        return None


def gemm_rows(
    stream: UnitStream,
    tiling: ConvTiling,
    channels: ChannelTile,
    tile: SpatialTile,
    chunk: InChunk,
    addresses: tuple[int, int, int],
    cols: int,
    pitch: int,
) -> list[Row] | Infeasible:
    """GEMMs of one (output tile, chunk); input rows hold ``cols`` pixels, groups lie ``pitch``."""
    acc, inp, wgt = addresses
    w, subs = tiling.workload, tiling.blocking.in_subs
    line = cols * subs
    reductions = chunk.blocks * tiling.taps
    outputs = (
        Dim(channels.groups, tile.pixels * channels.subs, 0, channels.subs * reductions),
        Dim(channels.subs, 1, 0, reductions),
        Dim(tile.rows, tile.cols * channels.subs, tiling.row_stride * line),
        Dim(tile.cols, channels.subs, w.stride[1] * subs),
    )
    kernel = (
        Dim(w.kernel[0], 0, line, w.kernel[1]),
        Dim(w.kernel[1], 0, subs, 1),
    )
    parts: list[tuple[int, int, tuple[Dim, ...]]] = []
    if chunk.full:
        parts.append(
            (0, 0, (Dim(chunk.full, 0, pitch, subs * tiling.taps), Dim(subs, 0, 1, tiling.taps)))
        )
    if chunk.ragged:
        first = chunk.full * subs * tiling.taps
        parts.append((chunk.full * pitch, first, (Dim(chunk.ragged, 0, 1, tiling.taps),)))
    count = channels.blocks * tile.pixels
    rows: list[Row] = []
    for src, first, blocks in parts:
        nest = _plan(outputs + blocks + kernel, count, stream.max_uops)
        if nest is None:
            return Infeasible("uop_depth", f"no micro-op kernel of at most {stream.max_uops}")
        rows.append(stream.gemm(nest, acc, inp + src, wgt + first))
    return rows


def _plan(dims: tuple[Dim, ...], outputs: int, max_uops: int) -> Nest | None:
    if partial_sums(outputs) > 1:
        return plan_partial(dims, outputs, outputs, max_uops)
    return plan(dims, max_uops)


def _finish(
    stream: UnitStream,
    tiling: ConvTiling,
    channels: ChannelTile,
    tile: SpatialTile,
    acc: int,
    numbers: Requant,
) -> tuple[list[Row], list[Row]]:
    """Epilogue and stores of a complete tile; partial sums are added first."""
    count = channels.blocks * tile.pixels
    sums = [
        stream.alu(AluOp.ADD, linear(count), acc, acc + p * count)
        for p in range(1, partial_sums(count))
    ]
    rows = sums + requantize(stream, acc, count, numbers)
    return rows, stores(acc, channels, tile, tiling.target, tiling.blocking)


def _order(tiling: ConvTiling) -> list[tuple[int, ChannelTile, int, int, SpatialTile]]:
    """(channel tile number, channel tile, strip number, position in strip, tile), in order."""
    spatial = [
        (number, k, tile)
        for number, run in strips(tiling.tiles, tiling.schedule.strip)
        for k, tile in enumerate(run)
    ]
    numbered = list(enumerate(tiling.channels))
    if tiling.schedule.co_major:
        return [(c, ch, n, k, t) for c, ch in numbered for n, k, t in spatial]
    return [(c, ch, n, k, t) for n, k, t in spatial for c, ch in numbered]


def emit_conv(
    workload: ConvWorkload, cfg: VtaConfig, schedule: Schedule, numbers: Requant
) -> tuple[UnitStream, ConstantMap] | Infeasible:
    """The unit's steps, or the limit that the schedule breaks."""
    tiling = ConvTiling(workload, cfg, schedule)
    problem = tiling.infeasible()
    if problem is not None:
        return problem
    subs, sliding = tiling.blocking.in_subs, schedule.dataflow == "rs"
    constants = ConstantMap.of(
        cfg, [[tiling.weight_tiles(c, k) for k in tiling.chunks] for c in tiling.channels]
    )
    stream = UnitStream(cfg, uop_capacity(cfg))
    inp_ring = Ring(schedule.inp_slots, tiling.inp_slot)
    wgt_ring = Ring(schedule.wgt_slots, tiling.wgt_slot)
    last_store = [-1] * schedule.acc_slots
    unit_element = cfg.inp_depth - 1
    preload = [load_row(Memory.INP, unit_element, Buffer.CONSTANTS, constants.unit_element, 1)]
    for number, (c, channels, strip, position, tile) in enumerate(_order(tiling)):
        slot = number % schedule.acc_slots
        acc = slot * tiling.acc_slot
        view = tiling.window(tile)
        count = channels.blocks * tile.pixels
        for k, chunk in enumerate(tiling.chunks):
            step = Step(loads=preload)
            preload = []
            index = stream.next_step
            if sliding:
                inp = _slide(step, tiling, inp_ring, index, (c, strip, position, k), tile)
                inp += chunk.first * tiling.strip_pitch
                pitch = tiling.strip_pitch
            else:
                pitch = view.rows * view.cols * subs
                inp, missing, wait = inp_ring.use((tile, k), index)
                if missing:
                    step.load_after = max(step.load_after, wait)
                    step.loads += window_loads(
                        view, tiling.source, chunk.groups, subs, Buffer.INPUT, inp, pitch
                    )
            wgt, missing, wait = wgt_ring.use((c, k), index)
            if missing:
                step.load_after = max(step.load_after, wait)
                tiles = tiling.weight_tiles(channels, chunk)
                step.loads.append(
                    load_row(Memory.WGT, wgt, Buffer.CONSTANTS, constants.weights[c][k], tiles)
                )
            if k == 0:
                step.start_after = last_store[slot]
                step.pre.append(reset(stream, acc, count * partial_sums(count)))
            rows = gemm_rows(
                stream, tiling, channels, tile, chunk, (acc, inp, wgt), view.cols, pitch
            )
            if isinstance(rows, Infeasible):
                return rows
            step.main += rows
            if k == len(tiling.chunks) - 1:
                bias = wgt + channels.blocks * chunk.blocks * tiling.taps
                tiles = workload.bias_tiles
                dims = (
                    Dim(channels.groups, tile.pixels * channels.subs, 0, channels.subs * tiles),
                    Dim(channels.subs, 1, 0, tiles),
                    Dim(tile.pixels, channels.subs),
                )
                step.main += bias_rows(stream, dims, acc, unit_element, bias, tiles)
                step.post, step.store = _finish(stream, tiling, channels, tile, acc, numbers)
                last_store[slot] = index
            stream.add(step)
            if stream.uop_count > stream.max_uops:
                return Infeasible(
                    "uop_depth", f"needs more than {stream.max_uops} micro-ops on chip"
                )
    return stream, constants


def _slide(
    step: Step,
    tiling: ConvTiling,
    ring: Ring,
    index: int,
    where: tuple[int, int, int, int],
    tile: SpatialTile,
) -> int:
    """Row stationary: bring in the rows that the tile above in its strip has not; INP address."""
    channel_tile, strip, position, chunk = where
    subs, source = tiling.blocking.in_subs, tiling.source
    key = (channel_tile if tiling.schedule.co_major else 0, strip)
    base, missing, wait = ring.use(key, index)
    if missing:
        step.load_after = max(step.load_after, wait)
    view = tiling.window(tile)
    stride, kernel = tiling.row_stride, tiling.workload.kernel[0]
    start = position * tiling.schedule.rows * stride
    if chunk == 0 and (tiling.schedule.co_major or channel_tile == 0):
        old = max(0, kernel - stride) if position else 0
        if position and view.pads[0] + view.valid_rows <= old:  # only padding is new
            old = view.pads[0] + view.valid_rows - 1
            step.load_after = max(step.load_after, index - 1)
        groups = range(tiling.blocking.groups(tiling.workload.in_channels))
        sram = base + (start + old) * view.cols * subs
        step.loads += window_loads(
            _without_top(view, old), source, groups, subs, Buffer.INPUT, sram, tiling.strip_pitch
        )
    return base + start * view.cols * subs


def _without_top(view: Window, rows: int) -> Window:
    """The window without its first ``rows`` rows, which are on chip already."""
    top, left, bottom, right = view.pads
    skip = max(0, rows - top)
    return replace(
        view,
        y=view.y + skip,
        valid_rows=view.valid_rows - skip,
        pads=(max(0, top - rows), left, bottom, right),
    )
