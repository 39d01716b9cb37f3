"""The contract of a search strategy, and the names under which strategies are found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol, TypeVar, cast

import numpy as np

from codesign.errors import ConfigError
from codesign.search.evaluation import Evaluation, Proposal
from codesign.search.evaluator import Evaluator
from codesign.search.view import View

T = TypeVar("T")


class Strategy(Protocol):
    """Proposes pairs; it neither simulates, nor counts, nor stores.

    The loop calls `ask`, evaluates, calls `tell` with the evaluations in the order proposed, and
    so on, until the budget is spent or `ask` returns nothing. A strategy draws randomness only
    from the generator it was made with, so that it can be replayed from its seed. Where it has
    something to say to the user, it does so by an attribute ``notices``, a sequence of texts.
    """

    def ask(self, room: float) -> Sequence[Proposal]:
        """Proposals whose prices sum to ``room`` at most, with at most ``BATCH`` full ones; none
        to end the search. What was paid for before costs nothing and is told again."""
        ...

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """What became of the last proposals, in their order."""
        ...


@dataclass(frozen=True)
class Setting:
    """What a strategy is made from: all that is free, the budget in prices of full evaluations,
    its source of randomness, and its options as the problem file gives them."""

    view: View
    budget: float
    rng: np.random.Generator
    options: Mapping[str, Any]


Factory = Callable[[Setting], Strategy]


def strategy_names() -> tuple[str, ...]:
    return tuple(sorted((*_factories(), *INFORMED)))


INFORMED = ("exhaustive",)
"""Strategies that read every accuracy and score beforehand: truth makers, no search methods."""


def make_strategy(name: str, setting: Setting, evaluator: Evaluator | None = None) -> Strategy:
    """The strategy called ``name``; ConfigError lists the names.

    Only the `INFORMED` ones are handed ``evaluator``, with its accuracies, and need it.
    """
    check_strategy(name)
    if name in INFORMED:
        if evaluator is None:
            raise ConfigError(f"strategy {name!r} reads every accuracy; it needs an evaluator")
        from codesign.search.strategies.exhaustive import Exhaustive

        return Exhaustive(setting, evaluator)
    return _factories()[name](setting)


def check_strategy(name: str) -> None:
    """ConfigError unless ``name`` is a strategy."""
    if name not in strategy_names():
        raise ConfigError(f"unknown strategy {name!r}; allowed: {', '.join(strategy_names())}")


def read_options(setting: Setting, kind: type[T]) -> T:
    """The dataclass ``kind``, whose fields have defaults, with the setting's options in it.

    Raises
    ------
    ConfigError
        an option is unknown, or of another type than its default.
    """
    default = kind()
    allowed: dict[str, Any] = {f.name: getattr(default, f.name) for f in fields(cast(Any, kind))}
    for name, value in setting.options.items():
        if name not in allowed:
            raise ConfigError(
                f"[search.options] {name}: no option of this strategy; allowed: "
                f"{', '.join(allowed) or 'none'}"
            )
        wanted = (int, float) if isinstance(allowed[name], float) else allowed[name].__class__
        if not isinstance(value, wanted):
            raise ConfigError(
                f"[search.options] {name} = {value!r}: must be of the type of {allowed[name]!r}"
            )
    return kind(**setting.options)


@dataclass(frozen=True)
class NoOptions:
    """Of a strategy without options."""


def _factories() -> dict[str, Factory]:
    from codesign.search.strategies import coupled, decoupled, optuna_samplers
    from codesign.search.strategies.bottleneck import Bottleneck
    from codesign.search.strategies.expected_improvement import ExpectedImprovement
    from codesign.search.strategies.naf import Naf
    from codesign.search.strategies.nahas import NahasPpo, NahasReinforce
    from codesign.search.strategies.neuhardco import NeuHardCo
    from codesign.search.strategies.random_pairs import RandomPairs
    from codesign.search.strategies.semi_decoupled import SemiDecoupled, SemiDecoupledFlops

    return {
        "bottleneck": Bottleneck,
        "coupled-hw-outer": coupled.hw_outer,
        "coupled-nn-outer": coupled.nn_outer,
        "decoupled-hw-first": decoupled.hw_first,
        "decoupled-nn-first": decoupled.nn_first,
        "gp": optuna_samplers.gp,
        "naf": Naf,
        "nahas-ppo": NahasPpo,
        "nahas-reinforce": NahasReinforce,
        "neuhardco": NeuHardCo,
        "nsga2": optuna_samplers.nsga2,
        "random": RandomPairs,
        "semi-decoupled": SemiDecoupled,
        "semi-decoupled-flops": SemiDecoupledFlops,
        "surrogate": ExpectedImprovement,
        "tpe": optuna_samplers.tpe,
    }
