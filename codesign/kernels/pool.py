"""Pooling units. Max: inputs enter ACC through identities, register MAX over the taps.

Average: one GEMM with scaled identities whose reduction runs over the taps. Padding enters
neither: each region of outputs with the same valid taps gets its own instructions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import ceil

from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.isa import AluOp, Memory
from codesign.kernels.blocking import Blocking, ChannelTile, channel_tiles
from codesign.kernels.constants import ConstantMap, default_bias_tiles
from codesign.kernels.identity import identity_count, lane_dims
from codesign.kernels.layout import TensorLayout, input_layouts, output_layout
from codesign.kernels.nest import Dim, plan
from codesign.kernels.output import (
    SCRATCH,
    Requant,
    bias_rows,
    linear,
    requantize,
    reset,
    stores,
    summed_gemm,
)
from codesign.kernels.schedule import Schedule, overflow, uop_capacity
from codesign.kernels.stream import Buffer, Ring, Row, Step, UnitStream, load_row
from codesign.kernels.window import (
    Axis,
    SpatialTile,
    Window,
    axes,
    clipped_window,
    spatial_tiles,
    window_loads,
)
from codesign.kernels.workload import PoolWorkload

LOWEST = -128


@dataclass(frozen=True)
class Run:
    """Outputs ``[start, stop)`` along one axis whose windows have the valid taps ``[lo, hi)``."""

    start: int
    stop: int
    lo: int
    hi: int


def runs(axis: Axis, start: int, count: int) -> list[Run]:
    """Split outputs ``start .. start + count`` by their valid taps."""
    found: list[Run] = []
    for out in range(start, start + count):
        first = out * axis.stride - axis.before
        lo, hi = max(0, -first), min(axis.kernel, axis.extent - first)
        if found and (found[-1].lo, found[-1].hi) == (lo, hi):
            found[-1] = Run(found[-1].start, out + 1, lo, hi)
        else:
            found.append(Run(out, out + 1, lo, hi))
    return found


def valid_counts(workload: PoolWorkload) -> tuple[int, ...]:
    """The distinct numbers of valid taps under a window, ascending."""
    vertical, horizontal = axes(workload)
    ys = {r.hi - r.lo for r in runs(vertical, 0, workload.out_height)}
    xs = {r.hi - r.lo for r in runs(horizontal, 0, workload.out_width)}
    return tuple(sorted({y * x for y in ys for x in xs}))


def identity_copies(workload: PoolWorkload, count: int) -> int:
    """Scaled identities that share the multiplier of windows with ``count`` valid taps.

    A multiplier is at most 127 times this: full windows have one, border windows more.
    """
    return ceil(workload.kernel[0] * workload.kernel[1] / max(1, count))


def shift_steps(workload: PoolWorkload) -> int:
    """SHR instructions of an average pooling: large windows need shifts beyond 15."""
    return 1 if workload.kernel[0] * workload.kernel[1] <= 256 else 2


@dataclass(frozen=True)
class _PoolTiling:
    workload: PoolWorkload
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
    def axes(self) -> tuple[Axis, Axis]:
        return axes(self.workload)

    @cached_property
    def counts(self) -> tuple[int, ...]:
        return valid_counts(self.workload) if self.workload.kind == "avg" else ()

    @cached_property
    def weight_first(self) -> dict[int, int]:
        """First identity tile of each count; biases follow all identities, by count."""
        first: dict[int, int] = {}
        position = 0
        for count in self.counts:
            first[count] = position
            position += identity_copies(self.workload, count) * identity_count(self.blocking)
        return first

    @cached_property
    def identities(self) -> int:
        per_copy = identity_count(self.blocking)
        if self.workload.kind == "max":
            return per_copy
        return per_copy * sum(identity_copies(self.workload, c) for c in self.counts)

    @cached_property
    def weights(self) -> int:
        return self.identities + len(self.counts) * default_bias_tiles(self.cfg)

    @cached_property
    def channels(self) -> tuple[ChannelTile, ...]:
        return channel_tiles(self.workload.channels, self.schedule.out_groups, self.blocking)

    @cached_property
    def window_pixels(self) -> int:
        w, s = self.workload, self.schedule
        rows = min(self.axes[0].span(0, min(s.rows, w.out_height))[1], w.height)
        cols = min(self.axes[1].span(0, min(s.cols, w.out_width))[1], w.width)
        return rows * cols

    @cached_property
    def acc_slot(self) -> int:
        inputs = self.window_pixels if self.workload.kind == "max" else 0
        pixels = self.schedule.rows * self.schedule.cols
        return max(c.blocks for c in self.channels) * (inputs + pixels) + SCRATCH

    @cached_property
    def inp_slot(self) -> int:
        groups = max(c.groups for c in self.channels)
        return groups * self.window_pixels * self.blocking.in_subs

    def infeasible(self) -> Infeasible | None:
        s, cfg = self.schedule, self.cfg
        if self.counts and self.counts[0] < 1:
            return Infeasible("empty_window", "a window lies entirely in the padding")
        return overflow(
            ("inp_depth", s.inp_slots * self.inp_slot + 1, cfg.inp_depth),
            ("acc_depth", s.acc_slots * self.acc_slot, cfg.acc_depth),
            ("wgt_depth", self.weights, cfg.wgt_depth),
        )


def emit_pool(
    workload: PoolWorkload, cfg: VtaConfig, schedule: Schedule, numbers: Requant
) -> tuple[UnitStream, ConstantMap] | Infeasible:
    """The unit's steps, or the limit that the schedule breaks."""
    t = _PoolTiling(workload, cfg, schedule)
    problem = t.infeasible()
    if problem is not None:
        return problem
    constants = ConstantMap.of(cfg, [[t.weights]])
    stream = UnitStream(cfg, uop_capacity(cfg))
    ring = Ring(schedule.inp_slots, t.inp_slot)
    preload = [
        load_row(Memory.INP, cfg.inp_depth - 1, Buffer.CONSTANTS, constants.unit_element, 1),
        load_row(Memory.WGT, 0, Buffer.CONSTANTS, constants.weights[0][0], t.weights),
    ]
    last_store = [-1] * schedule.acc_slots
    tiles = spatial_tiles(workload.out_height, workload.out_width, schedule.rows, schedule.cols)
    compute = _max_rows if workload.kind == "max" else _avg_rows
    for number, (part, tile) in enumerate((c, tile) for c in t.channels for tile in tiles):
        index = stream.next_step
        slot = number % schedule.acc_slots
        acc, count = slot * t.acc_slot, part.blocks * tile.pixels
        inp, _, wait = ring.use(number, index)
        step = Step(loads=preload, load_after=wait, start_after=last_store[slot])
        preload = []
        view = clipped_window(*t.axes, tile)
        subs = t.blocking.in_subs
        groups = range(part.first, part.first + part.groups)
        plane = view.rows * view.cols * subs
        step.loads += window_loads(view, t.source, groups, subs, Buffer.INPUT, inp, plane)
        rows = compute(stream, t, step, part, tile, view, acc, inp)
        if isinstance(rows, Infeasible):
            return rows
        if workload.kind == "avg":
            step.post = requantize(stream, acc, count, numbers)
        step.store = stores(acc, part, tile, t.target, t.blocking)
        last_store[slot] = stream.add(step)
        if stream.uop_count > stream.max_uops:
            return Infeasible("uop_depth", f"needs more than {stream.max_uops} micro-ops on chip")
    return stream, constants


