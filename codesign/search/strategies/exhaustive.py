"""Score every pair without simulation, then evaluate the best of them.

The one strategy that reads every accuracy beforehand: where accuracies are a table at hand, it
finds the best pair for the price of simulating a few. As a search method it is no rival.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from codesign.search.accounting import BATCH
from codesign.search.evaluation import Evaluation, Pair, Proposal
from codesign.search.evaluator import Evaluator
from codesign.search.fronts import front_pairs
from codesign.search.strategies.base import NoOptions, Setting, read_options

CONFIGS_PER_NETWORK = 3
"""Configurations of one network in the shortlist; the others only repeat its accuracy."""

MARGIN = 0.03
"""Pairs predicted to break a limit by less than this share are simulated too."""

FRONT_SHARE = 0.2
"""Share of the budget for the predicted Pareto front of accuracy and latency."""


class Exhaustive:
    """The shortlist holds the pairs that rank best by predicted figures.

    Pairs predicted to break a limit by more than `MARGIN` come last, by their excess. Each
    network has its `CONFIGS_PER_NETWORK` best configurations first in the list. `FRONT_SHARE` of
    the budget goes to pairs spread over the predicted front within the limits.
    """

    def __init__(self, setting: Setting, evaluator: Evaluator) -> None:
        read_options(setting, NoOptions)
        budget = int(setting.budget)
        front = predicted_front(evaluator, int(FRONT_SHARE * budget))
        best = shortlist(evaluator, budget)
        kept = [pair for pair in best if pair not in front][: budget - len(front)]
        self._order = [*kept, *front]
        self._next = 0

    def ask(self, room: float) -> Sequence[Proposal]:
        start, self._next = self._next, self._next + min(int(room), BATCH)
        return [Proposal(pair) for pair in self._order[start : self._next]]

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """The order is fixed by the scores."""


def predicted_front(evaluator: Evaluator, length: int) -> list[Pair]:
    """At most ``length`` pairs, evenly over the predicted front within the limits."""
    cycles = evaluator.scores()
    allowed = np.ones(cycles.shape, bool)
    for constraint in evaluator.problem.constraints:
        figure = evaluator.figure(constraint.metric, cycles)
        over = (
            figure < constraint.limit
            if constraint.metric == "accuracy"
            else figure > constraint.limit
        )
        allowed &= ~over
    latency = np.where(allowed, evaluator.figure("latency_ms", cycles), np.nan)
    front = front_pairs(evaluator, latency)
    spread = np.unique(np.rint(np.linspace(0, len(front) - 1, min(length, len(front)))))
    return [Pair(*front[int(i)]) for i in spread]


def shortlist(evaluator: Evaluator, length: int) -> list[Pair]:
    """The ``length`` best pairs by predicted figures."""
    cycles = evaluator.scores()
    order = predicted_order(evaluator, cycles)
    configs = evaluator.pairs.shape[1]
    taken: dict[int, int] = {}
    first: list[Pair] = []
    later: list[Pair] = []
    for flat in order:
        if len(first) == length:
            break
        pair = Pair(int(flat) // configs, int(flat) % configs)
        taken[pair.network] = taken.get(pair.network, 0) + 1
        if taken[pair.network] <= CONFIGS_PER_NETWORK:
            first.append(pair)
        elif len(later) < length:
            later.append(pair)
    return (first + later)[:length]


def predicted_order(evaluator: Evaluator, cycles: NDArray[np.float64]) -> NDArray[np.intp]:
    """Flat pair indices, best predicted pair first; pairs predicted infeasible are left out."""
    excess = np.zeros(cycles.shape)
    for constraint in evaluator.problem.constraints:
        figure = evaluator.figure(constraint.metric, cycles)
        over = (figure - constraint.limit) / constraint.limit
        over = -over if constraint.metric == "accuracy" else over
        tolerated = MARGIN if constraint.metric in ("latency_ms", "cycles") else 0.0
        excess += np.where(over > tolerated, over, 0.0)
    keys: list[NDArray[np.float64]] = []
    for objective in reversed(evaluator.problem.objectives):
        figure = evaluator.figure(objective.metric, cycles)
        keys.append((-figure if objective.goal == "max" else figure).ravel())
    order = np.lexsort([*keys, excess.ravel()])
    return order[~np.isnan(cycles.ravel()[order])]
