"""Every strategy keeps the contract; replay counts what it should."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from codesign.errors import ConfigError, StrategyError
from codesign.search import Evaluation, Pair, Proposal, View, strategy_names
from codesign.search.replay import Clock, replay
from codesign.search.strategies import INFORMED
from codesign.testing.strategies import CHECKS, check_nothing_free, toy_problem, toy_truth

NAMES = [name for name in strategy_names() if name not in INFORMED]


# Optuna's Gaussian process takes about a second for each pair after its random start.
OPTIONS: dict[str, dict[str, Any]] = {"gp": {"startup": 12, "limit": 13, "batch": 1}}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_strategy_keeps_its_contract(name: str, check: Callable[..., None]) -> None:
    check(name, OPTIONS.get(name))


class Scripted:
    """Asks what it is told to ask."""

    def __init__(self, *rounds: Sequence[Proposal]) -> None:
        self.rounds = list(rounds)
        self.told: list[list[Evaluation]] = []

    def ask(self, room: float) -> Sequence[Proposal]:
        return self.rounds.pop(0) if self.rounds else []

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        self.told.append(list(evaluations))


def full(network: int, config: int = 0) -> Proposal:
    return Proposal(Pair(network, config))


def short(network: int, config: int = 0) -> Proposal:
    return Proposal(Pair(network, config), "short")


def run(strategy: Scripted, budget: float = 10.0, **options: Any) -> Any:
    return replay(toy_problem(), toy_truth(), lambda _: strategy, 0, budget, **options)


def test_prices_and_the_clock() -> None:
    strategy = Scripted([full(5), full(5, 1), short(7)], [full(5), short(5), full(7)])
    found = run(strategy, clock=Clock(accuracy_seconds=100.0, pair_seconds=2.0))
    np.testing.assert_allclose(found.spent, [1, 2, 2.06, 2.12, 3.12])
    np.testing.assert_allclose(found.seconds, [110, 110, 110, 218, 218])
    assert [e.fidelity for e in strategy.told[1]] == ["full", "short", "full"]
    assert found.evaluations[2].figures.keys() & {"cycles", "accuracy"} == {"accuracy"}
    parallel = run(Scripted([full(5), full(6, 1), full(7)]), clock=Clock(100.0, 2.0, workers=2))
    assert parallel.seconds[-1] == 204.0


@pytest.mark.parametrize(
    ("proposals", "message"),
    [
        ([full(1), full(2), full(3)], "costs 3 evaluations: 2.5 are left"),
        ([full(n) for n in range(17)], "at most 16 full"),
        ([full(729)], "there are"),
        ([full(-1)], "there are"),
    ],
)
def test_a_round_against_the_rules_is_refused(proposals: list[Proposal], message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        run(Scripted(proposals), budget=2.5)


def test_a_fidelity_that_is_not_on_offer_is_refused() -> None:
    with pytest.raises(StrategyError, match="no short schedule"):
        replay(toy_problem(), toy_truth(short=False), lambda _: Scripted([short(1)]), 0, 5.0)


def test_a_search_that_only_repeats_itself_ends() -> None:
    strategy = Scripted(*([full(1)] for _ in range(5000)))
    assert len(run(strategy).evaluations) == 1
    assert 0 < len(strategy.rounds) < 5000


def test_regret_is_against_the_best_feasible_pair() -> None:
    problem, truth = toy_problem(), toy_truth()
    optimum = truth.optimum(problem)
    assert optimum is not None
    every = [full(n, c) for n in range(729) for c in range(48)]
    feasible = truth.feasible(problem.constraints)
    best = float(np.where(feasible, truth.pairs.accuracy[:, None], 0).max())
    assert optimum == best and 0 < feasible.sum() < len(every)
    place = np.argmax(np.where(feasible, truth.pairs.accuracy[:, None], 0))
    found = run(Scripted([full(0), every[int(place)]]))
    np.testing.assert_array_equal(found.regret(optimum), [np.inf, 0.0])
    assert found.price_of(optimum, 0.01) == 2.0
    assert found.regret_at(optimum, 1.0) == np.inf
    assert found.winner().pair == every[int(place)].pair


@pytest.mark.parametrize("name", INFORMED)
def test_strategies_that_know_the_answer_are_not_replayed(name: str) -> None:
    with pytest.raises(ConfigError, match="reads every accuracy"):
        replay(toy_problem(), toy_truth(), name, 0, 5.0)


def test_the_kit_finds_a_strategy_that_peeks(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = View.__init__

    def leaking(self: Any, problem: Any, pairs: Any) -> None:
        honest(self, problem, pairs)
        self.leak = pairs.accuracy

    def peeks(setting: Any) -> Scripted:
        return Scripted([full(int(n)) for n in np.argsort(-setting.view.leak)[:16]])

    monkeypatch.setattr(View, "__init__", leaking)
    with pytest.raises(AssertionError, match="not paid for"):
        check_nothing_free(peeks)


def test_no_accuracy_hides_in_the_view() -> None:
    truth = toy_truth()
    view = View(toy_problem(), truth.pairs)
    assert truth.pairs.short_accuracy is not None
    secrets = [truth.pairs.accuracy, truth.pairs.short_accuracy, truth.units.cycles]
    waiting, seen = [view.__dict__], 0
    while waiting:
        for value in waiting.pop().values():
            if isinstance(value, np.ndarray):
                seen += 1
                assert not any(np.shares_memory(value, secret) for secret in secrets)
            waiting += [getattr(value, "__dict__", {})]
    assert seen > 5


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"\[search.options\] speed: no option"):
        replay(toy_problem(), toy_truth(), "random", 0, 5.0, {"speed": 1})
