"""Unit tables that cost no simulation: bounds and closed form (T0), cost model (T1)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from codesign.costmodel import CostModel, placed
from codesign.costmodel.closed_form import bound
from codesign.costmodel.columns import config_columns, grid, workload_columns
from codesign.costmodel.energy_base import counter_prices, energy_base_mj
from codesign.costmodel.version import inputs_version
from codesign.hw.config import VtaConfig
from codesign.kernels import lower_bound
from codesign.kernels.workload import Workload
from codesign.search.pairs import Floats

Level = Literal["t0", "t1"]


class UnitPredictor(Protocol):
    """Cycles of units without simulation; ``level`` is the rung of the truth ladder."""

    @property
    def level(self) -> Level: ...

    def predict_units(self, workloads: Sequence[Workload], configs: Sequence[VtaConfig]) -> Floats:
        """Cycles float64 [U, C], nan where infeasible."""
        ...

    def identity(self) -> Any:
        """JSON-able value that decides every prediction."""
        ...


@dataclass(frozen=True)
class BoundPredictor:
    """The lower bound of each unit, what scores pairs where no model is given (T0)."""

    level: Level = "t0"

    def predict_units(self, workloads: Sequence[Workload], configs: Sequence[VtaConfig]) -> Floats:
        cycles = [float(lower_bound(w, c).cycles) for w in workloads for c in configs]
        return np.reshape(np.array(cycles, np.float64), (len(workloads), len(configs)))

    def identity(self) -> Any:
        return {"predictor": "lower bound"}


@dataclass(frozen=True, eq=False)
class ModelPredictor:
    """A trained cost model (T1)."""

    model: CostModel
    path: str
    level: Level = "t1"

    def predict_units(self, workloads: Sequence[Workload], configs: Sequence[VtaConfig]) -> Floats:
        return self.model.predict_units(workloads, configs)

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(Path(self.path).read_bytes()).hexdigest()

    def identity(self) -> Any:
        return {
            "predictor": "cost model",
            "model_sha256": self._digest,
            "inputs": inputs_version(),
        }


def load_predictor(path: str | None) -> UnitPredictor:
    """The cost model at ``path``, or the lower bound without one."""
    return BoundPredictor() if path is None else ModelPredictor(CostModel.load(path), path)


def closed_form_tables(
    units: Sequence[Workload], configs: Sequence[VtaConfig]
) -> tuple[Floats, Floats]:
    """Cycles and millijoules of every unit on every configuration in closed form (T0), each
    float64 [U, C], nan where nothing fits; energy is estimated and counts each byte once."""
    cycles = np.empty((len(units), len(configs)))
    energy = np.empty_like(cycles)
    for columns, there in placed(units, configs):
        chosen = [configs[column] for column in columns]
        w, c = grid(workload_columns(there), config_columns(chosen))
        t0 = bound(w, c)
        fits = np.isfinite(t0.cycles)
        cycles[:, columns] = np.where(fits, t0.cycles, np.nan)
        energy[:, columns] = np.where(fits, energy_base_mj(t0, c, counter_prices(chosen)), np.nan)
    return cycles, energy


def unit_table(
    units: Sequence[Workload], configs: Sequence[VtaConfig], predictor: UnitPredictor
) -> Floats:
    """Cycles float64 [U, C] of every unique unit on every configuration."""
    table = np.empty((len(units), len(configs)))
    for columns, there in placed(units, configs):
        table[:, columns] = predictor.predict_units(there, [configs[c] for c in columns])
    return table
