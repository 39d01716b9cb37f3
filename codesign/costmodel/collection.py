"""Collecting traces: sampled points are simulated by worker processes into a store, once each."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from codesign.costmodel.columns import Floats
from codesign.costmodel.sampling import IndexPairs, Sampling, sampler
from codesign.costmodel.units import on_config
from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.kernels.schedule import Schedule
from codesign.kernels.workload import Workload
from codesign.store import (
    TraceRow,
    TraceStore,
    make_row,
    simulator_version,
    trace_key,
    worker_pool,
)

Progress = Callable[[int, int], None]
"""Called with (points done, points known so far in all) after each stored batch."""

Unit = tuple[Workload, VtaConfig]
Point = tuple[Workload, VtaConfig, Schedule | None]
"""What a row answers for: a schedule, or None for the best one that the tuner finds."""

_BATCH = 16
"""Rows a transaction: what a killed run loses at most."""


@dataclass(frozen=True)
class Collected:
    """What `collect` did: points simulated now, points the store had, infeasible among both."""

    simulated: int
    known: int
    infeasible: int

    def __add__(self, other: Collected) -> Collected:
        return Collected(
            self.simulated + other.simulated,
            self.known + other.known,
            self.infeasible + other.infeasible,
        )


def collect(
    workloads: Sequence[Workload],
    configs: Sequence[VtaConfig],
    samples: int,
    seed: int,
    store: TraceStore,
    workers: int = 1,
    progress: Progress | None = None,
    *,
    sampling: Sampling = "random",
    schedules: int = 0,
) -> Collected:
    """Simulate ``samples`` distinct (layer, configuration) pairs into ``store``.

    Layers become units by `on_config`. A pair's row is its best schedule (T2), or why it is
    infeasible; ``schedules`` random ones of its schedule space follow it, each a row of its own.
    The store's content depends on neither ``workers`` nor on kills: rows are added in the order
    drawn, and what is there already is not simulated again.
    """
    layers = list(dict.fromkeys(workloads))
    pairs_in_all = min(samples, len(layers) * len(configs))
    done = Collected(0, 0, 0)
    with _processes(workers) as pool:
        source = sampler(sampling, layers, configs, samples, seed)
        drawn = next(source, None)
        while drawn is not None:
            units = _units(drawn, layers, configs)
            points = _points(units, schedules, seed, pool)
            base = done.simulated + done.known
            total = max(pairs_in_all * (1 + schedules), base + len(points))

            def show(n: int, base: int = base, total: int = total) -> None:
                if progress is not None:
                    progress(base + n, total)

            rows, part = _fill(points, store, pool, show)
            done += part
            drawn = _next(source, _cycles(points, rows))
    return done


def collect_pairs(
    pairs: Sequence[Unit], store: TraceStore, workers: int = 1, progress: Progress | None = None
) -> Collected:
    """Best schedules of given (layer, configuration) pairs, in their order, as `collect` has it."""
    points: list[Point] = [(on_config(layer, config), config, None) for layer, config in pairs]
    with _processes(workers) as pool:

        def show(n: int) -> None:
            if progress is not None:
                progress(n, len(points))

        return _fill(points, store, pool, show)[1]


@contextmanager
def _processes(workers: int) -> Generator[Executor | None]:
    """A pool that drops what it has not begun when the block ends; None for one process."""
    if workers <= 1:
        yield None
        return
    pool = worker_pool(workers)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _next(source: Any, cycles: Floats) -> IndexPairs | None:
    try:
        return source.send(cycles)
    except StopIteration:
        return None


def _units(
    drawn: IndexPairs, layers: Sequence[Workload], configs: Sequence[VtaConfig]
) -> list[Unit]:
    return [
        (on_config(layers[u], configs[c]), configs[c])
        for u, c in zip(map(int, drawn[:, 0]), map(int, drawn[:, 1]), strict=True)
    ]


def _points(units: list[Unit], schedules: int, seed: int, pool: Executor | None) -> list[Point]:
    """The best schedule of each unit, and after it the random ones."""
    if not schedules:
        return [(*unit, None) for unit in units]
    points: list[Point] = []
    found = _map(partial(_draw_schedules, count=schedules, seed=seed), units, pool)
    for unit, chosen in zip(units, found, strict=True):
        points += [(*unit, schedule) for schedule in (None, *chosen)]
    return points


def _draw_schedules(unit: Unit, count: int, seed: int) -> list[Schedule]:
    """Distinct random schedules that fit the scratchpads, drawn by the unit's content."""
    from codesign.kernels import candidates

    options = candidates(*unit)
    if not options:
        return []
    rng = np.random.default_rng([seed, int(trace_key(*unit, None, "")[:15], 16)])
    chosen = rng.choice(len(options), min(count, len(options)), replace=False)
    return [options[int(i)] for i in chosen]


def _fill(
    points: list[Point], store: TraceStore, pool: Executor | None, show: Callable[[int], None]
) -> tuple[dict[str, TraceRow], Collected]:
    """Rows of the points by key: read from the store, or simulated and added as they come."""
    simulator = simulator_version()
    keys = list(dict.fromkeys(trace_key(*point, simulator) for point in points))
    by_key = dict(zip((trace_key(*point, simulator) for point in points), points, strict=True))
    found = {key: store.get(key) for key in keys}
    rows = {key: row for key, row in found.items() if row is not None}
    known = len(rows)
    todo = [by_key[key] for key in keys if key not in rows]
    show(len(rows))
    outcomes = zip(todo, _map(_outcome, todo, pool), strict=True)
    while batch := list(islice(outcomes, _BATCH)):
        made = [make_row(w, c, outcome, simulator, s) for (w, c, s), outcome in batch]
        store.add(made)
        rows |= {row.key: row for row in made}
        show(len(rows))
    infeasible = sum(row.infeasible is not None for row in rows.values())
    return rows, Collected(len(todo), known, infeasible)


def _cycles(points: list[Point], rows: dict[str, TraceRow]) -> Floats:
    """Best-schedule cycles of each pair, nan where infeasible."""
    simulator = simulator_version()
    best = [rows[trace_key(*point, simulator)].cycles for point in points if point[2] is None]
    return np.array([np.nan if cycles is None else cycles for cycles in best], dtype=np.float64)


def _map(function: Callable[[Any], Any], items: Sequence[Any], pool: Executor | None) -> Any:
    if pool is None or len(items) < 2:
        return map(function, items)
    return pool.map(function, items, chunksize=4)


def _outcome(point: Point) -> Any | Infeasible:
    """A tuned or measured schedule; the import is late so that reading needs no simulator."""
    from codesign.kernels import best_schedule, measure

    workload, config, schedule = point
    if schedule is None:
        return best_schedule(workload, config)
    return measure(workload, config, schedule)
