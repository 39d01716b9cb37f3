"""What strategies expect of pairs: T0 corrected, accuracies learned, both from paid ones only."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from codesign.errors import Infeasible
from codesign.search import Constraint, Evaluation, Pair, Problem, View
from codesign.search.evaluator import judge
from codesign.search.problem import Objective
from codesign.search.replay import replay
from codesign.search.strategies.accuracy_model import AccuracyModel
from codesign.search.strategies.encoding import one_hot, pair_t0
from codesign.search.strategies.forecast import Forecast
from codesign.search.strategies.surrogate import Surrogate, unpaid
from codesign.testing.strategies import toy_problem, toy_truth

PROBLEM, TRUTH = toy_problem(), toy_truth()
VIEW = View(PROBLEM, TRUTH.pairs)
PAID = replay(PROBLEM, TRUTH, "random", 0, 160.0, view=VIEW).evaluations
ALL = np.arange(VIEW.shape[0])


def test_one_hot_rows() -> None:
    found = one_hot(np.array([[0, 2], [1, 0]]), (2, 3))
    np.testing.assert_array_equal(found, [[1, 0, 0, 0, 1], [0, 1, 1, 0, 0]])


def test_t0_of_pairs_equals_that_of_the_grid() -> None:
    networks, configs = np.array([0, 5, 700, 5]), np.array([3, 3, 40, 0])
    found = pair_t0(VIEW, networks, configs)
    grid = VIEW.t0_cycles(networks, configs)
    np.testing.assert_array_equal(found, np.diag(grid))
    assert np.isnan(found[0]) and np.isfinite(found[1:]).all()


def test_a_forecast_is_t0_at_first_and_nearer_to_the_truth_after_paying() -> None:
    forecast = Forecast(VIEW)
    rng = np.random.default_rng(1)
    networks, configs = rng.integers(1, 729, 300), rng.integers(0, 48, 300)
    t0 = pair_t0(VIEW, networks, configs)
    np.testing.assert_array_equal(forecast.figure("cycles", networks, configs), t0)
    assert np.isnan(forecast.figure("energy_mj", networks, configs)).all()
    forecast.learn(PAID)
    cycles = TRUTH.cycles[networks, configs]
    known = np.isfinite(cycles)

    def error(figures: np.ndarray) -> float:
        return float(np.abs(np.log(figures[known] / cycles[known])).mean())

    assert error(forecast.figure("cycles", networks, configs)) < 0.6 * error(t0)
    energy = forecast.figure("energy_mj", networks, configs)
    assert error(energy / 1e-6) < 0.6 * error(t0)


def test_expected_excess_names_the_pairs_that_break_limits() -> None:
    forecast = Forecast(VIEW)
    forecast.learn(PAID)
    rng = np.random.default_rng(2)
    networks, configs = rng.integers(1, 729, 300), rng.integers(0, 48, 300)
    kept = forecast.excess(networks, configs) == 0.0
    feasible = TRUTH.feasible(PROBLEM.constraints)[networks, configs]
    assert (kept == feasible).mean() > 0.9
    assert np.isinf(forecast.excess(np.array([0]), np.array([0])))[0]


def test_accuracy_scores_rank_networks_nobody_paid_for() -> None:
    model = AccuracyModel(VIEW)
    assert (model.scores(ALL) == 0).all()
    for start in range(0, len(PAID), 16):
        model.learn(PAID[start : start + 16])
    seen = {e.pair.network for e in PAID}
    rest = np.array([n for n in ALL[1:] if n not in seen])
    scores, truth = model.scores(rest), TRUTH.pairs.accuracy[rest]
    order = np.argsort(np.argsort(scores)), np.argsort(np.argsort(truth))
    assert np.corrcoef(*order)[0, 1] > 0.85
    known = np.array(sorted(seen))
    assert model.expected(known)[1].mean() < model.expected(rest)[1].mean()
    assert np.abs(model.accuracy(scores) - truth).mean() < 2.0
    assert model.accuracy(np.array([model.score(70.0)]))[0] == pytest.approx(70.0)


def test_learning_in_rounds_equals_learning_at_once() -> None:
    """But for length and noise, which are chosen from what is known at the time."""
    once, rounds = AccuracyModel(VIEW), AccuracyModel(VIEW)
    once.learn(PAID)
    once._tuned = rounds._tuned = 10**9
    rounds._length, rounds._noise = once._length, once._noise
    for start in range(0, len(PAID), 16):
        rounds.learn(PAID[start : start + 16])
    np.testing.assert_allclose(rounds.scores(ALL), once.scores(ALL), atol=1e-8)


def test_relaxed_scores_equal_those_of_networks_and_have_their_slopes() -> None:
    model = AccuracyModel(VIEW)
    model.learn(PAID)
    decisions = torch.from_numpy(one_hot(VIEW.network_choices[:9], VIEW.network_options))
    counts = torch.from_numpy(VIEW.counts[:9].astype(float))
    found = model.relaxed(decisions, counts)
    np.testing.assert_allclose(found.numpy(), model.scores(ALL[:9]), atol=1e-10)
    inputs = (decisions[:2].clone().requires_grad_(), counts[:2].clone() + 0.5)
    assert torch.autograd.gradcheck(lambda x: model.relaxed(x, inputs[1]), inputs[:1])


def evaluated(problem: Problem, pair: Pair) -> Evaluation:
    """A pair's evaluation from the table."""
    cycles = float(TRUTH.cycles[pair.network, pair.config])
    if np.isnan(cycles):
        return judge(problem, TRUTH.pairs, pair, {}, Infeasible("schedule", "none"))
    figures = {"cycles": cycles, "energy_mj": float(TRUTH.energy_mj[pair.network, pair.config])}
    return judge(problem, TRUTH.pairs, pair, figures, None)


@pytest.mark.parametrize("first", [Objective("accuracy", "max"), Objective("latency_ms", "min")])
def test_merit_puts_better_pairs_first_whatever_the_objective(first: Objective) -> None:
    at_least = Constraint("accuracy", 68.0)
    limits = PROBLEM.constraints if first.metric == "accuracy" else (at_least,)
    problem = replace(PROBLEM, objectives=(first,), constraints=limits)
    surrogate = Surrogate(View(problem, TRUTH.pairs))
    surrogate.learn([evaluated(problem, e.pair) for e in PAID])
    pairs = unpaid(VIEW.shape, set(), 2000, np.random.default_rng(3))
    found = [evaluated(problem, pair) for pair in surrogate.best(pairs, set(), 20, 0.0)]
    assert sum(e.feasible for e in found) >= 14
    sign = 1.0 if first.goal == "max" else -1.0
    every = [e for e in (evaluated(problem, pair) for pair in pairs) if e.feasible]
    good = np.quantile([sign * e.figures[first.metric] for e in every], 0.9)
    assert np.median([sign * e.figures[first.metric] for e in found]) > good


def test_random_pairs_that_were_not_paid_for() -> None:
    rng = np.random.default_rng(0)
    paid = {Pair(n, c) for n in range(4) for c in range(4)} - {Pair(2, 3)}
    assert unpaid((4, 4), paid, 5, rng) == [Pair(2, 3)]
    many = unpaid((1000, 1000), paid, 30, rng)
    assert len(set(many)) == 30 and not paid & set(many)
