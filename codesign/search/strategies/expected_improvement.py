"""Expected improvement over a Gaussian process of accuracy and the corrected closed form of cost.

Cost is nearly free to predict (T0, corrected by what was simulated), accuracy is not: a process
over the networks learns it from paid evaluations. Where a short schedule is on offer, a second
process learns its accuracies, the first one what the long schedule adds to them, and a network is
bought short before it is bought in full. A pair's value is its expected improvement of the first
objective times its probability to keep the limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from codesign.search.accounting import BATCH
from codesign.search.evaluation import Evaluation, Pair, Proposal
from codesign.search.pairs import Floats
from codesign.search.ranking import rank
from codesign.search.strategies.base import Setting, option, read_options
from codesign.search.strategies.costs import Correction
from codesign.search.strategies.gaussian import Indices, NetworkKernel, Process

_NETWORKS = 16384
"""Networks that are modelled; of more that may be feasible, a random part."""
_CONFIGS = 8
"""Most promising configurations of a network that are candidates."""
_SHORT_MODELLED = 500
"""Short schedules that the process learns from; later ones count by themselves."""
_TOLERATED = 0.05
"""Predicted excess over a limit up to which a pair is a candidate."""
_ERROR = 30.0
"""Error rate in percent that is stretched to 1."""
_TELLING, _JUDGED = 0.1, 16
"""A network is bought short first where that is expected to take at least this share of the
variance of its accuracy away, which so many full evaluations can tell."""
_PER_NETWORK = 2
"""Configurations of one network in one round, once its accuracy is known."""


@dataclass(frozen=True)
class SurrogateOptions:
    """``initial`` random networks first, then rounds of ``batch`` full evaluations, and of as many
    as `BATCH` allows once ``patience`` evaluations are spent; ``shorts`` short schedules for each
    full one."""

    initial: int = option(8, 1, BATCH)
    batch: int = option(4, 1, BATCH)
    shorts: int = option(8, 0, 100)
    patience: int = option(200, 0, 1_000_000)


class ExpectedImprovement:
    """The strategy ``surrogate``."""

    def __init__(self, setting: Setting) -> None:
        self._options = read_options(setting, SurrogateOptions)
        self._view = view = setting.view
        self._rng = setting.rng
        self._budget = setting.budget
        first = view.objectives[0]
        metrics = {c.metric for c in view.constraints} | {o.metric for o in view.objectives[:2]}
        self._costs = {m: Correction(view, m) for m in sorted(metrics - {"accuracy"})}
        self._limits = {c.metric: c.limit for c in view.constraints}
        self._wants_accuracy = first.metric == "accuracy"
        self._sign = 1.0 if first.goal == "min" else -1.0
        self._choose_candidates()
        kernel = NetworkKernel(view, self._networks)
        size = len(self._networks)
        self._long = Process(kernel, size, 3)
        self._brief = Process(kernel, size, 2)
        self._place = {int(n): place for place, n in enumerate(self._networks)}
        self._accuracy: Floats = np.full(size, np.nan)
        self._short: Floats = np.full(size, np.nan)
        self._expected_short: Floats = np.zeros(size)
        self._telling = np.ones(size, bool)
        self._bought = np.zeros(self._configs.shape, bool)
        self._evaluations: list[Evaluation] = []

    # Candidates -----------------------------------------------------------------------------
    def _choose_candidates(self) -> None:
        """Networks that may keep the limits by T0, each with its best configurations."""
        view = self._view
        worst = np.full(view.shape, -np.inf)
        for metric, cost in self._costs.items():
            if metric in self._limits:
                worst = np.maximum(worst, cost.log_t0 - np.log(self._limits[metric]))
        first = self._costs.get(view.objectives[0].metric)
        second = view.objectives[1] if len(view.objectives) > 1 else None
        value = np.zeros(view.shape)
        if first is not None:
            value = self._sign * first.log_t0
        elif second is not None and second.metric in self._costs:
            value = (1.0 if second.goal == "min" else -1.0) * self._costs[second.metric].log_t0
        built = ~np.isnan(worst) & ~np.isnan(value) & view.connected[:, None]
        worst = np.where(built, worst, np.inf)
        nearest = worst.min(axis=1)
        may = np.flatnonzero(nearest <= _TOLERATED)
        if not len(may):
            may = np.argsort(nearest, kind="stable")[:_NETWORKS]
        if len(may) > _NETWORKS:
            may = np.sort(self._rng.choice(may, _NETWORKS, replace=False))
        # The least excess first where a limit is broken, the better value among the others.
        slack = -_TOLERATED if first is None else _TOLERATED
        score = np.maximum(worst[may] - slack, 0.0) * 1e3 + np.where(built[may], value[may], 0.0)
        count = min(_CONFIGS, view.shape[1])
        chosen = np.argpartition(score, count - 1, axis=1)[:, :count]
        self._networks: Indices = may.astype(np.int64)
        self._configs: Indices = np.sort(chosen, axis=1).astype(np.int64)
        self._usable = np.take_along_axis(built[may], self._configs, axis=1)
        self._t0 = {
            metric: cost.log_t0[self._networks[:, None], self._configs]
            for metric, cost in self._costs.items()
        }

    # The strategy ---------------------------------------------------------------------------
    def ask(self, room: float) -> Sequence[Proposal]:
        value = self._value()
        value[self._bought | ~self._usable] = -np.inf
        spent = self._budget - room
        full = self._options.batch if spent < self._options.patience else BATCH
        if not self._evaluations:
            full = self._options.initial
            value = np.where(np.isfinite(value), self._rng.random(value.shape), value)
        full = min(full, BATCH, int(room))
        price = self._view.short_price
        payable = 0 if price is None else int((room - full) / price + 1e-9)
        return self._round(value, full, min(self._options.shorts * full, payable))

    def _round(self, value: Floats, full: int, shorts: int) -> list[Proposal]:
        """The best pairs: in full where the network's short accuracy is known, else short, unless
        nothing is left to pay for a short schedule with."""
        proposals: list[Proposal] = []
        used: dict[int, int] = {}
        width = value.shape[1]
        count = min(value.size, 64 * (full + shorts))
        best = np.argpartition(-value.ravel(), count - 1)[:count]
        left = shorts
        for flat in best[np.argsort(-value.ravel()[best], kind="stable")]:
            place, column = divmod(int(flat), width)
            # No short schedule for what promises less than all that is bought in full.
            if not np.isfinite(value[place, column]) or full == 0:
                break
            pair = Pair(int(self._networks[place]), int(self._configs[place, column]))
            if shorts and np.isnan(self._short[place]) and self._telling[place]:
                if place not in used and left:
                    used[place] = _PER_NETWORK
                    left -= 1
                    proposals.append(Proposal(pair, "short"))
            elif used.get(place, 0) < (1 if np.isnan(self._accuracy[place]) else _PER_NETWORK):
                used[place] = used.get(place, 0) + 1
                full -= 1
                proposals.append(Proposal(pair))
        return proposals

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        self._evaluations += [e for e in evaluations if e.fidelity == "full"]
        for cost in self._costs.values():
            cost.tell(evaluations)
        brief: dict[int, float] = {}
        long: dict[int, float] = {}
        for e in evaluations:
            place = self._place[e.pair.network]
            if e.fidelity == "short":
                brief[place] = _stretched(e.figures["accuracy"])
                continue
            self._bought[place, np.flatnonzero(self._configs[place] == e.pair.config)] = True
            if np.isnan(self._accuracy[place]):
                long[place] = _stretched(e.figures["accuracy"])
        for place, value in brief.items():
            self._short[place] = value
        for place, value in long.items():
            self._accuracy[place] = value
        if brief and len(self._brief.whitened) < _SHORT_MODELLED:
            places = np.array(list(brief), np.int64)
            self._brief.add(places, np.stack([np.ones(len(places)), self._short[places]], axis=1))
        if long:
            places = np.array(list(long), np.int64)
            short = self._short[places]
            short = np.where(np.isnan(short), self._expected_short[places], short)
            columns = [np.ones(len(places)), short, self._accuracy[places]]
            self._long.add(places, np.stack(columns, axis=1))

    # Values ---------------------------------------------------------------------------------
    def _accuracies(self) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the stretched accuracy, float64 [M] each."""
        white = self._long.whitened
        size = len(self._networks)
        if not len(white):
            return np.zeros(size), np.ones(size)
        if not len(self._brief.whitened):
            mean, variance, _ = _posterior(self._long, [0])
        else:
            short, uncertain, _ = _posterior(self._brief, [0])
            known = ~np.isnan(self._short)
            short[known], uncertain[known] = self._short[known], 0.0
            self._expected_short = short
            mean, variance, slope = _posterior(self._long, [0, 1])
            told = slope**2 * uncertain
            mean, variance = mean + slope * short, variance + told
            if len(white) >= _JUDGED:
                self._telling = told >= _TELLING * variance
        known = ~np.isnan(self._accuracy)
        mean[known], variance[known] = self._accuracy[known], 0.0
        return mean, np.sqrt(variance)

    def _value(self) -> Floats:
        """log(expected improvement x probability to keep the limits), float64 [M, K]."""
        mean, deviation = self._accuracies()
        kept = np.zeros(self._configs.shape)
        for metric, limit in self._limits.items():
            if metric == "accuracy":
                wanted = (mean - _stretched(limit)) / np.maximum(deviation, 1e-9)
                kept += np.log(_above(wanted) + 1e-12)[:, None]
                continue
            predicted, spread = self._cost(metric)
            slack = (np.log(limit) - predicted) / max(spread, 1e-9)
            kept += np.log(ndtr(slack) + 1e-12) + np.minimum(slack, 0.0) * 1e-3
        best = rank(self._evaluations, self._view.objectives)[:1]
        feasible = bool(best) and best[0].feasible
        if self._wants_accuracy:
            top = _stretched(best[0].figures["accuracy"]) if feasible else float(mean.min())
            gain = _improvement(mean - top, deviation)
            return np.log(gain + 1e-12)[:, None] + kept
        first = self._view.objectives[0].metric
        predicted, spread = self._cost(first)
        predicted = self._sign * predicted
        if feasible:
            top = self._sign * float(np.log(best[0].figures[first]))
        else:
            top = float(predicted[self._usable].max()) if self._usable.any() else 0.0
        return (
            np.log(_improvement(top - predicted, np.full(predicted.shape, spread)) + 1e-12) + kept
        )

    def _cost(self, metric: str) -> tuple[Floats, float]:
        """Corrected logarithm of a figure of the candidates, float64 [M, K], and its spread."""
        cost = self._costs[metric]
        return self._t0[metric] + cost.offset[self._configs], cost.spread


