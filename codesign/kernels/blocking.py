# numpy's reshape, view and copy are partially unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""How channels are cut into tiles of BLOCK_IN and BLOCK_OUT, and tensors laid out in DRAM.

A *group* is KM = max(BLOCK_IN, BLOCK_OUT) channels: one pixel of one group is what a tensor
keeps together, whichever side of the GEMM core reads or writes it (DESIGN 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from codesign.hw.config import VtaConfig

ALIGNMENT = 4096
"""Byte alignment of every buffer: a multiple of any burst, so timing never depends on placement."""


@dataclass(frozen=True)
class Blocking:
    """Sub-blocks of one channel group on the input and on the output side of the GEMM core."""

    block_in: int
    block_out: int

    @staticmethod
    def of(cfg: VtaConfig) -> Blocking:
        return Blocking(cfg.block_in, cfg.block_out)

    @property
    def group(self) -> int:
        """Channels of one group (KM)."""
        return max(self.block_in, self.block_out)

    @property
    def in_subs(self) -> int:
        """INP elements of one pixel of one group."""
        return self.group // self.block_in

    @property
    def out_subs(self) -> int:
        """ACC/OUT elements of one pixel of one group."""
        return self.group // self.block_out

    def groups(self, channels: int) -> int:
        return ceil(channels / self.group)

    def in_blocks(self, channels: int) -> int:
        return ceil(channels / self.block_in)

    def out_blocks(self, channels: int) -> int:
        return ceil(channels / self.block_out)


@dataclass(frozen=True)
class ChannelTile:
    """``groups`` consecutive output groups, each with ``subs`` OUT sub-blocks."""

    first: int
    groups: int
    subs: int

    @property
    def blocks(self) -> int:
        return self.groups * self.subs


def channel_tiles(channels: int, step: int, blocking: Blocking) -> tuple[ChannelTile, ...]:
    """Cut output channels into tiles of ``step`` groups; a ragged last group stands alone."""
    full, ragged = divmod(blocking.out_blocks(channels), blocking.out_subs)
    tiles = [
        ChannelTile(first, min(step, full - first), blocking.out_subs)
        for first in range(0, full, step)
    ]
    if ragged:
        tiles.append(ChannelTile(full, 1, ragged))
    return tuple(tiles)


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
