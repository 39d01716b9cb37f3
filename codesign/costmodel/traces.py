"""Traces: simulated (layer, configuration) pairs, collected into a store and read for training."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice, repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.costmodel.columns import Floats
from codesign.costmodel.units import off_config, on_config
from codesign.errors import Infeasible, StoreError
from codesign.hw.config import VtaConfig
from codesign.kernels.workload import Workload
from codesign.store import TraceRow, TraceStore, make_row, simulator_version, trace_key

Progress = Callable[[int, int], None]
"""Called with (pairs done, pairs in all) after each stored batch."""

_BATCH = 16
"""Rows a transaction: what a killed run loses at most."""


@dataclass(frozen=True)
class Collected:
    """What `collect` did: pairs simulated now, pairs the store had, infeasible among both."""

    simulated: int
    known: int
    infeasible: int


@dataclass(frozen=True, eq=False)
class TraceRows:
    """Feasible traces: row i is ``workloads[layer_ids[i]]`` on ``configs[config_ids[i]]``.

    ``cycles`` float64[N] of the best schedule; ``infeasible`` counts the pairs left out;
    ``simulator`` is the version that made every row.
    """

    workloads: tuple[Workload, ...]
    configs: tuple[VtaConfig, ...]
    layer_ids: NDArray[np.intp]
    config_ids: NDArray[np.intp]
    cycles: Floats
    infeasible: int = 0
    simulator: str = ""

    def select(self, rows: NDArray[np.intp]) -> TraceRows:
        """The same tables with only these rows."""
        return TraceRows(
            self.workloads,
            self.configs,
            self.layer_ids[rows],
            self.config_ids[rows],
            self.cycles[rows],
            self.infeasible,
            self.simulator,
        )

    def digest(self) -> str:
        """sha256 of the rows' content keys and cycles, whatever their order."""
        pairs = zip(map(int, self.layer_ids), map(int, self.config_ids), strict=True)
        keys = [
            trace_key(self.workloads[u], self.configs[c], None, self.simulator) for u, c in pairs
        ]
        lines = sorted(f"{k} {int(n)}" for k, n in zip(keys, self.cycles, strict=True))
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def draw_pairs(layers: int, configs: int, samples: int, seed: int) -> NDArray[np.int64]:
    """Distinct random pairs (layer index, configuration index), int64[min(samples, all), 2]."""
    total = layers * configs
    rng = np.random.default_rng(seed)
    if total <= 4 * samples or total <= 1 << 20:
        flat = rng.permutation(total)[:samples]
    else:
        drawn = rng.integers(0, total, size=2 * samples)
        flat = drawn[np.sort(np.unique(drawn, return_index=True)[1])][:samples]
    return np.stack([flat // configs, flat % configs], axis=1)


def collect(
    workloads: Sequence[Workload],
    configs: Sequence[VtaConfig],
    samples: int,
    seed: int,
    store: TraceStore,
    workers: int = 1,
    progress: Progress | None = None,
) -> Collected:
    """Simulate ``samples`` distinct random (layer, configuration) pairs into ``store``.

    Layers become units by `on_config`. A pair's row is its best schedule (T2), or why it is
    infeasible. The store's content depends on neither ``workers`` nor on kills: rows are added in
    the order drawn, and pairs already there are not simulated again.
    """
    layers = list(dict.fromkeys(workloads))
    simulator = simulator_version()
    drawn_pairs = draw_pairs(len(layers), len(configs), samples, seed)
    drawn = [
        (on_config(layers[u], configs[c]), configs[c])
        for u, c in zip(map(int, drawn_pairs[:, 0]), map(int, drawn_pairs[:, 1]), strict=True)
    ]
    known = [store.get(trace_key(w, c, None, simulator)) for w, c in drawn]
    infeasible = sum(row is not None and row.infeasible is not None for row in known)
    todo = [pair for pair, row in zip(drawn, known, strict=True) if row is None]
    done = len(drawn) - len(todo)
    if progress is not None:
        progress(done, len(drawn))
    rows_to_come = _simulate(todo, simulator, workers)
    while rows := list(islice(rows_to_come, _BATCH)):
        store.add(rows)
        done += len(rows)
        infeasible += sum(row.infeasible is not None for row in rows)
        if progress is not None:
            progress(done, len(drawn))
    return Collected(len(todo), len(drawn) - len(todo), infeasible)


def read(store: TraceStore) -> TraceRows:
    """Best-schedule rows of one simulator version: this codesign's, else the last one stored.

    Raises
    ------
    StoreError
        The store holds no feasible best-schedule row.
    """
    rows = [row for row in store.rows() if row.key == _best_key(row)]
    versions = [row.simulator for row in rows]
    if not rows:
        raise StoreError(f"{store.path}: no traces; collect some with `codesign trace`")
    simulator = simulator_version() if simulator_version() in versions else versions[-1]
    chosen = [row for row in rows if row.simulator == simulator]
    feasible = [(r.workload, r.config, r.cycles) for r in chosen if r.cycles is not None]
    if not feasible:
        raise StoreError(f"{store.path}: all {len(chosen)} traces are infeasible pairs")
    return make_rows(feasible, infeasible=len(chosen) - len(feasible), simulator=simulator)


def make_rows(
    triples: Sequence[tuple[Workload, VtaConfig, float]],
    *,
    infeasible: int = 0,
    simulator: str = "",
) -> TraceRows:
    """Rows of (unit, configuration, cycles); equal layers (`off_config`) are numbered once."""
    workloads: dict[Workload, int] = {}
    configs: dict[VtaConfig, int] = {}
    layer_ids = [workloads.setdefault(off_config(w, c), len(workloads)) for w, c, _ in triples]
    config_ids = [configs.setdefault(c, len(configs)) for _, c, _ in triples]
    return TraceRows(
        tuple(workloads),
        tuple(configs),
        np.array(layer_ids, dtype=np.intp),
        np.array(config_ids, dtype=np.intp),
        np.array([cycles for _, _, cycles in triples], dtype=np.float64),
        infeasible,
        simulator,
    )


def _best_key(row: TraceRow) -> str:
    return trace_key(row.workload, row.config, None, row.simulator)


def _simulate(
    pairs: list[tuple[Workload, VtaConfig]], simulator: str, workers: int
) -> Iterator[TraceRow]:
    if workers <= 1 or len(pairs) < 2:
        yield from map(_trace, pairs, repeat(simulator))
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(pairs)), mp_context=context) as pool:
        try:
            yield from pool.map(_trace, pairs, repeat(simulator), chunksize=4)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _trace(pair: tuple[Workload, VtaConfig], simulator: str) -> TraceRow:
    """One row; the import is late so that reading a store needs no simulator."""
    from codesign.kernels import best_schedule

    outcome: Any | Infeasible = best_schedule(*pair)
    return make_row(*pair, outcome, simulator)
