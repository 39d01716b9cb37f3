"""NAHAS: both reward modes, the sign of both policy gradients, and learning on made-up truth."""

import numpy as np
import pytest
import torch

from codesign.search import Constraint
from codesign.search.problem import Objective
from codesign.search.replay import replay
from codesign.search.strategies.controller import Controller, ppo_loss, reinforce_loss
from codesign.search.strategies.rewards import weighted_product
from codesign.testing.strategies import toy_problem, toy_truth

ACCURACY = Objective("accuracy", "max")
LIMITS = (Constraint("latency_ms", 4.0), Constraint("lut", 1000.0))


def reward(latency: float, lut: float, mode: str) -> float:
    figures = {"accuracy": 80.0, "latency_ms": latency, "lut": lut}
    return weighted_product(figures, ACCURACY, LIMITS, mode)  # type: ignore[arg-type]


def test_hard_limits_cost_nothing_below_and_everything_in_proportion_above() -> None:
    assert reward(4.0, 1000.0, "hard") == reward(1.0, 10.0, "hard") == pytest.approx(0.8)
    assert reward(8.0, 1000.0, "hard") == pytest.approx(0.8 / 2)
    assert reward(8.0, 4000.0, "hard") == pytest.approx(0.8 / 2 / 4)


def test_soft_limits_weigh_alike_above_and_below() -> None:
    assert reward(4.0, 1000.0, "soft") == pytest.approx(0.8)
    assert reward(8.0, 1000.0, "soft") == pytest.approx(0.8 * 2**-0.07)
    assert reward(2.0, 1000.0, "soft") == pytest.approx(0.8 * 2**0.07)
    assert reward(2.0, 2000.0, "soft") == pytest.approx(0.8)


def test_reward_of_other_objectives_and_of_pairs_without_schedule() -> None:
    latency = Objective("latency_ms", "min")
    at_least = (Constraint("accuracy", 70.0),)
    figures = {"accuracy": 35.0, "latency_ms": 2.0}
    assert weighted_product(figures, latency, at_least) == pytest.approx(0.5 / 2)
    assert weighted_product({"accuracy": 80.0}, ACCURACY, LIMITS) == 0.0
    assert weighted_product({"accuracy": 80.0}, latency, ()) == 0.0


def test_rewards_of_many_pairs_are_those_of_each() -> None:
    latency, lut = np.array([2.0, 8.0, 0.0]), np.array([500.0, 4000.0, 10.0])
    figures = {"accuracy": np.full(3, 80.0), "latency_ms": latency, "lut": lut}
    for mode in ("hard", "soft"):
        found = weighted_product(figures, ACCURACY, LIMITS, mode)
        each = [reward(x, y, mode) for x, y in zip(latency, lut, strict=True)]
        np.testing.assert_allclose(found, each)
        assert found[2] == 0.0


def controller(seed: int = 0) -> Controller:
    return Controller((3, 2, 4), torch.Generator().manual_seed(seed))


def test_the_controller_starts_uniform_and_its_probabilities_sum_to_one() -> None:
    rows = torch.tensor(list(np.ndindex(3, 2, 4)))
    logs, entropy = controller().log_probability(rows)
    torch.testing.assert_close(logs, torch.full((24,), -float(np.log(24))))
    torch.testing.assert_close(entropy, torch.full((24,), float(np.log([3, 2, 4]).mean())))
    trained = controller()
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    logs, _ = trained.log_probability(rows)
    torch.testing.assert_close(logs.exp().sum(), torch.tensor(1.0))
    drawn = trained.draw(4000)
    share = (drawn[:, None] == rows).all(dim=-1).double().mean(dim=0)
    torch.testing.assert_close(share, logs.exp().double(), atol=0.03, rtol=0.0)


def test_weights_that_shut_gates_are_drawn_from_without_a_warning() -> None:
    made = controller()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(1e5)
    assert made.draw(50).shape == (50, 3)


def test_policy_gradients_favour_what_was_rewarded() -> None:
    logs = torch.tensor([-1.0, -1.0], requires_grad=True)
    rewards = torch.tensor([1.0, 0.0])
    (slope,) = torch.autograd.grad(reinforce_loss(logs, rewards, 0.5), logs)
    assert slope[0] < 0 < slope[1]
    (slope,) = torch.autograd.grad(ppo_loss(logs, logs.detach(), rewards - 0.5, 0.2), logs)
    assert slope[0] < 0 < slope[1]


def test_ppo_gains_nothing_beyond_the_clip() -> None:
    before, gain = torch.zeros(1), torch.ones(1)
    far = torch.tensor([1.0], requires_grad=True)
    (slope,) = torch.autograd.grad(ppo_loss(far, before, gain, 0.2), far)
    assert slope == 0.0
    (slope,) = torch.autograd.grad(ppo_loss(far, before, -gain, 0.2), far)
    assert slope > 0.0


@pytest.mark.parametrize("name", ["nahas-ppo", "nahas-reinforce"])
def test_learns_better_pairs_than_chance(name: str) -> None:
    """Of three runs each, by the mean reward of the last quarter of the evaluations."""
    problem, truth = toy_problem(), toy_truth()

    def late(strategy: str, seed: int) -> float:
        found = replay(problem, truth, strategy, seed, 192.0).evaluations[144:]
        return float(
            np.mean([weighted_product(e.figures, ACCURACY, problem.constraints) for e in found])
        )

    learned, chance = ([late(n, seed) for seed in range(3)] for n in (name, "random"))
    assert min(learned) > max(chance)
