"""Traces as a training set: the best-schedule rows of a store, read into arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.costmodel.columns import Floats
from codesign.costmodel.units import off_config
from codesign.errors import StoreError
from codesign.hw.config import VtaConfig
from codesign.kernels.workload import Workload
from codesign.store import TraceRow, TraceStore, simulator_version, trace_key


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
