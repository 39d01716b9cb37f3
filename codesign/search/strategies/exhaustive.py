"""Score every pair without simulation, then simulate the best of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from codesign.search.evaluator import Evaluation, Evaluator, Pair
from codesign.search.strategies.base import BATCH, Setting

CONFIGS_PER_NETWORK = 3
"""Configurations of one network in the shortlist; the others only repeat its accuracy."""

MARGIN = 0.03
"""Pairs predicted to break a limit by less than this share are simulated too."""


class Exhaustive:
    """The shortlist holds the pairs that rank best by predicted figures.

    Pairs predicted to break a limit by more than `MARGIN` come last, by their excess. Each
    network has its `CONFIGS_PER_NETWORK` best configurations first in the list.
    """

    def __init__(self, setting: Setting) -> None:
        self._order = shortlist(setting.evaluator, setting.budget)
        self._next = 0

    def ask(self, room: int) -> Sequence[Pair]:
        start, self._next = self._next, self._next + min(room, BATCH)
        return self._order[start : self._next]

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """The order is fixed by the scores."""


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
