# numpy's reshape is partially unknown to pyright.
# pyright: reportUnknownMemberType=false
"""T0: cycles of a unit in closed form, over arrays of (workload, configuration) pairs.

`work` counts what a pair must do whatever the schedule, and bounds it as
`codesign.kernels.lower_bound` does. `bound` prices a few dozen tilings (`tilings`) by the formula
of `pipeline` and keeps the cheapest. Formulas: VTA_TIMING.md 1-6, DESIGN 6.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from enum import Enum
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.costmodel.arrays import Columns, Exact
from codesign.costmodel.columns import Floats
from codesign.costmodel.conv_tiling import conv_fit
from codesign.costmodel.demand import Blocks, blocks
from codesign.costmodel.tilings import (
    CONV_CUTS,
    STREAM_CUTS,
    Cuts,
    Pairs,
    Priced,
    Shape,
    Tiling,
    Tilings,
    channels_of,
    conv_floors,
    plane_of,
    price_conv,
    price_stream,
)
from codesign.costmodel.work import Work
from codesign.costmodel.work import work as work_of

_EXACT = Exact()
_BLOCK = 2048
"""Pairs at once: what the second-level cache holds of all that one tiling's price needs."""


@dataclass(frozen=True)
class Bound:
    """T0 of the pairs: ``cycles`` >= ``work.roofline``, and the tiling that it prices."""

    blocks: Blocks
    work: Work
    tiling: Tiling
    cycles: Floats


def infeasible(w: Columns, c: Columns) -> NDArray[np.bool_]:
    """Pairs without a schedule: no tiling of T0 fits, or `impossible`. Nearly always what the
    schedule generator finds, which knows more tilings."""
    return ~np.isfinite(bound(w, c).cycles)


def impossible(w: Columns, c: Columns) -> NDArray[np.bool_]:
    """What no tiling can mend: no output, element widths that kernels do not serve, BATCH > 1 with
    a rectangular core, multipliers without HAS_MUL or beside a residual, a row-stationary
    transposed convolution."""
    served = (c["kernels_fit"] > 0) & (w["out_height"] >= 1) & (w["out_width"] >= 1)
    multiplied = (w["multiply"] == 0) | ((c["has_mul"] > 0) & (w["residual"] == 0))
    slides = (c["flow_rs"] == 0) | (w["up_height"] * w["up_width"] == 1)
    return ~(served & multiplied & (slides | (w["is_conv"] == 0)))


def work(w: Columns, c: Columns) -> Work:
    """Compulsory work of the pairs (columns broadcast against each other)."""
    return work_of(_EXACT, w, c, blocks(_EXACT, w, c))


def bound(w: Columns, c: Columns, threads: int = 1) -> Bound:
    """T0: positive, inf where nothing fits, and never larger for a wider bus, a shorter latency
    or a deeper buffer."""
    with np.errstate(all="ignore"):
        b = blocks(_EXACT, w, c)
        shape = np.broadcast_shapes(w["height"].shape, c["batch"].shape)
        table = _Table(w, c, shape, {f.name: np.full(shape, np.inf) for f in fields(Tiling)})
        # What slides comes last: a pair may have both.
        for family in (_Family.CONV, _Family.STREAM, _Family.SLIDING):
            jobs = table.jobs(family)
            if threads > 1 and len(jobs) > 1:
                with ThreadPoolExecutor(threads) as pool:
                    list(pool.map(partial(_price, table, family), jobs))
            else:
                for job in jobs:
                    _price(table, family, job)
        tiling = Tiling(**table.found)
        return Bound(b, work_of(_EXACT, w, c, b), tiling, tiling.cycles)


class _Family(Enum):
    CONV = "convolutions"
    SLIDING = "row-stationary convolutions"
    STREAM = "other units"


