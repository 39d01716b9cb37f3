"""Options of strategies: each has a range, its ends work, and what lies outside is refused."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pytest

from codesign.errors import ConfigError
from codesign.search import View
from codesign.search.replay import replay
from codesign.search.strategies import (
    INFORMED,
    NoOptions,
    Setting,
    choice,
    option,
    read_options,
    strategy_names,
)
from codesign.search.strategies.bottleneck import BottleneckOptions
from codesign.search.strategies.coupled import CoupledOptions
from codesign.search.strategies.decoupled import DecoupledOptions
from codesign.search.strategies.expected_improvement import SurrogateOptions
from codesign.search.strategies.naf import NafOptions
from codesign.search.strategies.nahas import NahasOptions
from codesign.search.strategies.neuhardco import NeuHardCoOptions
from codesign.search.strategies.optuna_samplers import GpOptions, NsgaOptions, TpeOptions
from codesign.search.strategies.semi_decoupled import SemiOptions
from codesign.testing.strategies import toy_problem, toy_truth

PROBLEM, TRUTH = toy_problem(), toy_truth()
VIEW = View(PROBLEM, TRUTH.pairs)

KINDS: dict[str, Any] = {
    "bottleneck": BottleneckOptions,
    "coupled-hw-outer": CoupledOptions,
    "coupled-nn-outer": CoupledOptions,
    "decoupled-hw-first": DecoupledOptions,
    "decoupled-nn-first": DecoupledOptions,
    "gp": GpOptions,
    "naf": NafOptions,
    "nahas-ppo": NahasOptions,
    "nahas-reinforce": NahasOptions,
    "neuhardco": NeuHardCoOptions,
    "nsga2": NsgaOptions,
    "random": NoOptions,
    "semi-decoupled": SemiOptions,
    "semi-decoupled-flops": SemiOptions,
    "surrogate": SurrogateOptions,
    "tpe": TpeOptions,
}
OPTIONS = [(name, each) for name, kind in KINDS.items() for each in fields(kind)]
NUMBERS = [(name, each) for name, each in OPTIONS if "range" in each.metadata]
WITH: dict[tuple[str, str], dict[str, Any]] = {
    ("coupled-hw-outer", "population"): {"tournament": 1},
    ("coupled-nn-outer", "population"): {"tournament": 1},
    ("decoupled-hw-first", "population"): {"tournament": 1},
    ("decoupled-nn-first", "population"): {"tournament": 1},
    ("gp", "startup"): {"limit": 4},
}
"""Options that another one at its low end needs, or takes long without."""
QUICK: dict[str, dict[str, Any]] = {"gp": {"startup": 12, "limit": 13}}


def ids(case: Any) -> str:
    return case if isinstance(case, str) else case.name


def tried(name: str, options: dict[str, Any], budget: float = 20.0) -> None:
    found = replay(PROBLEM, TRUTH, name, 0, budget, QUICK.get(name, {}) | options, VIEW)
    assert found.full() and found.spent[-1] <= budget + 1e-9


def test_every_strategy_is_looked_at_and_every_number_has_a_range() -> None:
    assert {*KINDS} == {*strategy_names()} - {*INFORMED}
    for name, each in OPTIONS:
        assert isinstance(each.default, (bool, str)) or "range" in each.metadata, (name, each.name)
        if "range" in each.metadata:
            low, high = each.metadata["range"]
            assert low <= each.default <= high and low < high
            assert type(low) is type(high) is type(each.default)


@pytest.mark.parametrize(("name", "each"), NUMBERS, ids=ids)
def test_the_low_end_of_a_range_works(name: str, each: Any) -> None:
    tried(name, {each.name: each.metadata["range"][0]} | WITH.get((name, each.name), {}))


@pytest.mark.parametrize("name", [name for name in KINDS if fields(KINDS[name])])
def test_all_low_ends_together_work(name: str) -> None:
    numbers = [each for each in fields(KINDS[name]) if "range" in each.metadata]
    tried(name, {each.name: each.metadata["range"][0] for each in numbers}, budget=8.0)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("bottleneck", {"children": 200, "parents": 1000, "moves": 16, "optimism": 10}),
        ("coupled-hw-outer", {"inner": 16, "population": 10_000, "tournament": 10_000}),
        ("coupled-nn-outer", {"inner": 16, "population": 20, "tournament": 20}),
        ("decoupled-hw-first", {"share": 1, "population": 10_000, "tournament": 10_000}),
        ("decoupled-nn-first", {"share": 0.5, "population": 8, "tournament": 8}),
        ("gp", {"startup": 10_000, "limit": 13, "batch": 8}),
        ("naf", {"children": 500, "parents": 1000, "pool": 100, "factor": 1e3, "factor_rate": 5}),
        ("naf", {"shorts": 1000, "fulls": 16, "hardware_every": 1000, "optimism": 10}),
        ("nahas-ppo", {"mode": "soft", "margin": 1e3, "epochs": 100, "clip": 1, "entropy": 1}),
        ("nahas-ppo", {"learning_rate": 0.1, "epochs": 100, "entropy": 0}),
        ("nahas-reinforce", {"learning_rate": 0.1, "free_steps": 20, "free_children": 200}),
        ("neuhardco", {"accuracy": 100, "latency": 100, "energy": 100, "temperature": 100}),
        ("neuhardco", {"architecture_rate": 10, "hardware_rate": 10, "temperature": 0.01}),
        ("neuhardco", {"particles": 10, "samples": 200, "hardware_every": 1000, "optimism": 10}),
        ("nsga2", {"population": 1000, "mutation": 1, "all_objectives": False}),
        ("semi-decoupled", {"pairs": 1000, "rounds": 100, "first_stage": 1}),
        ("semi-decoupled-flops", {"pairs": 1000, "rounds": 100, "first_stage": 0.8}),
        ("surrogate", {"initial": 16, "batch": 16, "shorts": 100, "patience": 1_000_000}),
        ("tpe", {"startup": 8, "batch": 16, "multivariate": False}),
    ],
)
def test_large_options_work(name: str, options: dict[str, Any]) -> None:
    tried(name, options)


@pytest.mark.parametrize(("name", "each"), NUMBERS, ids=ids)
def test_outside_of_a_range_is_refused(name: str, each: Any) -> None:
    low, high = each.metadata["range"]
    step = 1e-9 if isinstance(low, float) else 1
    for value in (low - step, high + step, float("nan"), float("inf"), True, "many"):
        with pytest.raises(ConfigError, match=rf"\[search.options\] {each.name} = .*from {low} to"):
            replay(PROBLEM, TRUTH, name, 0, 1.0, {each.name: value}, VIEW)


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("coupled-nn-outer", {"population": 4}, "tournament = 6: must be at most population = 4"),
        ("decoupled-hw-first", {"tournament": 40}, "tournament = 40: must be at most pop.* = 32"),
        ("nahas-ppo", {"mode": "strict"}, "mode = 'strict': must be 'hard' or 'soft'"),
        ("nahas-ppo", {"mode": 1}, "mode = 1: must be 'hard' or 'soft'"),
        ("nsga2", {"all_objectives": 1}, "all_objectives = 1: must be of the type of True"),
        ("semi-decoupled", {"proxy": 1}, "proxy = 1: must be of the type of ''"),
        ("random", {"population": 4}, "population: no option of this strategy; allowed: none"),
    ],
)
def test_options_that_are_no_numbers_or_do_not_fit(
    name: str, options: dict[str, Any], text: str
) -> None:
    with pytest.raises(ConfigError, match=rf"\[search.options\] {text}"):
        replay(PROBLEM, TRUTH, name, 0, 1.0, options, VIEW)


@dataclass(frozen=True)
class Own:
    speed: float = option(1.0, 0.5, 2.0)
    steps: int = option(3, 1, 9)
    way: str = choice("up", ("up", "down"))
    plain: float = 0.0


def test_what_is_given_replaces_the_defaults() -> None:
    def read(**options: Any) -> Own:
        return read_options(Setting(VIEW, 1.0, np.random.default_rng(0), options), Own)

    assert read() == Own() == Own(1.0, 3, "up", 0.0)
    assert read(speed=2, steps=9, way="down", plain=-7) == Own(2, 9, "down", -7)
    with pytest.raises(ConfigError, match=r"steps = 3.0: must be a whole number from 1 to 9"):
        read(steps=3.0)
