"""What every unit does with a finished accumulator tile: reset, requantise, store."""

from __future__ import annotations

from dataclasses import dataclass

from codesign.errors import Infeasible
from codesign.isa import AluOp
from codesign.kernels.blocking import Blocking, ChannelTile
from codesign.kernels.layout import TensorLayout
from codesign.kernels.nest import Dim, Nest, partial_sum_nests, partial_sums, plan, plan_partial
from codesign.kernels.stream import Row, UnitStream, store_row
from codesign.kernels.window import MAX_FIELD, SpatialTile

SCRATCH = 2
"""Accumulators a slot keeps for partial sums of tiles with fewer than three outputs."""


@dataclass(frozen=True)
class Requant:
    """Numbers of the ALU epilogue; any values give the same instruction count."""

    shift: int = 8
    low: int = -128
    high: int = 127
    steps: int = 1

    @property
    def shifts(self) -> tuple[int, ...]:
        """Right shifts, each of at most 15, that make up ``shift`` in ``steps`` instructions."""
        each, rest = divmod(self.shift, self.steps)
        return tuple(each + (i < rest) for i in range(self.steps))


def linear(count: int, dst: int = 1, src: int = 1) -> Nest:
    """A nest over ``count`` equally spaced elements."""
    nest = plan((Dim(count, dst, src),), MAX_FIELD)
    assert nest is not None, f"no nest over {count} elements"
    return nest


def reset(stream: UnitStream, base: int, count: int) -> Row:
    return stream.gemm(linear(count, 1, 0), base, reset=True)


def summed_gemm(
    stream: UnitStream,
    dims: tuple[Dim, ...],
    outputs: int,
    acc: int,
    src: int,
    wgt: int,
    scratch: int,
) -> list[Row] | Infeasible:
    """A GEMM over ``dims``; fewer than three outputs sum in turn through clean accumulators.

    ``scratch`` is the address of two accumulators; they are reset first and added at the end.
    """
    partials = partial_sums(outputs)
    reduces = any(d.dst == 0 and d.extent > 1 for d in dims)
    if partials == 1 or not reduces:
        nest = plan(dims, stream.max_uops)
        rows: list[Row] = []
    else:
        nest = plan_partial(dims, outputs, scratch - acc, stream.max_uops)
        rows = [reset(stream, scratch, (partials - 1) * outputs)]
    if nest is None:
        return Infeasible("uop_depth", f"no micro-op kernel of at most {stream.max_uops}")
    rows.append(stream.gemm(nest, acc, src, wgt))
    if rows[:-1]:
        sums = partial_sum_nests(dims, outputs, scratch - acc)
        rows += [stream.alu(AluOp.ADD, nest, acc, acc) for nest in sums]
    return rows


def bias_rows(
    stream: UnitStream, dims: tuple[Dim, ...], acc: int, constant: int, wgt: int, tiles: int
) -> list[Row]:
    """One GEMM per bias tile: constant input element x bias weight tile, over the outputs."""
    nest = plan(dims, stream.max_uops)
    assert nest is not None, f"no bias kernel over {dims}"
    return [stream.gemm(nest, acc, constant, wgt + k) for k in range(tiles)]


def requantize(stream: UnitStream, base: int, count: int, numbers: Requant) -> list[Row]:
    """SHR, MAX, MIN over ``count`` accumulators; the rounding constant is already in them."""
    nest = linear(count)
    shifts = [stream.alu(AluOp.SHR, nest, base, base, s) for s in numbers.shifts]
    clip = ((AluOp.MAX, numbers.low), (AluOp.MIN, numbers.high))
    return shifts + [stream.alu(op, nest, base, base, bound) for op, bound in clip]


def stores(
    base: int, channels: ChannelTile, tile: SpatialTile, layout: TensorLayout, blocking: Blocking
) -> list[Row]:
    """STOREs of an accumulator tile laid out ``[group][row][col][sub]`` (DESIGN 5)."""
    rows: list[Row] = []
    subs, pitch = channels.subs, blocking.out_subs
    whole = tile.cols == layout.pitch
    for i in range(channels.groups):
        sram = base + i * tile.pixels * subs
        dram = layout.pixel(channels.first + i, tile.y, tile.x) * pitch
        if subs < pitch:  # ragged group: one pixel a row, the group's other lanes stay zero
            lines = 1 if whole else tile.rows
            pixels = tile.pixels // lines
            for y in range(lines):
                offset = y * layout.pitch * pitch
                rows.append(store_row(sram + y * pixels * subs, dram + offset, subs, pixels, pitch))
        elif whole and tile.pixels * pitch <= MAX_FIELD:
            rows.append(store_row(sram, dram, tile.pixels * pitch))
        else:
            rows.append(store_row(sram, dram, tile.cols * pitch, tile.rows, layout.pitch * pitch))
    return rows
