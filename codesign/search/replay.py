"""Replay: a strategy against a truth table, with a simulated clock; hundreds of seeds in seconds.

The same rounds as the loop's, without store, simulator and winner.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from codesign.errors import Infeasible
from codesign.search.accounting import STALL, admit, price
from codesign.search.evaluation import Evaluation, Pair, Proposal
from codesign.search.evaluator import judge, judge_short
from codesign.search.pairs import Floats
from codesign.search.problem import Problem
from codesign.search.ranking import rank
from codesign.search.strategies import Setting, Strategy, make_strategy
from codesign.search.truth import JointTruth
from codesign.search.view import View


@dataclass(frozen=True)
class Clock:
    """What evaluations take: ``accuracy_seconds`` for a network whose accuracy was not bought
    before (the share `View.short_price` of it at fidelity ``short``), ``pair_seconds`` for the T2
    figures of a pair, by ``workers`` who share each round."""

    accuracy_seconds: float = 0.0
    pair_seconds: float = 1.0
    workers: int = 1


@dataclass(frozen=True, eq=False)
class Replay:
    """One search against a table.

    ``evaluations`` in the order bought; ``spent`` float64: the price of all up to each, in full
    evaluations; ``seconds`` float64: the clock at the end of the round of each. ``rounds``: how
    many times the strategy was asked.
    """

    problem: Problem
    evaluations: list[Evaluation]
    spent: Floats
    seconds: Floats
    rounds: int

    def full(self) -> list[Evaluation]:
        return [e for e in self.evaluations if e.fidelity == "full"]

    def winner(self) -> Evaluation | None:
        """The best feasible pair; None where none was found."""
        ranked = rank(self.full(), self.problem.objectives)
        return ranked[0] if ranked and ranked[0].feasible else None

    def regret(self, optimum: float) -> Floats:
        """Relative loss of the first objective after each evaluation, inf before the first
        feasible pair."""
        first = self.problem.objectives[0]
        values = np.full(len(self.evaluations), np.inf)
        for place, e in enumerate(self.evaluations):
            if e.fidelity == "full" and e.feasible:
                gap = e.figures[first.metric] - optimum
                values[place] = max(0.0, -gap if first.goal == "max" else gap) / abs(optimum)
        return np.minimum.accumulate(values) if len(values) else values

    def regret_at(self, optimum: float, budget: float) -> float:
        """`regret` of what was bought for ``budget`` at most."""
        within = int(np.searchsorted(self.spent, budget + 1e-9, side="right"))
        return float(self.regret(optimum)[within - 1]) if within else float("inf")

    def price_of(self, optimum: float, regret: float) -> float:
        """What was spent when the regret first was ``regret`` at most; inf where it never was."""
        reached = np.flatnonzero(self.regret(optimum) <= regret)
        return float(self.spent[reached[0]]) if len(reached) else float("inf")


@dataclass
class _Bought:
    """What a replay has bought so far."""

    known: dict[Proposal, Evaluation] = field(default_factory=dict[Proposal, Evaluation])
    trained: set[tuple[int, str]] = field(default_factory=set[tuple[int, str]])
    spent: float = 0.0
    seconds: float = 0.0


def replay(
    problem: Problem,
    truth: JointTruth,
    strategy: str | Callable[[Setting], Strategy],
    seed: int,
    budget: float,
    options: Mapping[str, Any] | None = None,
    view: View | None = None,
    clock: Clock = Clock(),
    goal: float | None = None,
) -> Replay:
    """Run one strategy, by name or maker, against the table; same arguments, same result.

    ``view`` of the same problem may be shared between replays; ``goal`` ends the replay after the
    round in which a feasible pair's first objective is as good.

    Raises
    ------
    ConfigError
        the strategy is unknown, or one of `strategies.INFORMED`, which would read the answer.
    StrategyError
        the strategy breaks its contract.
    """
    view = view or View(problem, truth.pairs)
    setting = Setting(view, budget, np.random.default_rng(seed), dict(options or {}))
    made = make_strategy(strategy, setting) if isinstance(strategy, str) else strategy(setting)
    bought = _Bought()
    order: list[Evaluation] = []
    spent: list[float] = []
    seconds: list[float] = []
    rounds = idle = 0
    while bought.spent < budget - 1e-9 and idle < STALL:
        proposals = list(made.ask(budget - bought.spent))
        if not proposals:
            break
        rounds += 1
        left = budget - bought.spent
        new = admit(proposals, bought.known, view.shape, left, view.short_price)
        fresh = [p for p, is_new in zip(proposals, new, strict=True) if is_new]
        bought.seconds += _makespan([_seconds(p, bought, view, clock) for p in fresh], clock)
        for proposal in fresh:
            bought.known[proposal] = _evaluate(problem, truth, proposal)
            bought.spent += price(proposal.fidelity, view.short_price)
            order.append(bought.known[proposal])
            spent.append(bought.spent)
            seconds.append(bought.seconds)
        made.tell([bought.known[proposal] for proposal in proposals])
        idle = 0 if fresh else idle + 1
        if goal is not None and _reached(problem, order[len(order) - len(fresh) :], goal):
            break
    return Replay(problem, order, np.array(spent), np.array(seconds), rounds)


def _reached(problem: Problem, evaluations: Sequence[Evaluation], goal: float) -> bool:
    first = problem.objectives[0]
    values = [e.figures[first.metric] for e in evaluations if e.feasible and e.fidelity == "full"]
    return any(v >= goal if first.goal == "max" else v <= goal for v in values)


def _evaluate(problem: Problem, truth: JointTruth, proposal: Proposal) -> Evaluation:
    pair: Pair = proposal.pair
    if proposal.fidelity == "short":
        return judge_short(problem, truth.pairs, pair)
    cycles = float(truth.cycles[pair.network, pair.config])
    if np.isnan(cycles):
        return judge(problem, truth.pairs, pair, {}, Infeasible("schedule", "no schedule"))
    energy = float(truth.energy_mj[pair.network, pair.config])
    return judge(problem, truth.pairs, pair, {"cycles": cycles, "energy_mj": energy}, None)


def _seconds(proposal: Proposal, bought: _Bought, view: View, clock: Clock) -> float:
    trained = (proposal.pair.network, proposal.fidelity)
    accuracy = 0.0
    if trained not in bought.trained:
        bought.trained.add(trained)
        accuracy = clock.accuracy_seconds * price(proposal.fidelity, view.short_price)
    return accuracy + (clock.pair_seconds if proposal.fidelity == "full" else 0.0)


def _makespan(durations: Sequence[float], clock: Clock) -> float:
    """Until the last worker is done, each taking the next job when free."""
    free = [0.0] * clock.workers
    for duration in durations:
        heapq.heappush(free, heapq.heappop(free) + duration)
    return max(free)
