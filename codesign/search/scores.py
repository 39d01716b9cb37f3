"""Unit tables that cost no simulation: bounds and closed form (T0), cost model (T1)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from codesign.costmodel import CostModel, on_config
from codesign.costmodel.version import inputs_version
from codesign.hw.config import VtaConfig
from codesign.kernels import default_bias_tiles, lower_bound
from codesign.kernels.workload import Workload
from codesign.search.pairs import Floats, Pairs

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
        return np.array([[float(lower_bound(w, c).cycles) for c in configs] for w in workloads])

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


def unit_table(pairs: Pairs, predictor: UnitPredictor) -> Floats:
    """Cycles float64 [U, C] of every unique unit on every configuration."""
    table = np.empty((len(pairs.units), len(pairs.configs)))
    tiles = np.array([default_bias_tiles(config) for config in pairs.configs])
    for count in np.unique(tiles):
        columns = np.flatnonzero(tiles == count)
        configs = [pairs.configs[int(c)] for c in columns]
        units = [on_config(unit, configs[0]) for unit in pairs.units]
        table[:, columns] = predictor.predict_units(units, configs)
    return table