def _posterior(process: Process, columns: list[int]) -> tuple[Floats, Floats, float]:
    """Mean and variance [M] of a process's last target around its trend: a mix of ``columns`` by
    generalised least squares. The first column is the constant, which the mean includes; the
    factor of the second, 0 where there is none, comes third."""
    white = process.whitened
    solved: Any = np.linalg.lstsq(white[:, columns], white[:, -1], rcond=None)[0]
    fit: Floats = np.asarray(solved, np.float64)
    mix: Any = np.zeros(white.shape[1], np.float64)
    mix[-1], mix[columns] = 1.0, -fit
    rest: Floats = np.asarray(white @ mix, np.float64)
    scale = float(rest @ rest) / max(1, len(rest) - len(columns)) + 1e-6
    slope = float(fit[1]) if len(columns) > 1 else 0.0
    return process.mean(mix) + fit[0], scale * process.variance, slope


def _improvement(gap: Floats, deviation: Floats) -> NDArray[np.float64]:
    """Expected positive part of a normal variable."""
    z = gap / np.maximum(deviation, 1e-9)
    density = np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)
    return np.maximum(gap * ndtr(z) + deviation * density, 0.0)


def _above(z: Floats) -> Floats:
    """Probability of a positive value at ``z`` deviations; a tenth has three times the deviation,
    because a few networks are far better than others like them."""
    return 0.9 * ndtr(z) + 0.1 * ndtr(z / 3.0)


def _stretched(accuracy: float) -> float:
    """The inverse cube of the error rate: differences near the top count for more, as much more
    as a process needs to be about as sure there as elsewhere."""
    return (_ERROR / max(100.0 - accuracy, 0.1)) ** 3
