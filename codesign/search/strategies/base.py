"""The contract of a search strategy, and the names under which strategies are found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from typing import Any, Protocol, TypeVar, cast

import numpy as np

from codesign.errors import ConfigError
from codesign.search.evaluation import Evaluation, Proposal
from codesign.search.evaluator import Evaluator
from codesign.search.view import View

T = TypeVar("T")
Number = TypeVar("Number", int, float)


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


def option(default: Number, low: Number, high: Number) -> Number:
    """A field of an options dataclass: a number in a range, both ends included."""
    return field(default=default, metadata={"range": (low, high)})


def choice(default: T, allowed: Iterable[T]) -> T:
    """A field of an options dataclass: one of a few texts."""
    return field(default=default, metadata={"choices": tuple(allowed)})


def read_options(setting: Setting, kind: type[T]) -> T:
    """The dataclass ``kind`` with the setting's options in it. Its fields are made by `option` or
    `choice`, or have a default of the type wanted.

    Raises
    ------
    ConfigError
        an option is unknown, of another type than its default, outside of its range or none of
        its choices.
    """
    known: dict[str, Field[Any]] = {f.name: f for f in fields(cast(Any, kind))}
    for name, value in setting.options.items():
        if name not in known:
            raise ConfigError(
                f"[search.options] {name}: no option of this strategy; allowed: "
                f"{', '.join(known) or 'none'}"
            )
        if not _fits(known[name], value):
            raise ConfigError(
                f"[search.options] {name} = {value!r}: must be {_wanted(known[name])}"
            )
    return kind(**setting.options)


def _fits(wanted: Field[Any], value: object) -> bool:
    if "choices" in wanted.metadata:
        return value in wanted.metadata["choices"]
    default: Any = wanted.default
    types = (int, float) if isinstance(default, float) else (default.__class__,)
    if not isinstance(value, types) or isinstance(value, bool) != isinstance(default, bool):
        return False
    low, high = wanted.metadata.get("range", (value, value))
    return low <= value <= high


def _wanted(wanted: Field[Any]) -> str:
    if "choices" in wanted.metadata:
        return " or ".join(map(repr, wanted.metadata["choices"]))
    if "range" in wanted.metadata:
        number = "a number" if isinstance(wanted.default, float) else "a whole number"
        low, high = wanted.metadata["range"]
        return f"{number} from {low} to {high}"
    return f"of the type of {wanted.default!r}"


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