@dataclass(frozen=True)
class _Table:
    """Pairs of columns that broadcast to ``shape``, and what is ``found`` of each."""

    w: Columns
    c: Columns
    shape: tuple[int, ...]
    found: dict[str, Floats]

    def jobs(self, family: _Family) -> list[NDArray[np.intp]]:
        """Flat numbers of the pairs of a family, a block each."""
        w, c = self.w, self.c
        wanted = ~impossible(w, c) & ((w["is_conv"] > 0) == (family is not _Family.STREAM))
        if family is _Family.CONV:
            wanted = wanted & (c["flow_rs"] == 0)
        if family is _Family.SLIDING:
            slides = (c["flow_rs"] + c["flow_auto"] > 0) & (w["up_height"] * w["up_width"] == 1)
            wanted = wanted & slides
        members = np.flatnonzero(np.broadcast_to(wanted, self.shape))
        return [members[i : i + _BLOCK] for i in range(0, len(members), _BLOCK)]

    def columns(self, members: NDArray[np.intp]) -> tuple[Columns, Columns]:
        """Columns of single pairs."""
        place = np.unravel_index(members, self.shape)
        return _rows(self.w, place), _rows(self.c, place)

    def keep(self, members: NDArray[np.intp], tiling: Tiling) -> None:
        """Where they are cheaper than what was found before."""
        before = self.found["cycles"].reshape(-1)
        better = tiling.cycles < before[members]
        rows = members[better]
        for name, values in self.found.items():
            values.reshape(-1)[rows] = getattr(tiling, name)[better]


def _rows(columns: Columns, place: tuple[NDArray[np.intp], ...]) -> dict[str, Any]:
    """Columns at places; what is the same everywhere becomes one number."""
    shape = next(iter(columns.values())).shape
    if not shape:
        return dict(columns)
    within = tuple(
        np.zeros_like(at) if extent == 1 else at for at, extent in zip(place, shape, strict=True)
    )
    rows = np.ravel_multi_index(within, shape)
    some = {name: values.reshape(-1)[rows] for name, values in columns.items()}
    return {name: v[0] if v[0] == v[-1] and (v == v[0]).all() else v for name, v in some.items()}


def _pairs(w: Columns, c: Columns) -> Pairs:
    b = blocks(_EXACT, w, c)
    return Pairs(w, c, b, work_of(_EXACT, w, c, b))


class _Some(Mapping[str, Any]):
    """Columns at ``rows``, fetched when they are used."""

    def __init__(self, columns: Columns, rows: NDArray[np.intp]) -> None:
        self._columns, self._rows = columns, rows
        self._known: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._known:
            self._known[name] = _at(self._columns[name], self._rows)
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


def _at(values: Any, rows: NDArray[np.intp]) -> Any:
    return values[rows] if np.ndim(values) else values


def _some(p: Pairs, rows: NDArray[np.intp]) -> Pairs:
    def some(part: Any) -> Any:
        return type(part)(*(_at(getattr(part, f.name), rows) for f in fields(part)))

    return Pairs(_Some(p.w, rows), _Some(p.c, rows), some(p.blocks), some(p.work))


def _price(table: _Table, family: _Family, members: NDArray[np.intp]) -> None:
    with np.errstate(all="ignore"):
        pairs = _pairs(*table.columns(members))
        if family is _Family.STREAM:
            _price_streams(table, pairs, members)
        else:
            _price_convs(table, pairs, members, sliding=family is _Family.SLIDING)


def _price_streams(table: _Table, pairs: Pairs, members: NDArray[np.intp]) -> None:
    best = np.full(len(members), np.inf)
    choice = np.zeros(len(members), np.intp)
    for index, priced in enumerate(Tilings(_EXACT, pairs).streams()):
        better = priced.total < best
        np.copyto(best, priced.total, where=better)
        choice[better] = index
    rows = np.flatnonzero(np.isfinite(best))
    some, cuts = _some(pairs, rows), Cuts(*_STREAM_CUTS[:, choice[rows]])
    priced = price_stream(_EXACT, some, plane_of(_EXACT, some, cuts), cuts)
    table.keep(members[rows], _tiling(priced))


