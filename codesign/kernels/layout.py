# numpy's reshape, view and copy are partially unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Activations in DRAM: the layout that producer and consumer of a tensor agree on (DESIGN 5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.hw.config import VtaConfig
from codesign.kernels.blocking import Blocking
from codesign.kernels.workload import (
    ConvWorkload,
    ElementwiseWorkload,
    GatherWorkload,
    Workload,
)

ALIGNMENT = 4096
"""Byte alignment of every buffer: a multiple of any burst, so timing never depends on placement."""


@dataclass(frozen=True)
class TensorLayout:
    """An int8 activation in DRAM: ``[groups][H + 2b][W + 2b][BATCH][KM]`` (DESIGN 5)."""

    channels: int
    height: int
    width: int
    border: int = 0

    @property
    def pitch(self) -> int:
        """Pixels from one row to the next."""
        return self.width + 2 * self.border

    @property
    def rows(self) -> int:
        return self.height + 2 * self.border

    def nbytes(self, cfg: VtaConfig) -> int:
        blocking = Blocking.of(cfg)
        pixels = blocking.groups(self.channels) * self.rows * self.pitch
        return pixels * cfg.batch * blocking.group

    def pixel(self, group: int, y: int, x: int) -> int:
        """Index of a pixel, counted in pixels of one group; y, x may reach into the border."""
        return (group * self.rows + y + self.border) * self.pitch + x + self.border


def pack(
    array: NDArray[np.int8], layout: TensorLayout, cfg: VtaConfig, fill: int = 0
) -> NDArray[np.uint8]:
    """Lay out int8 ``[BATCH, C, H, W]`` in DRAM order; the border holds ``fill``."""
    group = Blocking.of(cfg).group
    groups = Blocking.of(cfg).groups(layout.channels)
    b = layout.border
    image = np.zeros((cfg.batch, groups * group, layout.rows, layout.pitch), np.int8)
    image[:, : layout.channels] = fill
    image[:, : layout.channels, b : b + layout.height, b : b + layout.width] = array
    split = image.reshape(cfg.batch, groups, group, layout.rows, layout.pitch)
    return np.ascontiguousarray(split.transpose(1, 3, 4, 0, 2)).view(np.uint8).reshape(-1)


def unpack(data: NDArray[np.uint8], layout: TensorLayout, cfg: VtaConfig) -> NDArray[np.int8]:
    """The inverse of `pack`: int8 ``[BATCH, C, H, W]`` without border and padding lanes."""
    group = Blocking.of(cfg).group
    groups = Blocking.of(cfg).groups(layout.channels)
    b = layout.border
    split = data[: layout.nbytes(cfg)].view(np.int8)
    split = split.reshape(groups, layout.rows, layout.pitch, cfg.batch, group)
    image = split.transpose(3, 0, 4, 1, 2).reshape(cfg.batch, -1, layout.rows, layout.pitch)
    inner = image[:, : layout.channels, b : b + layout.height, b : b + layout.width]
    return np.ascontiguousarray(inner)


@dataclass(frozen=True)
class PatchFold:
    """A tensor packed as patches, so that a first layer of few channels fills the input lanes.

    Lane (dy, dx, c) of packed pixel (Y, X), dx outside c, is pixel
    ``(Y * step[0] + dy - before[0], X * step[1] + dx - before[1])`` of channel c, or the zero
    point outside the tensor; ``patch`` is the number of dy and dx.
    """

    step: tuple[int, int]
    patch: tuple[int, int]
    before: tuple[int, int]


def fold_input(
    array: NDArray[np.int8], fold: PatchFold, height: int, width: int, fill: int = 0
) -> NDArray[np.int8]:
    """The ``height`` x ``width`` packed pixels of int8 ``[N, C, H, W]``; ``fill``: zero point."""
    n, channels, rows, cols = array.shape
    lanes = (n, *fold.patch, channels, height, width)
    folded = np.full(lanes, fill, np.int8)
    for dy in range(fold.patch[0]):
        ys = np.arange(height) * fold.step[0] + dy - fold.before[0]
        y = np.flatnonzero((ys >= 0) & (ys < rows))
        for dx in range(fold.patch[1]):
            xs = np.arange(width) * fold.step[1] + dx - fold.before[1]
            x = np.flatnonzero((xs >= 0) & (xs < cols))
            folded[:, dy, dx, :, y[:, None], x] = array[:, :, ys[y, None], xs[x]].transpose(
                2, 3, 0, 1
            )
    return folded.reshape(n, -1, height, width)


def input_layouts(workload: Workload) -> tuple[TensorLayout, ...]:
    """DRAM layouts of the unit's inputs: a residual comes second, borders not named are 0."""
    w = workload
    if isinstance(w, ConvWorkload):
        image = TensorLayout(w.in_channels, w.height, w.width, w.in_border)
        if w.residual_border is None:
            return (image,)
        return image, TensorLayout(w.out_channels, w.out_height, w.out_width, w.residual_border)
    if isinstance(w, ElementwiseWorkload):
        borders = w.in_borders[: w.operands]
        return tuple(TensorLayout(w.channels, w.height, w.width, b) for b in borders)
    if isinstance(w, GatherWorkload):
        borders = (*w.in_borders, *(0 for _ in w.channels))
        return tuple(
            TensorLayout(c, w.height, w.width, b) for c, b in zip(w.channels, borders, strict=False)
        )
    return (TensorLayout(w.channels, w.height, w.width, w.in_border),)


def output_layout(workload: Workload) -> TensorLayout:
    """DRAM layout of the unit's output."""
    w = workload
    if isinstance(w, ConvWorkload):
        channels = w.out_channels
    else:
        channels = len(w.picks) if isinstance(w, GatherWorkload) else w.channels
    return TensorLayout(channels, w.out_height, w.out_width, w.out_border)
