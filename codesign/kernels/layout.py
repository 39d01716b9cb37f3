# numpy's reshape, view and copy are partially unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Activations in DRAM: the layout that producer and consumer of a tensor agree on (DESIGN 5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.hw.config import VtaConfig
from codesign.kernels.blocking import Blocking
from codesign.kernels.workload import ConvWorkload, ElementwiseWorkload, Workload

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


def input_layouts(workload: Workload) -> tuple[TensorLayout, ...]:
    """DRAM layouts of the unit's inputs."""
    w = workload
    if isinstance(w, ConvWorkload):
        return (TensorLayout(w.in_channels, w.height, w.width, w.in_border),)
    if isinstance(w, ElementwiseWorkload):
        borders = w.in_borders[: w.operands]
        return tuple(TensorLayout(w.channels, w.height, w.width, b) for b in borders)
    return (TensorLayout(w.channels, w.height, w.width, w.in_border),)


def output_layout(workload: Workload) -> TensorLayout:
    """DRAM layout of the unit's output."""
    w = workload
    channels = w.out_channels if isinstance(w, ConvWorkload) else w.channels
    return TensorLayout(channels, w.out_height, w.out_width, w.out_border)


@dataclass(frozen=True)
class PatchFold:
    """Patches of an image as channels, for layers with few input channels.

    Channel ``(dy * patch[1] + dx) * C + c`` of folded pixel (Y, X) is image pixel
    ``(Y * step[0] + dy - before[0], X * step[1] + dx - before[1])`` of channel c, or the zero point
    where that lies outside. All pairs are (rows, columns).
    """

    step: tuple[int, int]
    patch: tuple[int, int]
    before: tuple[int, int] = (0, 0)


def fold_patches(
    image: NDArray[np.int8], fold: PatchFold, size: tuple[int, int], fill: int
) -> NDArray[np.int8]:
    """int8 [N, C, H, W] as [N, patch * C, *size]; positions outside the image hold ``fill``."""
    count, channels, height, width = image.shape
    folded = np.full((count, *fold.patch, channels, *size), fill, np.int8)
    for dy in range(fold.patch[0]):
        for dx in range(fold.patch[1]):
            y = np.arange(size[0]) * fold.step[0] + dy - fold.before[0]
            x = np.arange(size[1]) * fold.step[1] + dx - fold.before[1]
            rows, columns = np.flatnonzero((y >= 0) & (y < height)), (x >= 0) & (x < width)
            inside = np.ix_(rows, np.flatnonzero(columns))
            folded[:, dy, dx][(..., *inside)] = image[:, :, y[rows]][..., x[columns]]
    return folded.reshape(count, -1, *size)
