# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# numpy annotates some of its functions in part only.
"""Searches of one problem side by side: hypervolume against evaluations, and a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.report.figures import FIGURES, number
from codesign.store import EvaluationRow, RunRow, RunStore

Floats = NDArray[np.float64]
_NEAR = 0.01
"""Relative loss of the first objective within which a search counts as arrived."""
_SAME = ("problem", "networks", "configs", "accuracy")
"""Hashes that searches of one problem share."""


@dataclass(frozen=True, eq=False)
class Trail:
    """One search: what had been spent after each evaluation [n], two objectives of each [n, 2],
    both to be minimised, and which keep the limits [n]."""

    strategy: str
    seed: int
    spent: Floats
    losses: Floats
    feasible: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Curves:
    """Hypervolume of one strategy, in percent of what all searches found together, by what was
    spent [n]: median, lowest and highest over its seeds."""

    strategy: str
    seeds: int
    spent: Floats
    median: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, eq=False)
class Comparison:
    """``objectives`` names the two that the hypervolume is of; ``rows`` are of the table."""

    objectives: tuple[str, str]
    curves: tuple[Curves, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def trails(row: RunRow, stores: Iterable[RunStore]) -> list[Trail]:
    """Every finished search of the same networks, configurations, accuracies and limits as
    ``row``, each once, in the order of the stores."""
    found: dict[str, Trail] = {}
    for store in stores:
        for other in store.runs():
            if other.key not in found and _comparable(row, other):
                found[other.key] = _trail(other, store.evaluations(other.key), row.problem)
    return list(found.values())


def compare(problem: Mapping[str, Any], found: Sequence[Trail]) -> Comparison | None:
    """Curves and table; None where no search has a pair that keeps the limits."""
    kept = [trail.losses[trail.feasible] for trail in found]
    if not sum(map(len, kept)):
        return None
    points = np.concatenate(kept)
    worst, ideal = points.max(axis=0), points.min(axis=0)
    whole = hypervolume(points, worst)
    best = float(ideal[0])
    first, second = two_objectives(problem)
    curves: list[Curves] = []
    rows: list[tuple[str, ...]] = []
    for strategy in dict.fromkeys(trail.strategy for trail in found):
        runs = [trail for trail in found if trail.strategy == strategy]
        grid = np.unique(np.concatenate([trail.spent for trail in runs]))
        seen = np.array([_growth(trail, worst, whole)(grid) for trail in runs])
        middle: Floats = np.median(seen, axis=0)
        curves.append(Curves(strategy, len(runs), grid, middle, seen.min(axis=0), seen.max(axis=0)))
        rows.append(_row(strategy, runs, first, best, float(middle[-1])))
    columns = ("strategy", "seeds", "evaluations", "with a feasible pair")
    columns += (f"best {FIGURES[first['metric']].name}, median (range)", "hypervolume, median")
    columns += ("evaluations to 1 % of the best, median",)
    names = FIGURES[first["metric"]].name, FIGURES[second["metric"]].name
    return Comparison(names, tuple(curves), columns, tuple(rows))


def two_objectives(problem: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The first two of a problem; beside a single one accuracy, or latency beside accuracy."""
    listed: Sequence[Mapping[str, Any]] = problem["objectives"]
    if len(listed) > 1:
        return listed[0], listed[1]
    if listed[0]["metric"] == "accuracy":
        return listed[0], {"metric": "latency_ms", "goal": "min"}
    return listed[0], {"metric": "accuracy", "goal": "max"}


def hypervolume(points: Floats, worst: Floats) -> float:
    """Area that ``points`` [n, 2] dominate below ``worst`` [2]; both objectives are minimised."""
    area, depth = 0.0, float(worst[1])
    for x, y in points[np.lexsort((points[:, 1], points[:, 0]))].tolist():
        if y < depth:
            area += max(0.0, float(worst[0]) - x) * (depth - y)
            depth = y
    return area


def _comparable(row: RunRow, other: RunRow) -> bool:
    if row.result is None or other.result is None:
        return False
    ours, theirs = row.result["certificate"]["hashes"], other.result["certificate"]["hashes"]
    return all(ours[name] == theirs[name] for name in _SAME)


def _trail(row: RunRow, evaluations: Sequence[EvaluationRow], problem: Mapping[str, Any]) -> Trail:
    assert row.result is not None
    used = row.result["certificate"]["evaluations"]
    short = (used["price"] - used["t2"]) / used["short"] if used["short"] else 0.0
    prices = [1.0 if e.level == "t2" else short for e in evaluations]
    signs = [(o["metric"], -1.0 if o["goal"] == "max" else 1.0) for o in two_objectives(problem)]
    losses = [
        [sign * float(e.body["figures"].get(metric, np.nan)) for metric, sign in signs]
        for e in evaluations
    ]
    table: Floats = np.array(losses, np.float64).reshape((-1, 2))
    full = np.array([e.level == "t2" and not e.body["violations"] for e in evaluations], bool)
    feasible = full & np.isfinite(table).all(axis=1)
    plain: Any = row.problem
    return Trail(plain["strategy"], plain["seed"], np.cumsum(prices), table, feasible)


def _growth(trail: Trail, worst: Floats, whole: float) -> Any:
    """Percent of ``whole`` by what was spent, as a function of an array."""
    places = np.flatnonzero(trail.feasible)
    steps: list[tuple[float, float]] = []
    front = np.empty((0, 2))
    for place in places.tolist():
        point = trail.losses[place]
        if len(front) and (front <= point).all(axis=1).any():
            continue
        front = np.vstack([front[~(point <= front).all(axis=1)], point])
        share = 100.0 * hypervolume(front, worst) / whole if whole else 100.0
        steps.append((float(trail.spent[place]), share))
    moments, shares = np.array([s for s, _ in steps]), np.array([0.0, *(v for _, v in steps)])
    return lambda grid: shares[np.searchsorted(moments, grid, side="right")]  # type: ignore


def _row(
    strategy: str, runs: Sequence[Trail], first: Mapping[str, Any], best: float, volume: float
) -> tuple[str, ...]:
    figure, sign = FIGURES[first["metric"]], -1.0 if first["goal"] == "max" else 1.0
    ends = [float(t.losses[t.feasible, 0].min()) for t in runs if t.feasible.any()]
    values = sorted(sign * end for end in ends)
    known = "–" if not values else figure.show(float(np.median(values)))
    spread = "" if len(values) < 2 else f" ({figure.show(values[0])} to {figure.show(values[-1])})"
    arrived = [_arrival(trail, best) for trail in runs]
    median = float(np.median(arrived))
    return (
        strategy,
        str(len(runs)),
        number(round(float(np.median([t.spent[-1] if len(t.spent) else 0 for t in runs])))),
        f"{len(ends)} of {len(runs)}",
        known + spread,
        f"{volume:.1f} %",
        "not reached" if np.isinf(median) else number(round(median)),
    )


def _arrival(trail: Trail, best: float) -> float:
    near = trail.feasible & (trail.losses[:, 0] <= best + _NEAR * abs(best))
    return float(trail.spent[near][0]) if near.any() else float("inf")
