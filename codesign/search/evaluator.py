"""The evaluator: figures of pairs at every level, with budget, cache and feasibility."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from codesign.costmodel import on_config
from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.hw.energy import energy_mj
from codesign.kernels.workload import Workload
from codesign.search.pairs import Floats, Pairs
from codesign.search.problem import Problem
from codesign.search.scores import BoundPredictor, UnitPredictor, unit_table
from codesign.search.simulate import UnitSimulator
from codesign.store import EvaluationRow


@dataclass(frozen=True)
class Pair:
    """A network and a configuration, by their indices."""

    network: int
    config: int


@dataclass(frozen=True)
class Evaluation:
    """One pair at T2. ``figures`` lacks ``cycles`` and ``latency_ms`` where no schedule exists.

    ``violations`` names every constraint broken; ``excess`` is the sum of their relative
    excesses (infinite where the pair cannot be built), 0 for a feasible pair.
    """

    pair: Pair
    network: str
    config: str
    figures: Mapping[str, float]
    violations: tuple[Infeasible, ...]
    excess: float

    @property
    def feasible(self) -> bool:
        return not self.violations

    def row(self, position: int) -> EvaluationRow:
        """The stored form."""
        body: dict[str, Any] = {
            "figures": dict(self.figures),
            "violations": [[v.constraint, v.message] for v in self.violations],
        }
        return EvaluationRow(position, self.network, self.config, "t2", body)


@dataclass(frozen=True)
class Spent:
    """Evaluations by level; a pair scored or simulated twice counts once."""

    t0: int
    t1: int
    t2: int


class Evaluator:
    """Scores all pairs without simulation, and proposed pairs by simulation.

    Owns fidelity, caching, counting and feasibility, so that strategies only propose.
    """

    def __init__(
        self, problem: Problem, pairs: Pairs, predictor: UnitPredictor, simulator: UnitSimulator
    ) -> None:
        self.problem = problem
        self.pairs = pairs
        self.predictor = predictor
        self.simulator = simulator
        self._evaluated: dict[Pair, Evaluation] = {}
        self._scored = False

    # Without simulation ---------------------------------------------------------------------
    @cached_property
    def bound_units(self) -> Floats:
        """Lower bounds of unit cycles float64 [U, C] (T0)."""
        return unit_table(self.pairs, BoundPredictor())

    @cached_property
    def bound_cycles(self) -> Floats:
        """Lower bounds of network cycles float64 [N, C] (T0): no schedule needs fewer."""
        return self.pairs.total(self.bound_units)

    @cached_property
    def predicted(self) -> Floats:
        """What `scores` gives, for reports; not counted."""
        return self.pairs.total(unit_table(self.pairs, self.predictor))

    def scores(self) -> Floats:
        """Predicted network cycles float64 [N, C], nan where infeasible; counts all pairs."""
        self._scored = True
        return self.predicted

    def figure(self, metric: str, cycles: Floats) -> Floats:
        """One figure of all pairs float64 [N, C], given all pairs' cycles.

        Energy is estimated from simulated counters only, so that here it is 0, its lower bound.
        """
        pairs = self.pairs
        if metric == "cycles":
            return cycles
        if metric == "latency_ms":
            return cycles * pairs.ms_per_cycle
        if metric in pairs.hardware:
            return np.broadcast_to(pairs.hardware[metric], pairs.shape)
        if metric == "energy_mj":
            return np.zeros(pairs.shape)
        return np.broadcast_to(pairs.accuracy[:, None], pairs.shape)

    # By simulation --------------------------------------------------------------------------
    def units_of(self, pair: Pair) -> list[tuple[Workload, VtaConfig, int]]:
        """The units of a pair as its configuration runs them, with counts."""
        config = self.pairs.configs[pair.config]
        return [
            (on_config(unit, config), config, count)
            for unit, count in self.pairs.network_units(pair.network)
        ]

    def evaluate(
        self,
        proposals: Sequence[Pair],
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Evaluation]:
        """Evaluations of the proposals, in their order; missing units are simulated first."""
        fresh = [pair for pair in dict.fromkeys(proposals) if pair not in self._evaluated]
        units = [(w, c) for pair in fresh for w, c, _ in self.units_of(pair)]
        rows = self.simulator.rows(units, progress)
        for pair in fresh:
            infeasible: Infeasible | None = None
            cycles, energy = 0, 0.0
            for workload, config, count in self.units_of(pair):
                row = rows[workload, config]
                if row.cycles is None:
                    infeasible = infeasible or row.infeasible
                else:
                    cycles += count * row.cycles
                    energy += count * energy_mj(row.counters or {}, config)
            figures = {} if infeasible else {"cycles": cycles, "energy_mj": energy}
            self._evaluated[pair] = self._judge(pair, figures, infeasible)
        return [self._evaluated[pair] for pair in proposals]

    def _judge(
        self, pair: Pair, simulated: Mapping[str, float], why: Infeasible | None
    ) -> Evaluation:
        pairs = self.pairs
        config = pairs.configs[pair.config]
        figures: dict[str, float] = {
            "accuracy": float(pairs.accuracy[pair.network]),
            **{name: float(figure[pair.config]) for name, figure in pairs.hardware.items()},
        }
        violations = [] if why is None else [Infeasible("schedule", str(why))]
        if not pairs.connected[pair.network]:
            text = "the network's output does not depend on its input"
            violations.append(Infeasible("disconnected", text))
        elif simulated:
            figures |= simulated
            latency = simulated["cycles"] * float(pairs.ms_per_cycle[pair.config])
            figures["latency_ms"] = latency
        excess = float("inf") if violations else 0.0
        for constraint in self.problem.constraints:
            value = figures.get(constraint.metric)
            if value is not None and (relative := constraint.violation(value)) > 0:
                sign = "<" if constraint.metric == "accuracy" else ">"
                text = f"{value:.6g} {sign} {constraint.limit:.6g}"
                violations.append(Infeasible(constraint.metric, text))
                excess += relative
        name = pairs.networks.names[pair.network]
        return Evaluation(pair, name, config.name, figures, tuple(violations), excess)

    # Bookkeeping ----------------------------------------------------------------------------
    def spent(self) -> Spent:
        scored = self.pairs.size if self._scored else 0
        t1 = scored if self.predictor.level == "t1" else 0
        return Spent(self.pairs.size, t1, len(self._evaluated))

    def evaluations(self) -> list[Evaluation]:
        """Every evaluation, in the order of first proposal."""
        return list(self._evaluated.values())
