"""The contract of a search strategy, and the names under which strategies are found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from codesign.errors import ConfigError
from codesign.search.evaluator import Evaluation, Evaluator, Pair

BATCH = 16
"""Proposals a round, fixed: results may not depend on the number of workers."""


class Strategy(Protocol):
    """Proposes pairs; it neither simulates, nor counts, nor stores.

    The loop calls `ask`, evaluates, calls `tell` with the evaluations in the order proposed, and
    so on, until the budget is spent or `ask` returns nothing. A strategy draws randomness only
    from the generator it was made with, so that it can be replayed from its seed.
    """

    def ask(self, room: int) -> Sequence[Pair]:
        """At most ``room`` pairs to evaluate next; none to end the search."""
        ...

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """What became of the last proposals, in their order."""
        ...


@dataclass(frozen=True)
class Setting:
    """What a strategy is made from.

    ``evaluator`` offers what costs no simulation (bounds, scores, the pairs' shape); calling
    its `evaluate` is the loop's business alone. ``budget`` is the number of pairs at T2.
    """

    evaluator: Evaluator
    budget: int
    rng: np.random.Generator


Factory = Callable[[Setting], Strategy]


def strategy_names() -> tuple[str, ...]:
    return tuple(sorted(_factories()))


def make_strategy(name: str, setting: Setting) -> Strategy:
    """The strategy called ``name``; ConfigError lists the names."""
    check_strategy(name)
    return _factories()[name](setting)


def check_strategy(name: str) -> None:
    """ConfigError unless ``name`` is a strategy."""
    if name not in _factories():
        raise ConfigError(f"unknown strategy {name!r}; allowed: {', '.join(strategy_names())}")


def _factories() -> dict[str, Factory]:
    from codesign.search.strategies.exhaustive import Exhaustive
    from codesign.search.strategies.random_pairs import RandomPairs

    return {"exhaustive": Exhaustive, "random": RandomPairs}
