"""The evaluator: figures of pairs at every level, with budget, cache and feasibility."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from codesign.costmodel import on_config
from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.hw.energy import energy_mj
from codesign.kernels.workload import Workload
from codesign.search.accounting import admit
from codesign.search.evaluation import Evaluation, Fidelity, Pair, Proposal
from codesign.search.pairs import Floats, Pairs
from codesign.search.problem import Constraint, Problem
from codesign.search.scores import BoundPredictor, UnitPredictor, unit_table
from codesign.search.simulate import UnitSimulator


@dataclass(frozen=True)
class Spent:
    """Evaluations by level and fidelity; a pair scored or evaluated twice counts once.

    ``t0`` and ``t1`` count pairs scored without simulation, ``t2`` full evaluations, ``short``
    those of a short training schedule; ``price`` is what the last two cost, in full evaluations.
    """

    t0: int
    t1: int
    t2: int
    short: int
    price: float


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
        self._evaluated: dict[Proposal, Evaluation] = {}
        self._short = 0
        self._scored = False

    # Without simulation ---------------------------------------------------------------------
    @cached_property
    def bound_units(self) -> Floats:
        """Lower bounds of unit cycles float64 [U, C] (T0)."""
        return unit_table(self.pairs.units, self.pairs.configs, BoundPredictor())

    @cached_property
    def bound_cycles(self) -> Floats:
        """Lower bounds of network cycles float64 [N, C] (T0): no schedule needs fewer."""
        return self.pairs.total(self.bound_units)

    @cached_property
    def predicted(self) -> Floats:
        """What `scores` gives, for reports; not counted."""
        return self.pairs.total(unit_table(self.pairs.units, self.pairs.configs, self.predictor))

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
        """(unit, configuration, count) of a pair: each unit as its configuration runs it, once."""
        config = self.pairs.configs[pair.config]
        counts: Counter[Workload] = Counter()
        for unit, count in self.pairs.network_units(pair.network):
            counts[on_config(unit, config)] += count  # units apart elsewhere may be one here
        return [(unit, config, count) for unit, count in counts.items()]

    def evaluate(
        self,
        proposals: Sequence[Proposal],
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Evaluation]:
        """Evaluations of the proposals, in their order; missing units are simulated first."""
        fresh = [p for p in dict.fromkeys(proposals) if p not in self._evaluated]
        full = [p for p in fresh if p.fidelity == "full"]
        units = [(w, c) for p in full for w, c, _ in self.units_of(p.pair)]
        rows = self.simulator.rows(units, progress)
        for proposal in fresh:
            if proposal.fidelity == "short":
                self._evaluated[proposal] = judge_short(self.problem, self.pairs, proposal.pair)
                self._short += 1
                continue
            infeasible: Infeasible | None = None
            cycles, energy = 0, 0.0
            for workload, config, count in self.units_of(proposal.pair):
                row = rows[workload, config]
                if row.cycles is None:
                    infeasible = infeasible or row.infeasible
                else:
                    cycles += count * row.cycles
                    energy += count * energy_mj(row.counters or {}, config)
            figures = {} if infeasible else {"cycles": cycles, "energy_mj": energy}
            self._evaluated[proposal] = judge(
                self.problem, self.pairs, proposal.pair, figures, infeasible
            )
        return [self._evaluated[proposal] for proposal in proposals]

    # Bookkeeping ----------------------------------------------------------------------------
    def admit(self, proposals: Sequence[Proposal], room: float) -> list[bool]:
        """Which of a round's proposals are new, so that they cost something; StrategyError for a
        round that `accounting.admit` refuses."""
        pairs = self.pairs
        return admit(proposals, self._evaluated, pairs.shape, room, pairs.short_price)

    def spent(self) -> Spent:
        scored = self.pairs.size if self._scored else 0
        t1 = scored if self.predictor.level == "t1" else 0
        full = len(self._evaluated) - self._short
        price = full + self._short * (self.pairs.short_price or 0.0)
        return Spent(self.pairs.size, t1, full, self._short, price)

    def evaluations(self) -> list[Evaluation]:
        """Every full evaluation, in the order of first proposal."""
        return [e for e in self._evaluated.values() if e.fidelity == "full"]


def judge(
    problem: Problem,
    pairs: Pairs,
    pair: Pair,
    simulated: Mapping[str, float],
    why: Infeasible | None,
) -> Evaluation:
    """The full evaluation of a pair with these T2 figures (``cycles``, ``energy_mj``; empty where
    no schedule exists, for the reason ``why``)."""
    figures = {"accuracy": float(pairs.accuracy[pair.network]), **_hardware(pairs, pair.config)}
    violations = [] if why is None else [Infeasible("schedule", str(why))]
    if not pairs.connected[pair.network]:
        violations.append(pairs.networks.without_units)
    elif simulated:
        figures |= simulated
        latency = simulated["cycles"] * float(pairs.ms_per_cycle[pair.config])
        figures["latency_ms"] = latency
    excess = float("inf") if violations else 0.0
    return _limited(pairs, pair, figures, problem.constraints, violations, excess, "full")


def judge_short(problem: Problem, pairs: Pairs, pair: Pair) -> Evaluation:
    """The evaluation of a pair after the short schedule."""
    assert pairs.short_accuracy is not None
    hardware = _hardware(pairs, pair.config)
    figures = {"accuracy": float(pairs.short_accuracy[pair.network]), **hardware}
    limits = [limit for limit in problem.constraints if limit.metric in hardware]
    return _limited(pairs, pair, figures, limits, [], 0.0, "short")


def _hardware(pairs: Pairs, config: int) -> dict[str, float]:
    return {name: float(figure[config]) for name, figure in pairs.hardware.items()}


def _limited(
    pairs: Pairs,
    pair: Pair,
    figures: Mapping[str, float],
    limits: Sequence[Constraint],
    violations: list[Infeasible],
    excess: float,
    fidelity: Fidelity,
) -> Evaluation:
    for limit in limits:
        value = figures.get(limit.metric)
        if value is not None and (relative := limit.violation(value)) > 0:
            sign = "<" if limit.metric == "accuracy" else ">"
            violations.append(Infeasible(limit.metric, f"{value:.6g} {sign} {limit.limit:.6g}"))
            excess += relative
    name = pairs.networks.names[pair.network]
    config = pairs.configs[pair.config].name
    return Evaluation(pair, name, config, figures, tuple(violations), excess, fidelity)
