"""Traces as a training set: the best-schedule rows of a store, read into arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from codesign.costmodel.columns import Floats
from codesign.costmodel.units import off_config
from codesign.errors import StoreError
from codesign.hw.config import VtaConfig
from codesign.hw.energy import energy_mj
from codesign.kernels.workload import Workload
from codesign.store import TraceRow, TraceStore, simulator_version, trace_key

_NO_PAIRS = np.empty((0, 2))


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

    def only(self, pairs: Iterable[tuple[Workload, VtaConfig]]) -> TraceRows:
        """Rows and infeasible pairs of these (layer, configuration); tables hold no others."""
        wanted = set(pairs)
        rows = self._pairs(self.layer_ids, self.config_ids)
        misfits = self._pairs(self.misfits[:, 0], self.misfits[:, 1])
        kept = [i for i, pair in enumerate(rows) if pair in wanted]
        return make_rows(
            [(*rows[i], float(self.cycles[i])) for i in kept],
            energy_mj=[float(self.energy_mj[i]) for i in kept],
            misfits=[pair for pair in misfits if pair in wanted],
            simulator=self.simulator,
        )

    def _pairs(
        self, layer_ids: NDArray[np.intp], config_ids: NDArray[np.intp]
    ) -> list[tuple[Workload, VtaConfig]]:
        ids = zip(map(int, layer_ids), map(int, config_ids), strict=True)
        return [(self.workloads[u], self.configs[c]) for u, c in ids]

    def digest(self) -> str:
        """sha256 of the rows' content keys and cycles, whatever their order."""
        pairs = zip(map(int, self.layer_ids), map(int, self.config_ids), strict=True)
        keys = [
            trace_key(self.workloads[u], self.configs[c], None, self.simulator) for u, c in pairs
        ]
        lines = sorted(f"{k} {int(n)}" for k, n in zip(keys, self.cycles, strict=True))
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


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
