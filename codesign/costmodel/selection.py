# numpy's reshape is partially unknown to pyright.
# pyright: reportUnknownMemberType=false
"""The best tiling of each of many pairs, by tapes of the formulas of `tilings`.

Pairs of a `Kind` share a tape, in which what they have in common is a number. One tape compares
all tilings, for each dataflow; others give all that is known of those chosen. Pairs that only
differ in the dataflow are compared once. For few pairs numpy does the same, bit for bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import lru_cache
from math import inf
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from codesign.costmodel.arrays import Array, Arrays, Columns, Exact
from codesign.costmodel.columns import CONFIG_COLUMNS, WORKLOAD_COLUMNS, Floats
from codesign.costmodel.constants import FITTED, Constants
from codesign.costmodel.pair_tables import pair_tables, recorded
from codesign.costmodel.tape import Recorder, Tape
from codesign.costmodel.tilings import (
    CONV_CUTS,
    STREAM_CUTS,
    Cuts,
    Pairs,
    Tiling,
    Tilings,
    channels_of,
    pairs_of,
    plane_of,
    price_conv,
    price_stream,
    tiling_of,
)

_JOB = 1 << 15
"""Pairs that one thread takes at once."""

_FEW = {True: 2000, False: 400}
"""Convolutions, others: fewer pairs of a kind, all asked for so far, are cheaper without a tape,
which takes a second, others a tenth, to record."""
_asked: Counter[Kind] = Counter()
_KINDS = ("is_conv", "is_max_pool", "is_avg_pool", "is_elementwise", "is_gather")
_FLOWS = ("flow_auto", "flow_ws", "flow_os", "flow_is", "flow_rs")
_ORDERS = ("flow_ws", "flow_is")
"""The dataflows that allow one order of loops only, where nothing slides."""
_RARE = ("groups", "phases", "residual", "multiply", "sampled_rows")
_PLAIN = {"groups": 1.0, "phases": 1.0, "residual": 0.0, "multiply": 0.0, "sampled_rows": 0.0}


@dataclass(frozen=True)
class Kind:
    """Pairs that share a tape: one of `_KINDS`, which of `_RARE` are not as in most units, and
    whether the dataflow is row-stationary."""

    kind: str
    rare: tuple[bool, ...]
    sliding: bool

    @property
    def ordered(self) -> bool:
        """Whether a dataflow may forbid an order of loops."""
        return self.kind == "is_conv" and not self.sliding

    @property
    def few(self) -> bool:
        """Whether too few pairs were asked for to record a tape."""
        return _asked[self] < _FEW[self.kind == "is_conv"]

    @property
    def fixed(self) -> Mapping[str, float]:
        """Columns that hold one number."""
        found = {name: float(name == self.kind) for name in _KINDS}
        found |= {n: _PLAIN[n] for n, rare in zip(_RARE, self.rare, strict=True) if not rare}
        if found.get("phases") and self.kind == "is_conv":
            found |= {"up_height": 1.0, "up_width": 1.0}
        if self.kind != "is_elementwise":
            found["operands"] = 1.0
        return found


def best_tilings(
    w: Columns,
    c: Columns,
    impossible: NDArray[np.bool_],
    threads: int = 1,
    fitted: Constants = FITTED,
) -> list[Floats]:
    """The fields of `Tiling` of the pairs of columns that broadcast together; inf where none
    fits."""
    shape = impossible.shape
    tables = pair_tables(w, c, shape)
    pairs = _Numbers(
        (tables.workloads, tables.configs),
        (tables.workload, tables.config),
        _twins(tables.configs),
        fitted,
    )
    found = np.full((len(fields(Tiling)), impossible.size), inf)
    possible = ~impossible.reshape(-1)
    jobs: list[_Job] = []
    for kind, members in kinds(w, c):
        chosen = np.flatnonzero(np.broadcast_to(members, shape).reshape(-1) & possible)
        jobs += [_job(pairs, kind, chosen[i : i + _JOB]) for i in range(0, len(chosen), _JOB)]

    def run(group: Sequence[_Job]) -> None:
        _price(pairs, group, found)

    groups = _grouped(jobs)
    # What slides comes last: a pair may be of both sorts.
    for sliding in (False, True):
        part = [group for group in groups if group[0].kind.sliding == sliding]
        if threads > 1 and len(part) > 1:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(run, part))
        else:
            for group in part:
                run(group)
    return [row.reshape(shape) for row in found]


@dataclass(frozen=True)
class _Numbers:
    """Tables float64[columns, rows] of workloads and configurations, rows of each pair, for each
    configuration the first that only differs in the dataflow, and the constants to price with."""

    tables: tuple[Floats, Floats]
    rows: tuple[NDArray[np.int64], NDArray[np.int64]]
    twins: NDArray[np.int64]
    fitted: Constants


def _twins(configs: Floats) -> NDArray[np.int64]:
    alike: list[int] = [i for i, name in enumerate(CONFIG_COLUMNS) if name not in _FLOWS]
    _, first, place = np.unique(configs[alike], axis=1, return_index=True, return_inverse=True)
    return first[place].astype(np.int64)


def kinds(w: Columns, c: Columns) -> list[tuple[Kind, NDArray[np.bool_]]]:
    """The kinds there are, and which pairs of the columns, broadcast, are of each."""
    code = np.zeros(w["height"].shape, np.int64)
    for index, name in enumerate(_KINDS):
        code = np.where(w[name] > 0, index, code)
    for name in _RARE:
        code = 2 * code + (w[name] != _PLAIN[name])
    slides, stands = c["flow_rs"] + c["flow_auto"] > 0, c["flow_rs"] == 0
    found: list[tuple[Kind, NDArray[np.bool_]]] = []
    for number in map(int, np.unique(code)):
        alike = code == number
        rare = tuple(bool(number >> k & 1) for k in reversed(range(len(_RARE))))
        kind = _KINDS[number >> len(_RARE)]
        if kind != "is_conv":
            found.append((Kind(kind, rare, False), alike & np.ones_like(stands)))
            continue
        found.append((Kind(kind, rare, False), alike & stands))
        if not rare[_RARE.index("phases")]:
            found.append((Kind(kind, rare, True), alike & slides))
    return [(kind, members) for kind, members in found if members.any()]


@dataclass(frozen=True, eq=False)
class _Job:
    """Pairs of a kind that are priced at once: ``members`` among all; ``alike``: numbers, sorted,
    of those that differ in more than the dataflow, ``first`` and ``place`` as of `np.unique`."""

    kind: Kind
    members: NDArray[np.intp]
    rows: _Rows
    alike: NDArray[np.int64]
    first: NDArray[np.intp]
    place: NDArray[np.intp]


def _job(pairs: _Numbers, kind: Kind, members: NDArray[np.intp]) -> _Job:
    units, configs = (numbers[members] for numbers in pairs.rows)
    _asked[kind] += len(members)
    found = np.unique(
        units * pairs.tables[1].shape[1] + pairs.twins[configs],
        return_index=True,
        return_inverse=True,
    )
    return _Job(kind, members, (units, configs), *found)


def _grouped(jobs: Sequence[_Job]) -> list[list[_Job]]:
    """Jobs whose pairs slide beside those whose same pairs, but for the dataflow, do not: one tape
    prices both."""
    groups: dict[tuple[str, tuple[bool, ...]], list[_Job]] = {}
    for job in jobs:
        groups.setdefault((job.kind.kind, job.kind.rare), []).append(job)
    found: list[list[_Job]] = []
    for group in groups.values():
        sorts = [job.kind.sliding for job in group]
        both = sorts == [False, True] and not any(job.kind.few for job in group)
        if both and np.array_equal(group[0].alike, group[1].alike):
            found.append(group)
        else:
            found += [[job] for job in group]
    return found


def _price(pairs: _Numbers, group: Sequence[_Job], found: Floats) -> None:
    """Write what is cheaper than what was ``found`` before."""
    for job, (best, choice) in zip(group, _compare(pairs, group), strict=True):
        better = np.flatnonzero(best < found[0, job.members])
        chosen = choice[better].astype(np.int64)
        for outside in (True, False):
            part = np.flatnonzero((chosen % 2 == 0) == outside)
            if len(part):
                some = better[part]
                taken = tuple(r[some] for r in job.rows)
                numbers = chosen[part] // 2
                found[:, job.members[some]] = _describe(pairs, job.kind, outside, taken, numbers)


_Rows: TypeAlias = tuple[NDArray[np.int64], ...]


def _compare(pairs: _Numbers, group: Sequence[_Job]) -> list[Floats]:
    """Of each job: cycles of the best tiling, and its number."""
    job = group[0]
    if job.kind.few:
        w, c = _columns(pairs, job.rows)
        with np.errstate(all="ignore"):
            p = pairs_of(Exact(), {**w, **job.kind.fixed}, c, pairs.fitted)
            values = cheapest(Exact(), [(job.kind, p)])
            return [np.stack(np.broadcast_arrays(*values, w["height"])[:2])]
    tape = _comparison(tuple(job.kind for job in group), pairs.fitted)
    some = (*(numbers[job.first] for numbers in job.rows), np.zeros(len(job.first), np.int64))
    prices: Floats = tape.run((*pairs.tables, np.zeros((1, 1))), some)
    found: list[Floats] = []
    for job in group:
        order = _order(pairs, job.kind, job.rows[1])
        found.append(np.stack([prices[2 * order + k, job.place] for k in (0, 1)]))
        prices = prices[2 * len(_orders(job.kind)) :]
    return found


def _orders(kind: Kind) -> tuple[str, ...]:
    """Dataflows that the comparison prices apart; "": any."""
    return ("", *_ORDERS) if kind.ordered else ("",)


def _order(pairs: _Numbers, kind: Kind, configs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which prices of the comparison are a configuration's: 0 any order, else of `_ORDERS`."""
    order = np.zeros(len(configs), np.int64)
    if kind.ordered:
        for number, name in enumerate(_ORDERS, start=1):
            order[pairs.tables[1][CONFIG_COLUMNS.index(name), configs] > 0] = number
    return order


