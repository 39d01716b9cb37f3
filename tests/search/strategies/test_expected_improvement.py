"""Expected improvement: what is bought short, and what is bought once."""

from collections import Counter
from collections.abc import Sequence

import pytest

from codesign.search import Evaluation, Proposal, View
from codesign.search.replay import replay
from codesign.search.strategies import Setting
from codesign.search.strategies.expected_improvement import ExpectedImprovement
from codesign.testing.strategies import toy_problem, toy_truth

ROUNDS: list[tuple[set[int], Sequence[Proposal]]] = []


class Watched(ExpectedImprovement):
    """Keeps each round with the networks whose accuracy was known before."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.known: set[int] = set()

    def ask(self, room: float) -> Sequence[Proposal]:
        ROUNDS.append((set(self.known), super().ask(room)))
        return ROUNDS[-1][1]

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        super().tell(evaluations)
        self.known |= {e.pair.network for e in evaluations if e.fidelity == "full"}


def test_a_network_is_bought_on_one_configuration_until_its_accuracy_is_known() -> None:
    problem, truth = toy_problem(), toy_truth()
    ROUNDS.clear()
    replay(problem, truth, Watched, 0, 60.0, view=View(problem, truth.pairs))
    short: set[int] = set()
    for known, proposals in ROUNDS:
        full = Counter(p.pair.network for p in proposals if p.fidelity == "full")
        assert all(count == 1 for network, count in full.items() if network not in known)
        fresh = {p.pair.network for p in proposals if p.fidelity == "short"}
        assert not fresh & short, "a short schedule bought twice"
        short |= fresh
    assert short


@pytest.mark.parametrize("budget", [1.0, 3.0, 8.0])
def test_what_leaves_nothing_for_short_schedules_is_bought_in_full(budget: float) -> None:
    problem, truth = toy_problem(), toy_truth()
    found = replay(problem, truth, "surrogate", 0, budget)
    assert [e.fidelity for e in found.evaluations] == ["full"] * int(budget)
