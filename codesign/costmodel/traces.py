"""Traces: simulated (layer, configuration) pairs, collected into a store and read for training."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice, repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.costmodel.columns import Floats
from codesign.costmodel.units import off_config, on_config
from codesign.errors import Infeasible, StoreError
from codesign.hw.config import VtaConfig
from codesign.hw.energy import energy_mj
from codesign.kernels.workload import Workload
from codesign.store import TraceRow, TraceStore, make_row, simulator_version, trace_key

Progress = Callable[[int, int], None]
"""Called with (pairs done, pairs in all) after each stored batch."""

_NO_PAIRS = np.empty((0, 2))

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

    ``cycles`` float64[N] of the best schedule; ``energy_mj`` float64[N], nan where the row has no
    counters; ``misfits`` intp[K, 2] are the infeasible pairs (layer, configuration), ``infeasible``
    their number; ``simulator`` is the version that made every row.
    """

    workloads: tuple[Workload, ...]
    configs: tuple[VtaConfig, ...]
    layer_ids: NDArray[np.intp]
    config_ids: NDArray[np.intp]
    cycles: Floats
    energy_mj: Floats
    misfits: NDArray[np.intp]
    simulator: str = ""

    @property
    def infeasible(self) -> int:
        return len(self.misfits)

    def select(self, rows: NDArray[np.intp]) -> TraceRows:
        """The same tables with only these rows, and their configurations' infeasible pairs."""
        kept = np.isin(self.misfits[:, 1], self.config_ids[rows])
        return replace(
            self,
            layer_ids=self.layer_ids[rows],
            config_ids=self.config_ids[rows],
            cycles=self.cycles[rows],
            energy_mj=self.energy_mj[rows],
            misfits=self.misfits[kept],
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
    drawn = draw_pairs(len(layers), len(configs), samples, seed)
    pairs = [
        (on_config(layers[u], configs[c]), configs[c])
        for u, c in zip(map(int, drawn[:, 0]), map(int, drawn[:, 1]), strict=True)
    ]
    return simulate_pairs(pairs, store, workers, progress)


def simulate_pairs(
    pairs: Sequence[tuple[Workload, VtaConfig]],
    store: TraceStore,
    workers: int = 1,
    progress: Progress | None = None,
) -> Collected:
    """Add the rows of distinct (unit, configuration) pairs that the store lacks, in their order."""
    simulator = simulator_version()
    known = [store.get(trace_key(w, c, None, simulator)) for w, c in pairs]
    infeasible = sum(row is not None and row.infeasible is not None for row in known)
    todo = [pair for pair, row in zip(pairs, known, strict=True) if row is None]
    done = len(pairs) - len(todo)
    if progress is not None:
        progress(done, len(pairs))
    rows_to_come = _simulate(todo, simulator, workers)
    while rows := list(islice(rows_to_come, _BATCH)):
        store.add(rows)
        done += len(rows)
        infeasible += sum(row.infeasible is not None for row in rows)
        if progress is not None:
            progress(done, len(pairs))
    return Collected(len(todo), len(pairs) - len(todo), infeasible)


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
    misfits = [(r.workload, r.config) for r in chosen if r.cycles is None]
    energies = [_energy(r) for r in chosen if r.cycles is not None]
    return make_rows(feasible, energy_mj=energies, misfits=misfits, simulator=simulator)


def _energy(row: TraceRow) -> float:
    if row.counters is None or row.cycles is None:
        return float("nan")
    return energy_mj({**row.counters, "cycles": row.cycles}, row.config)


def make_rows(
    triples: Sequence[tuple[Workload, VtaConfig, float]],
    *,
    energy_mj: Sequence[float] | None = None,
    misfits: Sequence[tuple[Workload, VtaConfig]] = (),
    simulator: str = "",
) -> TraceRows:
    """Rows of (unit, configuration, cycles); equal layers (`off_config`) are numbered once."""
    workloads: dict[Workload, int] = {}
    configs: dict[VtaConfig, int] = {}

    def ids(unit: Workload, config: VtaConfig) -> tuple[int, int]:
        layer = workloads.setdefault(off_config(unit, config), len(workloads))
        return layer, configs.setdefault(config, len(configs))

    pairs: NDArray[np.intp] = np.array([ids(w, c) for w, c, _ in triples] or _NO_PAIRS, np.intp)
    missed: NDArray[np.intp] = np.array([ids(w, c) for w, c in misfits] or _NO_PAIRS, np.intp)
    energies = [float("nan")] * len(triples) if energy_mj is None else energy_mj
    return TraceRows(
        tuple(workloads),
        tuple(configs),
        pairs[:, 0],
        pairs[:, 1],
        np.array([cycles for _, _, cycles in triples], dtype=np.float64),
        np.array(energies, dtype=np.float64),
        missed,
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
