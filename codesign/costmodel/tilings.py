"""The tilings that the closed form compares, and their prices for arrays of pairs.

The schedule generator (`codesign.kernels.space`) prices thousands of schedules for one pair; this
prices a few dozen tilings for every pair. They do not depend on buffers: a deeper one only adds
tilings that fit, so that the best price falls monotonically.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from codesign.costmodel.arrays import Array, Arrays, Columns
from codesign.costmodel.constants import FITTED, Constants
from codesign.costmodel.conv_tiling import (
    ChannelCut,
    channel_cut,
    conv_fit,
    conv_stages,
)
from codesign.costmodel.demand import Blocks, Plane, blocks, plane
from codesign.costmodel.pipeline import Cycles, Stages, pipeline
from codesign.costmodel.stream_tiling import stream_stages
from codesign.costmodel.work import Work, work


@dataclass(frozen=True)
class Cuts:
    """Output rows, columns and channel groups are cut into that many tiles (inf: of one each), the
    input channel groups of a convolution into ``chunks`` steps.

    ``by_row``: 1 where each of those takes the rows of the window one by one (poolings: all groups
    at once), else 0. Numbers, or arrays of the pairs' shape.
    """

    rows: Array
    cols: Array
    groups: Array
    chunks: Array = 1.0
    by_row: Array = 0.0


# Chosen greedily. Other units than convolutions: of 630 by their prices for random pairs of all
# kinds and the three spaces, most gain first. Convolutions: so of 2100, then also from those that
# the tuner finds best where none of the first came near it (small WGT, INP or ACC: narrow tiles of
# large planes, weights that come row by row) and from 8 600 others, without those that matter least
# to the error on simulated pairs and to the prices of random ones.
CONV_CUTS = tuple(
    Cuts(*numbers)
    for numbers in (
        (inf, inf, inf, inf, 1.0),
        (1.0, 1.0, inf, inf, 1.0),
        (inf, 2.0, inf, inf, 1.0),
        (inf, 2.0, 1.0, inf),
        (12.0, 1.0, inf, 2.0),
        (2.0, 4.0, inf, inf, 1.0),
        (inf, 4.0, 16.0, inf),
        (2.0, 1.0, 8.0, 8.0),
        (1.0, 1.0, 2.0, 8.0),
        (2.0, 1.0, inf, inf, 1.0),
        (inf, 1.0, 1.0, 1.0),
        (inf, inf, 1.0, inf),
        (2.0, 2.0, inf, inf, 1.0),
        (inf, 8.0, 1.0, inf),
        (2.0, 8.0, inf, inf, 1.0),
        (1.0, 1.0, 16.0, 1.0),
        (3.0, 1.0, 1.0, inf, 1.0),
        (12.0, 1.0, 8.0, 1.0),
        (1.0, 1.0, 4.0, inf, 1.0),
        (8.0, inf, inf, inf, 1.0),
        (19.0, 6.0, inf, inf, 1.0),
        (2.0, 1.0, inf, 1.0),
        (4.0, 6.0, inf, 3.0),
        (14.0, inf, inf, inf, 1.0),
        (1.0, 1.0, 14.0, inf, 1.0),
        (inf, 1.0, 3.0, 10.0),
        (inf, 4.0, 1.0, inf),
        (inf, 1.0, 1.0, 4.0),
        (2.0, 6.0, 6.0, inf),
        (1.0, 1.0, inf, 6.0),
        (14.0, 4.0, inf, 1.0),
        (3.0, 1.0, 14.0, 4.0),
        (19.0, inf, 1.0, inf),
        (8.0, 3.0, 3.0, inf, 1.0),
        (inf, 1.0, 4.0, 2.0),
        (inf, 1.0, 6.0, 14.0),
        (2.0, inf, 4.0, inf),
        (6.0, 6.0, 1.0, inf, 1.0),
        (19.0, 11.0, inf, inf, 1.0),
        (1.0, inf, inf, 8.0),
        (1.0, 6.0, 2.0, inf),
        (1.0, inf, 14.0, 4.0),
        (8.0, 1.0, 8.0, 2.0),
        (19.0, 6.0, 1.0, 4.0),
        (28.0, 1.0, 2.0, 1.0),
        (1.0, 1.0, 8.0, 2.0),
        (8.0, 8.0, inf, inf, 1.0),
        (14.0, 8.0, 2.0, inf, 1.0),
        (12.0, 8.0, 8.0, 6.0),
        (1.0, 1.0, 1.0, 6.0),
        (3.0, 2.0, 3.0, inf, 1.0),
        (8.0, 1.0, 1.0, 6.0),
        (1.0, 1.0, 1.0, inf, 1.0),
        (4.0, 1.0, inf, 1.0),
        (19.0, inf, inf, inf, 1.0),
        (inf, inf, 2.0, 4.0),
        (inf, 4.0, 3.0, 3.0),
        (1.0, 3.0, 4.0, inf, 1.0),
    )
)
STREAM_CUTS = tuple(
    Cuts(*numbers)
    for numbers in (
        (inf, inf, inf, 1.0, 1.0),
        (1.0, inf, 8.0),
        (1.0, 1.0, 8.0),
        (8.0, inf, 8.0),
        (3.0, 8.0, 8.0),
        (1.0, 1.0, 1.0),
        (16.0, 8.0, 8.0),
        (2.0, 2.0, 8.0),
        (28.0, inf, 8.0),
        (2.0, 4.0, inf),
        (6.0, 8.0, inf),
        (1.0, 2.0, inf),
        (1.0, 1.0, 2.0),
        (28.0, 2.0, 8.0, 1.0, 1.0),
        (28.0, 8.0, inf),
        (28.0, 1.0, 1.0, 1.0, 1.0),
        (28.0, 1.0, 4.0, 1.0, 1.0),
        (8.0, 8.0, 8.0),
        (16.0, inf, 4.0),
        (inf, 8.0, 16.0, 1.0, 1.0),
        (1.0, 1.0, inf),
        (3.0, 4.0, inf),
        (3.0, inf, inf),
        (3.0, 1.0, 2.0),
        (inf, 1.0, 16.0),
        (inf, inf, 2.0),
        (4.0, 8.0, inf),
        (6.0, inf, inf),
        (3.0, 2.0, inf),
        (2.0, 8.0, inf),
    )
)


@dataclass(frozen=True)
class Tiling:
    """A tiling and the cycles of each module under it; arrays of the pairs' shape.

    ``cycles`` is inf where the tiling does not fit. ``load`` exposes the request latency of every
    LOAD; ``fill`` is what nothing overlaps with. ``rows``, ``cols``: output pixels of a tile;
    ``channel_tiles``, ``spatial_tiles``: number of tiles over output channels and output pixels;
    ``chunks``: steps of a tile. ``input_loads``, ``weight_loads``: times that all inputs and all
    weights come in; ``instructions``: of the whole unit.
    """

    cycles: Array
    load: Array
    compute: Array
    store: Array
    fetch: Array
    fill: Array
    rows: Array
    cols: Array
    channel_tiles: Array
    spatial_tiles: Array
    chunks: Array
    input_loads: Array
    weight_loads: Array
    instructions: Array


@dataclass(frozen=True)
class Pairs:
    """Columns of pairs and what follows from them alone."""

    w: Columns
    c: Columns
    blocks: Blocks
    work: Work
    fitted: Constants


@dataclass(frozen=True)
class Priced:
    """Stages of a tiling and its cycles, inf where it is not ``possible`` or does not fit."""

    plane: Plane
    stages: Stages
    cycles: Cycles
    total: Array


class Tilings:
    """The tilings of fixed pairs; planes and channel cuts that they share are computed once."""

    def __init__(self, a: Arrays, pairs: Pairs) -> None:
        self._a, self._pairs = a, pairs
        self._planes: dict[tuple[Array, Array], Plane] = {}
        self._channels: dict[tuple[Array, Array, Array], ChannelCut] = {}

    def convs(self, *, sliding: bool) -> Iterator[Array]:
        """Cycles of each of `CONV_CUTS` with output channels outside, then inside."""
        a, p = self._a, self._pairs
        for cuts in CONV_CUTS:
            key = cuts.groups, cuts.chunks, cuts.by_row
            if key not in self._channels:
                self._channels[key] = channels_of(a, p, cuts)
            s, k = self._plane(cuts), self._channels[key]
            for outside in (True, False):
                yield price_conv(a, p, s, k, channels_outside=outside, sliding=sliding).total

    def streams(self) -> Iterator[Array]:
        """Cycles of each of `STREAM_CUTS`."""
        for cuts in STREAM_CUTS:
            yield price_stream(self._a, self._pairs, self._plane(cuts), cuts).total

    def _plane(self, cuts: Cuts) -> Plane:
        key = cuts.rows, cuts.cols
        if key not in self._planes:
            self._planes[key] = plane_of(self._a, self._pairs, cuts)
        return self._planes[key]


def plane_of(a: Arrays, p: Pairs, cuts: Cuts) -> Plane:
    rows = a.maximum(a.ceil(p.w["out_height"] / cuts.rows), 1.0)
    cols = a.maximum(a.ceil(p.w["out_width"] / cuts.cols), 1.0)
    return plane(a, p.w, p.c, p.blocks, rows, cols)


def channels_of(a: Arrays, p: Pairs, cuts: Cuts) -> ChannelCut:
    groups = a.maximum(a.whole(p.blocks.out_groups / cuts.groups), 1.0)
    return channel_cut(a, p.w, p.c, p.blocks, groups, cuts.chunks, cuts.by_row)


def possible(
    a: Arrays, p: Pairs, s: Plane, k: ChannelCut, *, channels_outside: bool, sliding: bool
) -> Array:
    """Whether a dataflow allows the order. Where an axis has one tile, the order is no matter."""
    c = p.c
    if sliding:
        return k.possible if channels_outside else k.possible & (p.w["groups"] == 1)
    if channels_outside:
        return k.possible & (((s.tiles > 1) & (c["flow_is"] == 0)) | (k.turns == 1))
    return k.possible & (((k.turns > 1) & (c["flow_ws"] == 0)) | (s.tiles == 1))


def price_conv(
    a: Arrays, p: Pairs, s: Plane, k: ChannelCut, *, channels_outside: bool, sliding: bool
) -> Priced:
    """``channels_outside``: pixels run inside; ``sliding``: row-stationary."""
    f = conv_fit(a, p.w, p.c, p.blocks, s, k, sliding=sliding)
    order = {"channels_outside": channels_outside, "sliding": sliding}
    stages = conv_stages(a, p.w, p.c, p.blocks, p.work, s, k, f, **order)
    cycles = pipeline(a, p.c, stages, p.fitted)
    total = a.fits(a.maximum(cycles.total, p.work.roofline), f.least)
    return Priced(s, stages, cycles, a.where(possible(a, p, s, k, **order), total, inf))


def price_stream(a: Arrays, p: Pairs, s: Plane, cuts: Cuts) -> Priced:
    parts = 1.0 + cuts.by_row * (p.w["kernel_height"] - 1.0)
    groups = a.maximum(a.whole(p.blocks.out_groups / cuts.groups), 1.0)
    stages, room = stream_stages(a, p.w, p.c, p.blocks, p.work, s, groups, parts)
    cycles = pipeline(a, p.c, stages, p.fitted)
    return Priced(s, stages, cycles, a.fits(a.maximum(cycles.total, p.work.roofline), room))


def pairs_of(a: Arrays, w: Columns, c: Columns, fitted: Constants = FITTED) -> Pairs:
    b = blocks(a, w, c)
    return Pairs(w, c, b, work(a, w, c, b), fitted)


def tiling_of(priced: Priced) -> Tiling:
    s, stages, cycles = priced.plane, priced.stages, priced.cycles
    return Tiling(
        cycles=priced.total,
        load=stages.load,
        compute=cycles.compute,
        store=stages.store,
        fetch=cycles.fetch,
        fill=cycles.fill,
        rows=s.rows,
        cols=s.cols,
        channel_tiles=stages.tiles / s.tiles,
        spatial_tiles=s.tiles,
        chunks=stages.chunks,
        input_loads=stages.input_loads,
        weight_loads=stages.weight_loads,
        instructions=stages.instructions,
    )
