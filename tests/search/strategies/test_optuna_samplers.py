"""Optuna's samplers: when they have nothing more to say."""

from typing import Any

import numpy as np
import optuna

from codesign.search import View
from codesign.search.evaluator import judge
from codesign.search.strategies.base import Setting
from codesign.search.strategies.optuna_samplers import OptunaStrategy
from codesign.testing.strategies import toy_problem, toy_truth

PROBLEM, TRUTH = toy_problem(), toy_truth()


class Stubborn(optuna.samplers.RandomSampler):
    """Draws ``new`` random pairs, then the first option of everything for ever."""

    def __init__(self, new: int) -> None:
        super().__init__(seed=0)
        self._new = new

    def sample_independent(self, study: Any, trial: Any, name: str, distribution: Any) -> Any:
        if trial.number >= self._new:
            return 0
        return super().sample_independent(study, trial, name, distribution)


def rounds(new: int, batch: int) -> list[int]:
    """Pairs asked for in every round until the strategy ends."""
    view = View(PROBLEM, TRUTH.pairs)
    setting = Setting(view, 1e6, np.random.default_rng(0), {})
    strategy = OptunaStrategy(setting, Stubborn(new), view.objectives[:1], batch)
    found: list[int] = []
    while proposals := strategy.ask(float("inf")):
        figures = {"cycles": 1.0, "energy_mj": 1.0}
        strategy.tell([judge(PROBLEM, TRUTH.pairs, p.pair, figures, None) for p in proposals])
        found.append(len(proposals))
    return found


def test_a_sampler_ends_once_most_of_what_it_asks_is_known() -> None:
    for batch in (1, 4):
        few, more = rounds(10, batch), rounds(40, batch)
        assert set(few) == set(more) == {batch}
        # 4 times as many as are new (the ten or forty and the one repeated), 8 rounds of grace
        assert sum(few) <= 4 * (11 + 8 * batch) + batch
        assert 4 * 38 < sum(more) <= 4 * (41 + 8 * batch) + batch
