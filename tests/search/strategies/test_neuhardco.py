"""NeuHardCo: both agents move, in turn, down one objective whose slopes are right."""

import numpy as np
import pytest
import torch

from codesign.search import Constraint, View
from codesign.search.replay import replay
from codesign.search.strategies import Setting
from codesign.search.strategies.neuhardco import NeuHardCo
from codesign.search.strategies.relaxation import RelaxedConfigs, RelaxedNetworks
from codesign.testing.strategies import toy_problem, toy_truth

PROBLEM, TRUTH = toy_problem(), toy_truth()
VIEW = View(PROBLEM, TRUTH.pairs)


def trained(**options: float) -> NeuHardCo:
    """The strategy after 80 evaluations."""
    made: list[NeuHardCo] = []

    def maker(setting: Setting) -> NeuHardCo:
        made.append(NeuHardCo(setting))
        return made[0]

    replay(PROBLEM, TRUTH, maker, 0, 80.0, options, VIEW)
    return made[0]


SEARCHED = trained()


def test_the_agents_take_turns_and_both_descend() -> None:
    history = SEARCHED.history
    agents = [turn.agent for turn in history]
    assert agents[0] == "hardware" and {"architecture", "hardware"} == set(agents)
    assert [turn.round for turn in history] == sorted(turn.round for turn in history)
    down = [turn.after < turn.before for turn in history]
    assert np.mean(down) > 0.7
    fresh = NeuHardCo(Setting(VIEW, 80.0, np.random.default_rng(0), {}))
    assert not torch.equal(fresh.logits, SEARCHED.logits)
    assert not torch.equal(fresh.points, SEARCHED.points)


def test_expected_counts_of_a_network_are_its_counts() -> None:
    relaxed = RelaxedNetworks(VIEW, np.random.default_rng(0))
    hot = torch.nn.functional.one_hot(torch.from_numpy(VIEW.network_choices), 3).double()
    counts = relaxed.expected_counts(hot).numpy()
    # A width and a kernel act together, so that only their sums are linear.
    np.testing.assert_allclose(counts[1:].sum(axis=1), 3.0, atol=0.1)
    assert relaxed.flat(hot).shape == (729, 18)


def test_points_of_configurations_lead_back_to_them() -> None:
    relaxed = RelaxedConfigs(VIEW)
    for place in (0, 7, len(relaxed.indices) - 1):
        assert int(relaxed.indices[place]) in relaxed.nearest(relaxed.points[place], 1)
    allowed = set(np.flatnonzero(VIEW.allowed_configs).tolist())
    assert set(relaxed.nearest(relaxed.points[0], 99)) == allowed


def test_cycles_near_points_are_the_closed_form_of_what_is_proposed() -> None:
    relaxed = RelaxedConfigs(VIEW)
    found = relaxed.nearest_cycles(relaxed.points[[0, 7]], VIEW).numpy()
    assert found.shape == (len(VIEW.units), 2, relaxed.groups)
    for row, place in enumerate((0, 7)):
        group = int(relaxed.group[place])
        own = VIEW.t0_units([int(relaxed.indices[place])])[:, 0]
        np.testing.assert_array_equal(found[~np.isnan(own), row, group], own[~np.isnan(own)])
    assert np.isfinite(found).all()


def test_slopes_of_the_shared_objective() -> None:
    """It equals finite differences, and more accuracy, a wider array or less work lower it."""
    configs, networks, objective = SEARCHED.configs, SEARCHED.networks, SEARCHED.objective
    points = configs.points[:2].clone().requires_grad_()
    logits = torch.zeros(2, *networks.missing.shape, dtype=torch.float64).requires_grad_()
    counts = networks.expected_counts(torch.softmax(logits.detach(), -1))

    def shared(x: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
        return objective(networks.masked(x), p, configs.unit_cycles(p, counts)).sum()

    by_logits, by_points = torch.autograd.grad(shared(logits, points), (logits, points))
    direction = torch.randn(logits.shape, generator=torch.Generator().manual_seed(0)).double()
    step = 1e-5 * direction
    change = shared(logits + step, points) - shared(logits - step, points)
    assert float(change.detach()) == pytest.approx(float((2 * step * by_logits).sum()), rel=1e-3)
    assert by_points.abs().max() > 0


@pytest.mark.parametrize(("metric", "limit"), [("latency_ms", 0.2), ("lut", 12000.0)])
def test_hardware_descends_towards_its_limits(metric: str, limit: float) -> None:
    from dataclasses import replace

    problem = replace(PROBLEM, constraints=(Constraint(metric, limit),))
    view = View(problem, TRUTH.pairs)
    options = {"hardware_steps": 12, "hardware_every": 1}
    strategy = NeuHardCo(Setting(view, 80.0, np.random.default_rng(0), options))
    strategy.ask(16.0)
    turn = strategy.history[0]
    assert turn.agent == "hardware" and turn.after < turn.before


def test_beats_chance_on_made_up_truth() -> None:
    optimum = TRUTH.optimum(PROBLEM)
    assert optimum is not None
    found = [replay(PROBLEM, TRUTH, "neuhardco", seed, 96.0, view=VIEW) for seed in (0, 1)]
    chance = [replay(PROBLEM, TRUTH, "random", seed, 96.0, view=VIEW) for seed in range(6)]
    worst = max(run.regret_at(optimum, 96.0) for run in found)
    assert worst < np.median([run.regret_at(optimum, 96.0) for run in chance])
