"""Collecting traces: sampled points are simulated by worker processes into a store, once each."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from codesign.costmodel.columns import Floats
from codesign.costmodel.sampling import IndexPairs, Sampling, sampler
from codesign.costmodel.units import on_config
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
from codesign.store.content import config_text, workload_text

Progress = Callable[[int, int], None]
"""Called with (pairs done, pairs in all) after each stored batch."""

Unit = tuple[Workload, VtaConfig]
Answers = list[tuple[Schedule | None, Any]]
"""Schedule asked for, None for the best one, and its outcome."""

_BATCH = 16
"""Rows a transaction: what a killed run loses at most, but for one pair's."""


@dataclass(frozen=True)
class Collected:
    """What `collect` did: rows simulated now, rows the store had, pairs without any schedule."""

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
    infeasible; ``schedules`` random ones of its schedule space are rows of their own after it,
    and a pair that has as many of them is not drawn for again. The store's content depends on
    neither ``workers`` nor on kills: rows are added in the order drawn, and what is there already
    is not simulated again.
    """
    layers = list(dict.fromkeys(workloads))
    total = min(samples, len(layers) * len(configs))
    done, base = Collected(0, 0, 0), 0
    with _processes(workers) as pool:
        source = sampler(sampling, layers, configs, samples, seed)
        drawn = next(source, None)
        while drawn is not None:
            units = _units(drawn, layers, configs)

            def show(n: int, base: int = base) -> None:
                if progress is not None:
                    progress(base + n, total)

            cycles, part = _fill(units, store, pool, show, schedules, seed)
            done, base = done + part, base + len(units)
            drawn = _next(source, cycles)
    return done


def collect_pairs(
    pairs: Sequence[Unit], store: TraceStore, workers: int = 1, progress: Progress | None = None
) -> Collected:
    """Best schedules of given (layer, configuration) pairs, in their order, as `collect` has it."""
    units = [(on_config(layer, config), config) for layer, config in pairs]
    with _processes(workers) as pool:

        def show(n: int) -> None:
            if progress is not None:
                progress(n, len(units))

        return _fill(units, store, pool, show)[1]


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


def _fill(
    units: Sequence[Unit],
    store: TraceStore,
    pool: Executor | None,
    show: Callable[[int], None],
    schedules: int = 0,
    seed: int = 0,
) -> tuple[Floats, Collected]:
    """Simulate what the store lacks of the units, adding it as it comes.

    Returns the best schedule's cycles of each unit, nan where it has none, and the counts.
    """
    simulator = simulator_version()
    stored = store.keys(simulator)
    todo: list[_Task] = []
    known = 0
    for unit in dict.fromkeys(units):
        keys = stored.get((workload_text(unit[0]), config_text(unit[1])), set[str]())
        has_best = trace_key(*unit, None, simulator) in keys
        if has_best and len(keys) > schedules:
            known += 1 + schedules
        else:
            todo.append(_Task(unit, schedules, seed, simulator, frozenset(keys)))
    done = len(units) - len(todo)
    show(done)
    simulated = 0
    batch: list[TraceRow] = []
    for task, answers in zip(todo, _map(_simulate, todo, pool), strict=True):
        made = [
            make_row(*task.unit, outcome, simulator, schedule)
            for schedule, outcome in answers
            if outcome is not None
        ]
        known += len(answers) - len(made)
        simulated += len(made)
        batch += made
        done += 1
        if len(batch) >= _BATCH or done == len(units):
            store.add(batch)
            batch = []
            show(done)
    best = {unit: store.get(trace_key(*unit, None, simulator)) for unit in dict.fromkeys(units)}
    cycles = {unit: None if row is None else row.cycles for unit, row in best.items()}
    infeasible = sum(found is None for found in cycles.values())
    of_units = np.array([cycles[unit] for unit in units], dtype=np.float64)  # None becomes nan
    return of_units, Collected(simulated, known, infeasible)


@dataclass(frozen=True)
class _Task:
    """A pair of which the store has the rows ``known``, but not all."""

    unit: Unit
    schedules: int
    seed: int
    simulator: str
    known: frozenset[str]


def _simulate(task: _Task) -> Answers:
    """The pair's outcomes, None for those known."""
    # Late, so that reading traces needs no simulator.
    from codesign.kernels import best_schedule, measure

    answers: Answers = []
    for schedule in (None, *_random_schedules(task)):
        if trace_key(*task.unit, schedule, task.simulator) in task.known:
            answers.append((schedule, None))
        elif schedule is None:
            answers.append((None, best_schedule(*task.unit)))
        else:
            answers.append((schedule, measure(*task.unit, schedule)))
    return answers


def _random_schedules(task: _Task) -> list[Schedule]:
    """Distinct random schedules that fit the scratchpads, drawn by the pair's content."""
    from codesign.kernels import candidates

    options = candidates(*task.unit) if task.schedules else []
    if not options:
        return []
    rng = np.random.default_rng([task.seed, int(trace_key(*task.unit, None, "")[:15], 16)])
    chosen = rng.choice(len(options), min(task.schedules, len(options)), replace=False)
    return [options[int(i)] for i in chosen]


def _map(function: Callable[[Any], Any], items: Sequence[Any], pool: Executor | None) -> Any:
    if pool is None or len(items) < 2:
        return map(function, items)
    return pool.map(function, items, chunksize=4)
