"""How channels are cut into tiles of BLOCK_IN and BLOCK_OUT.

A *group* is KM = max(BLOCK_IN, BLOCK_OUT) channels: one pixel of one group is what a tensor
keeps together, whichever side of the GEMM core reads or writes it (DESIGN 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil

from codesign.hw.config import VtaConfig


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


@lru_cache(maxsize=4096)
def input_ranges(
    in_channels: int, out_channels: int, groups: int, blocking: Blocking
) -> tuple[range, ...]:
    """Input blocks that each output block of a convolution reads: what its groups cover."""
    ko, ki = blocking.block_out, blocking.block_in
    of_group, into_group = out_channels // groups, in_channels // groups
    ranges: list[range] = []
    for block in range(blocking.out_blocks(out_channels)):
        first = block * ko // of_group
        last = (min(block * ko + ko, out_channels) - 1) // of_group
        ranges.append(range(first * into_group // ki, ceil((last + 1) * into_group / ki)))
    return tuple(ranges)
