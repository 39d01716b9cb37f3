"""Truth tables: T2 figures of every unique unit on every configuration, never one row per pair.

A network's figures are its unit counts times the units' figures, so that a few thousand simulated
units answer millions of pairs exactly.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.costmodel import on_config, settled
from codesign.errors import StoreError
from codesign.hw.energy import energy_prices_pj
from codesign.search.pairs import Floats, Pairs
from codesign.search.problem import Constraint, Problem
from codesign.search.simulate import UnitSimulator
from codesign.store import simulator_version
from codesign.store.atomic import write_bytes
from codesign.store.content import config_text, workload_from_plain, workload_text

_FORMAT = 1
_KEYS = {"format", "units", "configs", "networks", "counts", "cycles", "names", "counters",
         "simulator"}  # fmt: skip


@dataclass(frozen=True, eq=False)
class TruthTable:
    """U units x C configurations at T2, and the N networks that they make up.

    ``units``, ``configs``: canonical texts; ``networks``: text forms. ``counts`` int64 [N, U];
    ``cycles`` int64 [U, C], -1 where no schedule exists; ``counters`` int64 [U, C, K], the
    simulator's counters ``names`` that energy is priced by. ``simulator`` is the version that
    answered.
    """

    units: tuple[str, ...]
    configs: tuple[str, ...]
    networks: tuple[str, ...]
    counts: NDArray[np.int64]
    cycles: NDArray[np.int64]
    names: tuple[str, ...]
    counters: NDArray[np.int64]
    simulator: str

    def save(self, path: Path) -> None:
        """Write an npz file; a killed process leaves the old one or the new one."""
        file = io.BytesIO()
        np.savez_compressed(
            file,
            format=np.array(_FORMAT),
            units=np.array(self.units),
            configs=np.array(self.configs),
            networks=np.array(self.networks),
            counts=self.counts.astype(np.uint16),
            cycles=self.cycles,
            names=np.array(self.names),
            counters=self.counters,
            simulator=np.array(self.simulator),
        )
        write_bytes(path, file.getvalue())

    @staticmethod
    def load(path: Path) -> TruthTable:
        """Read a table; StoreError for a missing, foreign or damaged file."""
        hint = "make one with benchmarks/truth.py"
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
                if not set(file.files) >= _KEYS or int(file["format"]) != _FORMAT:
                    raise StoreError(f"{path}: no truth table of format {_FORMAT}; {hint}")
                texts = {
                    key: tuple(str(text) for text in file[key])
                    for key in ("units", "configs", "networks", "names")
                }
                return TruthTable(
                    texts["units"],
                    texts["configs"],
                    texts["networks"],
                    file["counts"].astype(np.int64),
                    file["cycles"],
                    texts["names"],
                    file["counters"],
                    str(file["simulator"]),
                )
        except FileNotFoundError:
            raise StoreError(f"{path}: no such truth table; {hint}") from None
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise StoreError(f"{path}: damaged truth table: {error}; {hint}") from error


def simulate_table(
    pairs: Pairs, simulator: UnitSimulator, progress: Callable[[int, int], None] | None = None
) -> TruthTable:
    """Simulate every unique unit of ``pairs`` on every configuration; what the simulator's store
    holds is not simulated again."""
    shape = len(pairs.units), len(pairs.configs)
    asked = [(on_config(unit, config), config) for unit in pairs.units for config in pairs.configs]
    rows = simulator.rows(asked, progress)
    names = priced_counters(pairs)
    cycles: NDArray[np.int64] = np.full(shape, -1, np.int64)
    counters: NDArray[np.int64] = np.zeros((*shape, len(names)), np.int64)
    for place, unit in enumerate(asked):
        row, cell = rows[unit], divmod(place, shape[1])
        if row.cycles is not None and row.counters is not None:
            cycles[cell] = row.cycles
            counters[cell] = [row.counters[name] for name in names]
    return TruthTable(
        tuple(workload_text(unit) for unit in pairs.units),
        tuple(config_text(config) for config in pairs.configs),
        tuple(pairs.networks.names),
        pairs.counts,
        cycles,
        names,
        counters,
        simulator.version,
    )


def priced_counters(pairs: Pairs) -> tuple[str, ...]:
    """Counters of the simulator that energy depends on."""
    prices = energy_prices_pj(pairs.configs[0])
    return tuple(sorted({name for part in prices.values() for name in part}))


@dataclass(frozen=True, eq=False)
class UnitFigures:
    """A table in the order of a problem's units and configurations: ``cycles`` and ``energy_mj``
    float64 [U, C], nan where no schedule exists."""

    cycles: Floats
    energy_mj: Floats


def unit_figures(table: TruthTable, pairs: Pairs) -> UnitFigures:
    """The table's figures for the units and configurations of ``pairs``, which may be fewer: units
    that differ only on the others are then the same.

    Raises
    ------
    StoreError
        a unit or configuration is not in the table, or another simulator version made it.
    """
    if table.simulator != simulator_version():
        raise StoreError(
            f"truth table of simulator {table.simulator}, this is {simulator_version()}; make it "
            "again with benchmarks/truth.py"
        )
    known = [settled(workload_from_plain(json.loads(text)), pairs.configs) for text in table.units]
    named, wanted = ([workload_text(unit) for unit in units] for units in (known, pairs.units))
    rows = _places(named, wanted, "unit")
    columns = _places(table.configs, [config_text(c) for c in pairs.configs], "configuration")
    cells: Any = np.ix_(rows, columns)
    cycles = table.cycles[cells]
    counters = table.counters[cells].astype(np.float64)
    energy: Floats = np.empty(cycles.shape)
    for column, config in enumerate(pairs.configs):
        prices = dict.fromkeys(table.names, 0.0)
        for part in energy_prices_pj(config).values():
            for name, price in part.items():
                prices[name] += price
        energy[:, column] = counters[:, column] @ np.array([1e-9 * prices[n] for n in table.names])
    missing = cycles < 0
    return UnitFigures(
        np.where(missing, np.nan, cycles.astype(np.float64)), np.where(missing, np.nan, energy)
    )


def _places(known: Sequence[str], wanted: Sequence[str], what: str) -> NDArray[np.int64]:
    places = {text: place for place, text in enumerate(known)}
    missing = [text for text in wanted if text not in places]
    if missing:
        raise StoreError(
            f"truth table lacks {len(missing)} of {len(wanted)} {what}s, the first is "
            f"{missing[0]}; make it again with benchmarks/truth.py"
        )
    return np.array([places[text] for text in wanted], np.int64)


@dataclass(frozen=True, eq=False)
class JointTruth:
    """Exact figures of all pairs, for replay and regret."""

    pairs: Pairs
    units: UnitFigures

    @cached_property
    def cycles(self) -> Floats:
        """float64 [N, C], nan where a pair cannot be built."""
        return self.pairs.total(self.units.cycles)

    @cached_property
    def energy_mj(self) -> Floats:
        """float64 [N, C], estimated from the counters at T2; nan as in `cycles`."""
        return self.pairs.total(self.units.energy_mj)

    def figure(self, metric: str) -> Floats:
        """One figure of all pairs, float64 [N, C]."""
        pairs = self.pairs
        if metric == "cycles":
            return self.cycles
        if metric == "latency_ms":
            return self.cycles * pairs.ms_per_cycle
        if metric == "energy_mj":
            return self.energy_mj
        if metric == "accuracy":
            return np.broadcast_to(pairs.accuracy[:, None], pairs.shape)
        return np.broadcast_to(pairs.hardware[metric], pairs.shape)

    def feasible(self, constraints: Sequence[Constraint]) -> NDArray[np.bool_]:
        """bool [N, C]: pairs that can be built and keep every limit."""
        kept = ~np.isnan(self.cycles)
        for limit in constraints:
            figure = self.figure(limit.metric)
            kept &= figure >= limit.limit if limit.metric == "accuracy" else figure <= limit.limit
        return kept

    def optimum(self, problem: Problem) -> float | None:
        """The best value of the first objective among feasible pairs, None where there is none."""
        kept = self.feasible(problem.constraints)
        if not kept.any():
            return None
        first = problem.objectives[0]
        values = self.figure(first.metric)[kept]
        return float(values.max() if first.goal == "max" else values.min())
