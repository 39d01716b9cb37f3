"""NAF: lambda follows the target, and the inner search finds the hardware of a network."""

from dataclasses import replace

import numpy as np

from codesign.search import Constraint, Evaluation, Pair, View
from codesign.search.replay import replay
from codesign.search.strategies import Setting
from codesign.search.strategies.naf import Naf
from codesign.testing.strategies import toy_problem, toy_truth

TRUTH = toy_truth()
PROBLEM = replace(toy_problem(), constraints=(Constraint("latency_ms", 1.0),))
VIEW = View(PROBLEM, TRUTH.pairs)


def made() -> Naf:
    return Naf(Setting(VIEW, 80.0, np.random.default_rng(0), {}))


def at(latency_ms: float) -> Evaluation:
    figures = {"accuracy": 70.0, "cycles": 1e5 * latency_ms, "latency_ms": latency_ms}
    return Evaluation(Pair(1, 1), "", "", figures, (), 0.0)


def test_lambda_grows_above_the_target_and_shrinks_below() -> None:
    above, below, there = made(), made(), made()
    above.tell([at(2.0), at(3.0)])
    below.tell([at(0.5)])
    there.tell([at(1.5), at(0.5)])
    assert above.factors[1] > above.factors[0] == there.factors[1] > below.factors[1]


def test_inner_search_finds_the_fastest_hardware() -> None:
    strategy = made()
    for network in (100, 400, 728):
        cycles = VIEW.t0_cycles([network], np.arange(VIEW.shape[1]))[0]
        found = cycles[strategy.hardware_of(network)]
        assert found <= 1.05 * np.nanmin(cycles)
    assert strategy.inner > 0


def test_hardware_is_renewed_every_so_many_rounds() -> None:
    strategies: list[Naf] = []

    def maker(setting: Setting) -> Naf:
        strategies.append(Naf(setting))
        return strategies[-1]

    for every in (1, 4):
        replay(PROBLEM, TRUTH, maker, 0, 96.0, {"hardware_every": every}, VIEW)
    assert strategies[0].inner > 2 * strategies[1].inner


def test_comes_near_the_optimum_of_made_up_truth() -> None:
    optimum = TRUTH.optimum(PROBLEM)
    assert optimum is not None
    found = [replay(PROBLEM, TRUTH, "naf", seed, 160.0, view=VIEW) for seed in range(3)]
    assert max(run.regret_at(optimum, 160.0) for run in found) <= 0.02
