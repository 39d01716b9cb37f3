"""How good a pair is expected to be: the accuracy model and the forecast of figures together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from codesign.search.evaluation import Evaluation, Pair
from codesign.search.pairs import Floats
from codesign.search.strategies.accuracy_model import AccuracyModel
from codesign.search.strategies.forecast import Forecast
from codesign.search.view import View

_TOLERATED = 0.01
"""Expected excess below which a pair counts as one that keeps its limits."""


class Surrogate:
    """Merits of pairs that were not paid for, by what was. ``short`` learns the accuracies of short
    schedules, where ``with_short``; they are then a trend of the others."""

    def __init__(self, view: View, with_short: bool = False) -> None:
        self.view = view
        self.forecast = Forecast(view)
        self.short = AccuracyModel(view, "short") if with_short else None
        self.model = AccuracyModel(view, trend=self.short)

    def learn(self, evaluations: Sequence[Evaluation]) -> None:
        self.forecast.learn(evaluations)
        if self.short is not None:
            self.short.learn(evaluations)
        self.model.learn(evaluations)

    def merit(
        self, networks: NDArray[np.int64], configs: NDArray[np.int64], optimism: float = 0.0
    ) -> tuple[Floats, Floats]:
        """Of B pairs: how much of the first objective is expected, float64 [B], larger is better,
        and the expected sum of relative excesses over the limits, float64 [B].

        Accuracy counts as a score of `AccuracyModel`, ``optimism`` standard deviations above the
        mean; other figures as logarithms.
        """
        asked, place = np.unique(networks, return_inverse=True)
        if optimism:
            scores, spread = self.model.expected(asked)
            scores = scores + optimism * spread
        else:
            scores = self.model.scores(asked)
        scores = scores[place]
        first = self.view.objectives[0]
        if first.metric == "accuracy":
            value = scores
        else:
            figures = self.forecast.figure(first.metric, networks, configs)
            value = np.nan_to_num(np.log(figures), nan=0.0)
        excess = self.forecast.excess(networks, configs)
        for constraint in self.view.constraints:
            if constraint.metric == "accuracy":
                expected = self.model.accuracy(scores)
                excess = excess + np.maximum(1.0 - expected / constraint.limit, 0.0)
        return (value if first.goal == "max" else -value), excess

    def best(
        self,
        pairs: Iterable[Pair],
        paid: Collection[Pair],
        count: int,
        optimism: float,
        each: int = 1,
    ) -> list[Pair]:
        """At most ``count`` pairs of those not ``paid`` for, best merit first, those expected to
        keep their limits before the others, and at most ``each`` with the same network."""
        fresh = [pair for pair in dict.fromkeys(pairs) if pair not in paid]
        if not fresh:
            return []
        networks = np.array([pair.network for pair in fresh], np.int64)
        configs = np.array([pair.config for pair in fresh], np.int64)
        value, excess = self.merit(networks, configs, optimism)
        kept = np.where(excess <= _TOLERATED, 0.0, excess)
        taken: dict[int, int] = {}
        chosen: list[Pair] = []
        # Of equals the fastest: it is the least likely to exceed its limit in truth.
        cycles = self.forecast.figure("cycles", networks, configs)
        for place in map(int, np.lexsort([cycles, -value, kept])):
            pair = fresh[place]
            taken[pair.network] = taken.get(pair.network, 0) + 1
            if taken[pair.network] <= each and len(chosen) < count:
                chosen.append(pair)
        return chosen


def unpaid(
    shape: tuple[int, int], paid: Collection[Pair], count: int, rng: np.random.Generator
) -> list[Pair]:
    """At most ``count`` random pairs that were not paid for; fewer only where fewer are left."""
    networks, configs = shape
    left = networks * configs - len(paid)
    if left < 4 * count:
        every = (Pair(n, c) for n in range(networks) for c in range(configs))
        rest = [pair for pair in every if pair not in paid]
        return [rest[place] for place in rng.permutation(len(rest))[:count].tolist()]
    found: dict[Pair, None] = {}
    while len(found) < count:
        pair = Pair(int(rng.integers(networks)), int(rng.integers(configs)))
        if pair not in paid:
            found[pair] = None
    return list(found)