def _max_rows(
    stream: UnitStream,
    t: _PoolTiling,
    step: Step,
    part: ChannelTile,
    tile: SpatialTile,
    view: Window,
    acc: int,
    inp: int,
) -> Infeasible | None:
    """Outputs start at -128; the window is copied behind them; MAX over each tap's rectangle."""
    count, pixels = part.blocks * tile.pixels, view.rows * view.cols
    copied = part.blocks * pixels
    source = acc + count
    step.pre.append(reset(stream, acc, count + copied + SCRATCH))
    step.pre.append(stream.alu(AluOp.MIN, linear(count), acc, acc, LOWEST))
    subs = t.blocking.in_subs
    dims = (
        *lane_dims(t.blocking, part, pixels * part.subs, pixels * subs),
        Dim(pixels, part.subs, subs),
    )
    rows = summed_gemm(stream, dims, copied, source, inp, 0, source + copied)
    if isinstance(rows, Infeasible):
        return rows
    step.main += rows
    vertical, horizontal = t.axes
    for ky in range(vertical.kernel):
        y0, y1 = _valid_outputs(vertical, ky, tile.y, tile.rows)
        for kx in range(horizontal.kernel):
            x0, x1 = _valid_outputs(horizontal, kx, tile.x, tile.cols)
            if y0 >= y1 or x0 >= x1:
                continue
            iy = y0 * vertical.stride - vertical.before + ky - view.y
            ix = x0 * horizontal.stride - horizontal.before + kx - view.x
            line, step_x = view.cols * part.subs, horizontal.stride * part.subs
            loops = (
                Dim(part.groups, tile.pixels * part.subs, pixels * part.subs),
                Dim(y1 - y0, tile.cols * part.subs, vertical.stride * line),
                Dim(x1 - x0, part.subs, step_x),
                Dim(part.subs, 1, 1),
            )
            nest = plan(loops, stream.max_uops)
            if nest is None:
                return Infeasible("uop_depth", f"no micro-op kernel of at most {stream.max_uops}")
            dst = acc + ((y0 - tile.y) * tile.cols + x0 - tile.x) * part.subs
            src = source + (iy * view.cols + ix) * part.subs
            step.post.append(stream.alu(AluOp.MAX, nest, dst, src))
    return None


