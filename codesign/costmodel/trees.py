# pyright: reportUnknownMemberType=false, reportMissingTypeStubs=false
# (xgboost's annotations are partial)
"""Gradient-boosted trees: settings, early stopping on groups, and the spread of their errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

from codesign.costmodel.columns import Floats
from codesign.costmodel.intervals import Quantiles, calibrate
from codesign.costmodel.splits import hold_out

PARAMETERS: dict[str, Any] = {
    "objective": "reg:squarederror",
    "tree_method": "hist",
    "max_depth": 6,
    "eta": 0.15,
    "subsample": 0.8,
    "colsample_bytree": 0.8,
    "min_child_weight": 2.0,
    "lambda": 1.0,
    "nthread": 1,
}
"""Settings of every head unless it says otherwise. One thread: sums are then the same on every
machine."""

MAX_ROUNDS = 80
"""More and deeper trees gain less than a twentieth of the error and cost predictions per second."""
_PATIENCE = 15
_FOLDS = 4
_SPREAD: dict[str, Any] = {"max_depth": 4, "eta": 0.1, "min_child_weight": 20.0}
_SPREAD_ROUNDS = 60
_LEAST_SPREAD = 1e-3
"""An error of a thousandth counts as none."""

Values = NDArray[np.float32]
Settings = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Task:
    """What trees learn: ``target`` [N] from ``values`` [N, F]; ``groups`` are arrays [N] of ids,
    each a way in which new data may be new. ``seed`` and ``settings`` (over `PARAMETERS`)."""

    values: Values
    target: Floats
    groups: Sequence[NDArray[np.intp]]
    seed: int = 0
    settings: Settings | None = None
    names: Sequence[str] | None = None

    def parameters(self) -> dict[str, Any]:
        return {**PARAMETERS, **(self.settings or {}), "seed": self.seed}

    def matrix(self, rows: NDArray[np.intp] | None = None) -> xgb.DMatrix:
        names = None if self.names is None else list(self.names)
        if rows is None:
            return xgb.DMatrix(self.values, label=self.target, feature_names=names)
        return xgb.DMatrix(self.values[rows], label=self.target[rows], feature_names=names)


def chosen(task: Task, settings: Sequence[Settings] = ({},)) -> tuple[Task, int]:
    """The task with that one of ``settings``, and the number of trees, that do best where new
    groups are held out; `fit_rounds` then fits all rows."""
    split = inner_split(task.groups, task.seed)
    tasks = [replace(task, settings={**(task.settings or {}), **setting}) for setting in settings]
    if split is None:
        return tasks[0], MAX_ROUNDS // 2
    tried = [stopped(candidate, *split) for candidate in tasks]
    best = min(range(len(tasks)), key=lambda i: tried[i][0])
    return tasks[best], tried[best][1]


def inner_split(
    groups: Sequence[NDArray[np.intp]], seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]] | None:
    """(train, check): a tenth of the ids of each kind of group, and so all their rows, are checked;
    None where no kind has two."""
    held = np.zeros(len(groups[0]) if groups else 0, dtype=np.bool_)
    for index, ids in enumerate(groups):
        inner = hold_out(ids, 0.1, np.random.default_rng([seed, 100 + index]), "groups")
        if inner is not None:
            held[inner.test] = True
    return (np.flatnonzero(~held), np.flatnonzero(held)) if held.any() and not held.all() else None


def stopped(task: Task, train: NDArray[np.intp], check: NDArray[np.intp]) -> tuple[float, int]:
    """(error on ``check``, rounds) of early stopping there."""
    booster = xgb.train(
        task.parameters(),
        task.matrix(train),
        num_boost_round=MAX_ROUNDS,
        evals=[(task.matrix(check), "check")],
        early_stopping_rounds=_PATIENCE,
        verbose_eval=False,
    )
    return float(booster.best_score), int(booster.best_iteration) + 1


def fit_rounds(task: Task, rows: NDArray[np.intp] | None, rounds: int) -> xgb.Booster:
    """A given number of trees on ``rows``, None for all."""
    return xgb.train(task.parameters(), task.matrix(rows), rounds)


def predict(booster: xgb.Booster, values: Values) -> Floats:
    """Predictions float64[N]."""
    return np.asarray(booster.inplace_predict(values), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Spread:
    """How far off predictions for an unseen group are, in log: trees for the log of the absolute
    error, and the quantiles of errors over that."""

    booster: xgb.Booster
    quantiles: Quantiles

    def scale(self, values: Values) -> Floats:
        return np.exp(predict(self.booster, values))


def fit_spread(task: Task, ids: NDArray[np.intp], kinds: NDArray[np.intp], rounds: int) -> Spread:
    """Of a task's rows when folds of the groups ``ids`` are predicted without them."""
    fold = _folds(ids, task.seed)
    errors, scale = np.empty(len(ids)), np.empty(len(ids))
    for k in range(_FOLDS):
        out = fold == k
        if out.any():
            trees = fit_rounds(task, np.flatnonzero(~out), rounds)
            errors[out] = task.target[out] - predict(trees, task.values[out])
    size = Task(
        task.values,
        np.log(np.abs(errors) + _LEAST_SPREAD),
        (),
        task.seed,
        {**(task.settings or {}), **_SPREAD, "monotone_constraints": None},
        task.names,
    )
    for k in range(_FOLDS):
        out = fold == k
        if out.any():
            trees = fit_rounds(size, np.flatnonzero(~out), _SPREAD_ROUNDS)
            scale[out] = np.exp(predict(trees, task.values[out]))
    whole = fit_rounds(size, None, _SPREAD_ROUNDS)
    return Spread(whole, calibrate(errors, scale, kinds))


def _folds(ids: NDArray[np.intp], seed: int) -> NDArray[np.intp]:
    """Fold of each row; rows of one group are in one fold."""
    unique, inverse = np.unique(ids, return_inverse=True)
    return (np.random.default_rng([seed, 200]).permutation(unique.size) % _FOLDS)[inverse]
