# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
"""Optuna's samplers through ask and tell: NSGA-II, TPE and Gaussian process, with constraints."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from codesign.search.accounting import BATCH
from codesign.search.evaluation import Evaluation, Pair, Proposal
from codesign.search.problem import Objective
from codesign.search.strategies.base import Setting, Strategy, option, read_options

_UNBUILDABLE = 10.0
"""Constraint value of a pair without figures."""
_ASKED = 4
"""Pairs asked of a sampler for each that was new, from which on it has nothing more to say."""
_GRACE = 8
"""Rounds whose pairs count as new whatever they are, so that no sampler ends at its start."""


@dataclass(frozen=True)
class NsgaOptions:
    """``population`` of NSGA-II, ``mutation`` probability of a decision (0: Optuna's default, one
    decision), ``all_objectives`` or the first alone."""

    population: int = option(32, 2, 1000)
    mutation: float = option(0.0, 0.0, 1.0)
    all_objectives: bool = True


@dataclass(frozen=True)
class TpeOptions:
    """``startup`` random pairs, ``batch`` pairs a round, ``multivariate`` densities or one for
    each decision, which takes as many times longer as there are decisions."""

    startup: int = option(20, 1, 10_000)
    batch: int = option(4, 1, BATCH)
    multivariate: bool = True


@dataclass(frozen=True)
class GpOptions:
    """``startup`` random pairs, ``batch`` pairs a round, end after ``limit`` pairs: the process
    costs their cube, and several pairs a round cost many times one."""

    startup: int = option(20, 1, 10_000)
    batch: int = option(1, 1, 8)
    limit: int = option(200, 1, 500)


class OptunaStrategy:
    """A sampler over a view's decisions: the networks' are categories, the configurations' steps
    on a scale but for the dataflow. A row that is no listed point means the nearest one."""

    def __init__(
        self,
        setting: Setting,
        sampler: Any,
        objectives: Sequence[Objective],
        batch: int,
        limit: float = float("inf"),
    ) -> None:
        import optuna
        from optuna.distributions import CategoricalDistribution, IntDistribution

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._view = view = setting.view
        self._objectives = objectives
        self._batch = batch
        self._left = limit
        self._asked = 0
        self._known: set[Pair] = set()
        self._space: dict[str, Any] = {
            f"n{place}": CategoricalDistribution(range(count))
            for place, count in enumerate(view.network_options)
        }
        for place, count in enumerate(view.config_options):
            flow = view.config_fields[place] == "dataflow"
            self._space[f"c{place}"] = (
                CategoricalDistribution(range(count)) if flow else IntDistribution(0, count - 1)
            )
        directions: Any = ["minimize" if o.goal == "min" else "maximize" for o in objectives]
        self._study: Any = optuna.create_study(sampler=sampler, directions=directions)
        self._trials: list[Any] = []
        self._seen: list[Evaluation] = []

    def ask(self, room: float) -> Sequence[Proposal]:
        count = int(min(self._batch, room, self._left))
        exhausted = self._asked > _ASKED * (len(self._known) + _GRACE * self._batch)
        if count < 1 or exhausted:
            return []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._trials = [self._study.ask(self._space) for _ in range(count)]
        pairs = [self._pair(trial.params) for trial in self._trials]
        self._known.update(pairs)
        self._asked += count
        self._left -= count
        return [Proposal(pair) for pair in pairs]

    def _pair(self, params: dict[str, int]) -> Pair:
        view = self._view
        network = [params[f"n{place}"] for place in range(len(view.network_options))]
        config = [params[f"c{place}"] for place in range(len(view.config_options))]
        return Pair(view.network_at(network), view.config_at(config))

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        for trial, e in zip(self._trials, evaluations, strict=True):
            built = all(objective.metric in e.figures for objective in self._objectives)
            values = [e.figures[o.metric] if built else self._worst_of(o) for o in self._objectives]
            for c in self._view.constraints:
                trial.set_constraint(c.metric, constraint_value(e, c.metric, c.limit))
            trial.set_constraint("schedule", 0.0 if built else _UNBUILDABLE)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._study.tell(trial, values)
        self._seen += evaluations

    def _worst_of(self, objective: Objective) -> float:
        """The worst value seen so far, what a pair that cannot be built is told to have."""
        seen = [e.figures[objective.metric] for e in self._seen if objective.metric in e.figures]
        if not seen:
            return 0.0
        return max(seen) if objective.goal == "min" else min(seen)


def constraint_value(evaluation: Evaluation, metric: str, limit: float) -> float:
    """Signed relative excess over a limit, 0 or less where it is kept."""
    value = evaluation.figures.get(metric)
    if value is None:
        return _UNBUILDABLE
    return (limit - value if metric == "accuracy" else value - limit) / limit


def _seed(setting: Setting) -> int:
    return int(setting.rng.integers(1 << 31))


def nsga2(setting: Setting) -> Strategy:
    import optuna

    options = read_options(setting, NsgaOptions)
    objectives = setting.view.objectives
    sampler = optuna.samplers.NSGAIISampler(
        population_size=options.population,
        mutation_prob=options.mutation or None,
        seed=_seed(setting),
    )
    kept = objectives if options.all_objectives else objectives[:1]
    return OptunaStrategy(setting, sampler, kept, BATCH)


def tpe(setting: Setting) -> Strategy:
    import optuna

    options = read_options(setting, TpeOptions)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # experimental arguments
        sampler = optuna.samplers.TPESampler(
            n_startup_trials=options.startup,
            multivariate=options.multivariate,
            seed=_seed(setting),
        )
    return OptunaStrategy(setting, sampler, setting.view.objectives[:1], options.batch)


def gp(setting: Setting) -> Strategy:
    import optuna

    options = read_options(setting, GpOptions)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # experimental
        sampler = optuna.samplers.GPSampler(
            n_startup_trials=options.startup,
            deterministic_objective=True,
            seed=_seed(setting),
        )
    first = setting.view.objectives[:1]
    return OptunaStrategy(setting, sampler, first, options.batch, options.limit)
