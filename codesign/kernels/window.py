"""Spatial tiles, the input windows they read, and the LOADs that bring a window in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from codesign.isa import Memory
from codesign.kernels.layout import TensorLayout
from codesign.kernels.stream import Row, load_row
from codesign.kernels.workload import ConvWorkload, PoolWorkload

MAX_FIELD = 65535
MAX_PAD = 15


@dataclass(frozen=True)
class SpatialTile:
    """Output pixels ``[y, y + rows) x [x, x + cols)``."""

    y: int
    x: int
    rows: int
    cols: int

    @property
    def pixels(self) -> int:
        return self.rows * self.cols


def spatial_tiles(
    height: int, width: int, rows: int, cols: int, *, column_major: bool = False
) -> list[SpatialTile]:
    """Cut an output plane; ``column_major`` walks down a strip of columns before the next."""
    ys = [(y, min(rows, height - y)) for y in range(0, height, rows)]
    xs = [(x, min(cols, width - x)) for x in range(0, width, cols)]
    if column_major:
        return [SpatialTile(y, x, r, c) for x, c in xs for y, r in ys]
    return [SpatialTile(y, x, r, c) for y, r in ys for x, c in xs]


@dataclass(frozen=True)
class Axis:
    """One spatial axis of a windowed operation (sizes in pixels)."""

    extent: int
    kernel: int
    stride: int
    before: int

    def span(self, start: int, count: int) -> tuple[int, int]:
        """First input position (may be negative) and length that ``count`` outputs read."""
        return start * self.stride - self.before, (count - 1) * self.stride + self.kernel

    def positions_read(self, count: int) -> int:
        """Input positions that the first ``count`` outputs read, padding left out."""
        starts = (out * self.stride - self.before for out in range(count))
        read = {p for s in starts for p in range(max(0, s), min(self.extent, s + self.kernel))}
        return len(read)


def axes(workload: ConvWorkload | PoolWorkload) -> tuple[Axis, Axis]:
    """(vertical, horizontal) of a windowed workload."""
    w = workload
    return (
        Axis(w.height, w.kernel[0], w.stride[0], w.padding[0]),
        Axis(w.width, w.kernel[1], w.stride[1], w.padding[1]),
    )


@dataclass(frozen=True)
class Window:
    """Input rows and columns a tile reads, in SRAM including padding.

    ``y``/``x`` is the first pixel in DRAM; ``valid_rows`` x ``valid_cols`` come from DRAM, the
    pads (top, left, bottom, right) are zeros. ``row_step`` skips rows no output reads.
    """

    y: int
    x: int
    valid_rows: int
    valid_cols: int
    pads: tuple[int, int, int, int]
    row_step: int = 1

    @property
    def rows(self) -> int:
        return self.pads[0] + self.valid_rows + self.pads[2]

    @property
    def cols(self) -> int:
        return self.pads[1] + self.valid_cols + self.pads[3]


def window(
    vertical: Axis, horizontal: Axis, tile: SpatialTile, border: int, *, sampled: bool = False
) -> Window:
    """The window of a tile; with a ``border`` in DRAM padding is read from there.

    ``sampled``: bring only the rows that a 1-row kernel with a stride reads.
    """
    y, rows = vertical.span(tile.y, tile.rows)
    x, cols = horizontal.span(tile.x, tile.cols)
    if border:
        return Window(y, x, rows, cols, (0, 0, 0, 0))
    top, bottom = max(0, -y), max(0, y + rows - vertical.extent)
    left, right = max(0, -x), max(0, x + cols - horizontal.extent)
    if sampled:
        return Window(y, x, tile.rows, cols - left - right, (0, left, 0, right), vertical.stride)
    return Window(
        y + top, x + left, rows - top - bottom, cols - left - right, (top, left, bottom, right)
    )


def clipped_window(vertical: Axis, horizontal: Axis, tile: SpatialTile) -> Window:
    """The part of a tile's window inside the tensor, without padding (pooling)."""
    y, rows = vertical.span(tile.y, tile.rows)
    x, cols = horizontal.span(tile.x, tile.cols)
    y0, y1 = max(0, y), min(vertical.extent, y + rows)
    x0, x1 = max(0, x), min(horizontal.extent, x + cols)
    return Window(y0, x0, y1 - y0, x1 - x0, (0, 0, 0, 0))


def load_legal(w: Window, subs: int) -> bool:
    """Whether LOAD's fields hold the window: 4-bit pads, at least one row and column of data."""
    top, left, bottom, right = w.pads
    pads = max(top, bottom, left * subs, right * subs)
    return pads <= MAX_PAD and w.valid_rows >= 1 and w.valid_cols >= 1


def window_loads(
    w: Window,
    layout: TensorLayout,
    groups: range,
    subs: int,
    buffer: int,
    sram: int,
    pitch: int,
) -> list[Row]:
    """LOADs of a window of several channel groups into INP, ``pitch`` elements apart.

    A whole-width window is contiguous in DRAM and loads as one row a group; if the groups are
    contiguous in INP too, all of them load at once.
    """
    row = layout.pitch * subs
    plane = layout.rows * row
    first = [layout.pixel(g, w.y, w.x) * subs for g in groups]
    whole = w.valid_cols == layout.pitch and not any(w.pads) and w.row_step == 1
    size = w.valid_rows * row
    if whole and size <= MAX_FIELD:
        if len(groups) > 1 and pitch == size and plane <= MAX_FIELD:
            return [load_row(Memory.INP, sram, buffer, first[0], size, len(groups), plane)]
        return [
            load_row(Memory.INP, sram + i * pitch, buffer, f, size) for i, f in enumerate(first)
        ]
    top, left, bottom, right = w.pads
    pads = (top, left * subs, bottom, right * subs)
    return [
        load_row(
            Memory.INP,
            sram + i * pitch,
            buffer,
            f,
            w.valid_cols * subs,
            w.valid_rows,
            row * w.row_step,
            pads,
        )
        for i, f in enumerate(first)
    ]


def strips(tiles: list[SpatialTile], length: int) -> Iterator[tuple[int, list[SpatialTile]]]:
    """Runs of at most ``length`` vertically adjacent tiles, numbered."""
    run: list[SpatialTile] = []
    number = 0
    for tile in tiles:
        if run and (len(run) == length or tile.x != run[-1].x):
            yield number, run
            number, run = number + 1, []
        run.append(tile)
    if run:
        yield number, run