def _valid_outputs(axis: Axis, tap: int, start: int, count: int) -> tuple[int, int]:
    """Outputs of a tile for which ``tap`` reads inside the tensor: [first, end)."""
    first = -(-(axis.before - tap) // axis.stride)
    end = (axis.extent - 1 + axis.before - tap) // axis.stride + 1
    return max(start, first), min(start + count, end)


def _avg_rows(
    stream: UnitStream,
    t: _PoolTiling,
    step: Step,
    part: ChannelTile,
    tile: SpatialTile,
    view: Window,
    acc: int,
    inp: int,
) -> Infeasible | None:
    """One GEMM per region of equal valid taps, and the region's bias."""
    count = part.blocks * tile.pixels
    step.pre.append(reset(stream, acc, count + SCRATCH))
    vertical, horizontal = t.axes
    for ys in runs(vertical, tile.y, tile.rows):
        for xs in runs(horizontal, tile.x, tile.cols):
            rows = _avg_region(stream, t, part, tile, view, (acc, inp, acc + count), ys, xs)
            if isinstance(rows, Infeasible):
                return rows
            step.main += rows
    return None


def _avg_region(
    stream: UnitStream,
    t: _PoolTiling,
    part: ChannelTile,
    tile: SpatialTile,
    view: Window,
    addresses: tuple[int, int, int],
    ys: Run,
    xs: Run,
) -> list[Row] | Infeasible:
    acc, inp, scratch = addresses
    vertical, horizontal = t.axes
    subs, cfg = t.blocking.in_subs, t.cfg
    line = view.cols * subs
    height, width = ys.stop - ys.start, xs.stop - xs.start
    taps = (ys.hi - ys.lo) * (xs.hi - xs.lo)
    outputs = (
        Dim(height, tile.cols * part.subs, vertical.stride * line),
        Dim(width, part.subs, horizontal.stride * subs),
    )
    reductions = (
        Dim(ys.hi - ys.lo, 0, line),
        Dim(xs.hi - xs.lo, 0, subs),
        Dim(identity_copies(t.workload, taps), 0, 0, identity_count(t.blocking)),
    )
    lanes = lane_dims(t.blocking, part, tile.pixels * part.subs, view.rows * line)
    dst = acc + ((ys.start - tile.y) * tile.cols + xs.start - tile.x) * part.subs
    iy = ys.start * vertical.stride - vertical.before + ys.lo - view.y
    ix = xs.start * horizontal.stride - horizontal.before + xs.lo - view.x
    src = inp + iy * line + ix * subs
    size = part.blocks * height * width
    first = t.weight_first[taps]
    rows = summed_gemm(stream, (*lanes, *outputs, *reductions), size, dst, src, first, scratch)
    if isinstance(rows, Infeasible):
        return rows
    bias = t.identities + t.counts.index(taps) * default_bias_tiles(cfg)
    flat = tuple(Dim(d.extent, d.dst) for d in (*lanes, *outputs) if d.dst)
    constant = cfg.inp_depth - 1
    return rows + bias_rows(stream, flat, dst, constant, bias, default_bias_tiles(cfg))