def _price_convs(table: _Table, pairs: Pairs, members: NDArray[np.intp], *, sliding: bool) -> None:
    """First prices the tiling of each pair whose floor is lowest, then all whose floor is below
    that price: the best of all, and most are never priced."""
    floors = np.empty((2 * len(CONV_CUTS), len(members)))
    for index, shape in enumerate(Tilings(_EXACT, pairs).convs(sliding=sliding)):
        floors[2 * index], floors[2 * index + 1] = conv_floors(
            _EXACT, pairs, shape, sliding=sliding
        )
    choice = floors.argmin(axis=0)
    every = np.arange(len(members))
    fits = np.isfinite(floors[choice, every])
    best = np.where(fits, _totals(pairs, every, choice, sliding), np.inf)
    floors[choice, every] = np.inf
    others, rows = np.nonzero(floors < best)
    totals = _totals(pairs, rows, others, sliding)
    # The dearest first: the last one written is the cheapest.
    order = np.argsort(-totals)
    order = order[totals[order] < best[rows[order]]]
    choice[rows[order]] = others[order]
    for part, outside in _orders(choice, np.flatnonzero(fits)):
        priced = _chosen(pairs, part, choice[part], outside=outside, sliding=sliding)
        table.keep(members[part], _tiling(priced))


def _orders(
    choice: NDArray[np.intp], rows: NDArray[np.intp]
) -> Iterator[tuple[NDArray[np.intp], bool]]:
    """Rows whose choice is a tiling with output channels outside, and inside; none if empty."""
    for outside in (True, False):
        part = rows[(choice[rows] % 2 == 0) == outside]
        if len(part):
            yield part, outside


def _totals(
    pairs: Pairs, rows: NDArray[np.intp], choice: NDArray[np.intp], sliding: bool
) -> Floats:
    """Cycles of pairs ``rows`` under the tilings ``choice``."""
    totals = np.empty(len(rows))
    for part, outside in _orders(choice, np.arange(len(rows))):
        priced = _chosen(pairs, rows[part], choice[part], outside=outside, sliding=sliding)
        totals[part] = priced.total
    return totals


def _chosen(
    pairs: Pairs, rows: NDArray[np.intp], choice: NDArray[np.intp], *, outside: bool, sliding: bool
) -> Priced:
    """Pairs ``rows`` under a tiling each: half of ``choice`` counts `CONV_CUTS`."""
    some, cuts = _some(pairs, rows), Cuts(*_CONV_CUTS[:, choice // 2])
    s, k = plane_of(_EXACT, some, cuts), channels_of(_EXACT, some, cuts)
    fit = conv_fit(_EXACT, some.w, some.c, some.blocks, s, k, sliding=sliding)
    shape = Shape(s, k, fit)
    return price_conv(_EXACT, some, shape, channels_outside=outside, sliding=sliding)


def _tiling(priced: Priced) -> Tiling:
    s, stages, cycles = priced.plane, priced.stages, priced.cycles
    values = (
        *(priced.total, stages.load, cycles.compute, stages.store, cycles.fetch, cycles.fill),
        *(s.rows, s.cols, stages.tiles / s.tiles, s.tiles, stages.chunks),
        *(stages.input_loads, stages.weight_loads, stages.instructions),
    )
    return Tiling(*(np.broadcast_to(v, priced.total.shape) for v in values))


def _table_of(all_cuts: tuple[Cuts, ...]) -> Floats:
    """Row: a field of `Cuts`; column: a tiling."""
    rows = [[float(getattr(cuts, f.name)) for cuts in all_cuts] for f in fields(Cuts)]
    return np.array(rows, dtype=np.float64)


_CONV_CUTS, _STREAM_CUTS = _table_of(CONV_CUTS), _table_of(STREAM_CUTS)