def _describe(
    pairs: _Numbers, kind: Kind, outside: bool, rows: _Rows, choice: NDArray[np.int64]
) -> Floats:
    """float64[fields of `Tiling`, pairs] of the cuts chosen."""
    table = _CUTS[kind.kind == "is_conv"]
    if kind.few:
        w, c = _columns(pairs, rows)
        with np.errstate(all="ignore"):
            p = pairs_of(Exact(), {**w, **kind.fixed}, c, pairs.fitted)
            values = _all_fields(Exact(), kind, p, Cuts(*table[:, choice]), outside)
            return np.stack(np.broadcast_arrays(*values, w["height"])[:-1])
    return _details(kind, outside, pairs.fitted).run((*pairs.tables, table), (*rows, choice))


def _columns(pairs: _Numbers, rows: _Rows) -> tuple[dict[str, Floats], dict[str, Floats]]:
    w, c = (table[:, numbers] for table, numbers in zip(pairs.tables, rows, strict=True))
    names = zip(WORKLOAD_COLUMNS, w, strict=True), zip(CONFIG_COLUMNS, c, strict=True)
    return dict(names[0]), dict(names[1])


def cheapest(a: Arrays, compared: Sequence[tuple[Kind, Pairs]]) -> list[Array]:
    """Of each kind: cycles of its best tiling, and its number: twice its place, and 1 for channels
    inside. Kinds of one unit go side by side, so that what they share is not kept for long."""
    conv = compared[0][0].kind == "is_conv"
    prices = [
        Tilings(a, p).convs(sliding=kind.sliding) if conv else Tilings(a, p).streams()
        for kind, p in compared
    ]
    found: list[Array] = [inf, 0.0] * len(compared)
    for number, offers in enumerate(zip(*prices, strict=True)):
        for k, price in enumerate(offers):
            best, choice = found[2 * k], found[2 * k + 1]
            own = float(number if conv else 2 * number)
            found[2 * k + 1] = a.where(price < best, own, choice)
            found[2 * k] = a.minimum(price, best)
    return found


