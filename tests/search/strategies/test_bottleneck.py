"""Bottleneck: modules add up to T0, moves relieve the busiest one, reasons are kept."""

from dataclasses import replace

import numpy as np

from codesign.search import Constraint, View
from codesign.search.replay import replay
from codesign.search.strategies import Setting
from codesign.search.strategies.bottleneck import Bottleneck
from codesign.search.strategies.modules import MODULES, ModuleCycles
from codesign.testing.strategies import toy_problem, toy_truth

PROBLEM, TRUTH = toy_problem(), toy_truth()
VIEW = View(PROBLEM, TRUTH.pairs)


def test_no_module_is_busier_than_the_network_takes() -> None:
    modules = ModuleCycles(VIEW)
    configs = list(range(VIEW.shape[1]))
    for network in (0, 100, 728):
        busy = modules.of(network, configs)
        assert busy.shape == (len(MODULES), len(configs))
        total = VIEW.t0_cycles([network], configs)[0]
        fits = np.isfinite(total)
        assert (busy[:, fits] <= total[fits] * 1.001).all()
        if network:
            assert (busy[:, fits].max(axis=0) > 0.3 * total[fits]).all()


def test_a_move_relieves_the_busiest_module_and_says_so() -> None:
    strategy = Bottleneck(Setting(VIEW, 80.0, np.random.default_rng(0), {}))
    moved = 0
    for config in np.flatnonzero(VIEW.allowed_configs).tolist():
        move = strategy.relieve(728, config)
        if move is None:
            continue
        moved += 1
        before, after = strategy.modules.of(728, [config, move.config]).T
        busiest = int(np.argmax(before))
        assert after[busiest] < before[busiest]
        assert VIEW.allowed_configs[move.config]
        assert move.why.startswith(f"{MODULES[busiest]} bounds on {VIEW.configs[config].name}")
        assert VIEW.configs[move.config].name in move.why
    assert moved > 5


def test_every_proposal_has_its_reason() -> None:
    made: list[Bottleneck] = []

    def maker(setting: Setting) -> Bottleneck:
        made.append(Bottleneck(setting))
        return made[0]

    tight = replace(PROBLEM, constraints=(Constraint("latency_ms", 0.5),))
    found = replay(tight, TRUTH, maker, 0, 96.0)
    assert {e.pair for e in found.evaluations} == set(made[0].why)
    assert any("bounds on" in why for why in made[0].why.values())


def test_comes_near_the_optimum_of_made_up_truth() -> None:
    optimum = TRUTH.optimum(PROBLEM)
    assert optimum is not None
    found = [replay(PROBLEM, TRUTH, "bottleneck", seed, 160.0, view=VIEW) for seed in range(3)]
    assert np.median([run.regret_at(optimum, 160.0) for run in found]) <= 0.05
