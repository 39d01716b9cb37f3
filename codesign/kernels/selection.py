"""Gathers as sparse products: which input block feeds an output block through which tile."""

from __future__ import annotations

from dataclasses import dataclass

from codesign.kernels.blocking import Blocking, ChannelTile
from codesign.kernels.workload import GatherWorkload


@dataclass(frozen=True)
class Term:
    """One GEMM micro-op a pixel: input block ``block`` of ``source`` through tile ``tile``."""

    source: int
    block: int
    tile: int


@dataclass(frozen=True)
class Pattern:
    """A selection tile: the (output lane, input lane) pairs that pass, scaled for ``source``."""

    source: int
    lanes: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Selection:
    """Terms of each output block of a channel tile, and the tiles by number."""

    terms: tuple[tuple[Term, ...], ...]
    patterns: tuple[Pattern, ...]


def select(workload: GatherWorkload, blocking: Blocking, tile: ChannelTile) -> Selection:
    """Terms by (source, input block), tiles numbered in the order of their first use."""
    numbers: dict[Pattern, int] = {}
    terms: list[tuple[Term, ...]] = []
    first = tile.first * blocking.out_subs
    for block in range(first, first + tile.blocks):
        start = block * blocking.block_out
        lanes: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for lane, (source, channel) in enumerate(
            workload.picks[start : start + blocking.block_out]
        ):
            into, at = divmod(channel, blocking.block_in)
            lanes.setdefault((source, into), []).append((lane, at))
        terms.append(
            tuple(
                Term(source, into, numbers.setdefault(Pattern(source, tuple(pairs)), len(numbers)))
                for (source, into), pairs in sorted(lanes.items())
            )
        )
    return Selection(tuple(terms), tuple(numbers))