def _all_fields(a: Arrays, kind: Kind, p: Pairs, cuts: Cuts, outside: bool) -> list[Array]:
    """The fields of `Tiling`."""
    s = plane_of(a, p, cuts)
    if kind.kind == "is_conv":
        k = channels_of(a, p, cuts)
        priced = price_conv(a, p, s, k, channels_outside=outside, sliding=kind.sliding)
    else:
        priced = price_stream(a, p, s, cuts)
    tiling = tiling_of(priced)
    return [getattr(tiling, f.name) for f in fields(Tiling)]


def _recorded(
    a: Recorder, kind: Kind, fitted: Constants, flows: Mapping[str, float] | None = None
) -> Pairs:
    return pairs_of(a, *recorded(a, kind.fixed, flows or {}), fitted)


@lru_cache(maxsize=256)
def _comparison(kinds: tuple[Kind, ...], fitted: Constants) -> Tape:
    a = Recorder()
    compared: list[tuple[Kind, Pairs]] = []
    for kind in kinds:
        for allowed in _orders(kind):
            flows = {name: float(name == allowed) for name in _ORDERS}
            compared.append((kind, _recorded(a, kind, fitted, flows)))
    return a.tape(cheapest(a, compared))


@lru_cache(maxsize=512)
def _details(kind: Kind, outside: bool, fitted: Constants) -> Tape:
    a = Recorder()
    p = _recorded(a, kind, fitted)
    cuts = Cuts(*(a.column("third", index) for index in range(len(fields(Cuts)))))
    return a.tape(_all_fields(a, kind, p, cuts, outside))


def _table_of(all_cuts: tuple[Cuts, ...]) -> Floats:
    """float64[fields of `Cuts`, tilings]."""
    rows = [[float(getattr(cuts, f.name)) for cuts in all_cuts] for f in fields(Cuts)]
    return np.array(rows, dtype=np.float64)


_CUTS = {True: _table_of(CONV_CUTS), False: _table_of(STREAM_CUTS)}
