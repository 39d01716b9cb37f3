# torch's stubs leave parameters partially unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
"""Accuracy of networks, learned from paid evaluations: a Gaussian process, differentiable."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import torch
from numpy.typing import NDArray

from codesign.nn.training import one_thread
from codesign.search.evaluation import Evaluation, Fidelity
from codesign.search.pairs import Floats
from codesign.search.strategies.encoding import one_hot
from codesign.search.view import View

_LENGTHS = (0.125, 0.25, 0.5, 1.0, 2.0)
_NOISES = (0.003, 0.02, 0.1)
_TUNED = 300
"""Networks that the choice of length and noise looks at."""
_MOST = 1000
"""Networks that the process itself looks at, the first ones; ranks are among all."""
_REGROWTH = 1.5
"""Length and noise are chosen anew when there are so many times more networks."""


class AccuracyModel:
    """Scores of networks, larger for more accurate ones.

    A score is the normal quantile of an accuracy's rank among those paid for, which spreads the
    best as far as the others. The kernel is Gaussian over one-hot decisions and logarithms of unit
    counts (both free, both with mean squared distance 1); length and noise are those of the
    highest likelihood. Only evaluations of one ``fidelity`` count. ``trend``, where given, has
    scores of another source: the process then models what a multiple of them leaves over.
    """

    def __init__(
        self, view: View, fidelity: Fidelity = "full", trend: AccuracyModel | None = None
    ) -> None:
        self._fidelity: Fidelity = fidelity
        self._trend, self._slope = trend, 0.0
        decisions = one_hot(view.network_choices, view.network_options)
        units = np.log1p(view.counts.astype(np.float64))
        self._middle = units.mean(axis=0)
        self._decision_scale = _scale(decisions)
        self._unit_scale = _scale(units)
        self.features = np.hstack(
            [decisions * self._decision_scale, (units - self._middle) * self._unit_scale]
        )
        self._known: dict[int, float] = {}
        self._own: Floats = np.full(len(self.features), np.nan)
        self._accuracies: Floats = np.array([0.0, 100.0])
        self._scores: Floats = np.array([-1.0, 1.0])
        self._length, self._noise, self._tuned = 0.5, 0.02, 0
        self._inputs = np.zeros((0, self.features.shape[1]))
        self._factor = torch.zeros(0, 0, dtype=torch.float64)
        self._weights: Floats = np.zeros(0)

    def learn(self, evaluations: Sequence[Evaluation]) -> None:
        """Take the accuracies of full evaluations in; a network counts once."""
        fresh = {
            e.pair.network: e.figures["accuracy"]
            for e in evaluations
            if e.fidelity == self._fidelity and e.pair.network not in self._known
        }
        self._known |= fresh
        if not self._known or not (fresh or self._trend):
            return
        accuracies = np.array(list(self._known.values()))
        scores = _quantiles(accuracies)
        self._accuracies, places = np.unique(accuracies, return_index=True)
        self._scores = scores[places]
        networks = np.fromiter(self._known, np.int64)
        self._own[networks] = scores
        if self._trend is not None:
            trend = self._trend.observed(networks)
            self._slope = max(0.0, float(trend @ scores) / float(trend @ trend + 1.0))
            scores = scores - self._slope * trend
        networks, scores = networks[:_MOST], scores[:_MOST]
        inputs = self.features[networks]
        with one_thread():
            if len(scores) >= _REGROWTH * self._tuned:
                self._tune(inputs, scores)
                self._inputs, self._factor = inputs[:0], self._factor[:0, :0]
            if len(inputs) > len(self._inputs):
                self._grow(inputs[len(self._inputs) :])
            half = self._solved(torch.from_numpy(scores)[:, None])
            whole = torch.linalg.solve_triangular(self._factor.T, half, upper=True)
        self._weights = whole[:, 0].numpy()

    @property
    def known(self) -> int:
        """Networks whose accuracy was paid for."""
        return len(self._known)

    def scores(self, networks: NDArray[np.int64]) -> Floats:
        """Expected scores float64 [B]; 0 before anything was paid for."""
        return self._mean(networks, self._kernel(self.features[networks]))

    def observed(self, networks: NDArray[np.int64]) -> Floats:
        """Own scores of networks paid for, expected ones of the others, float64 [B]."""
        found = self._own[networks]
        lacking = np.isnan(found)
        if lacking.any():
            found[lacking] = self.scores(networks[lacking])
        return found

    def expected(self, networks: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """`scores` and their standard deviations, float64 [B] each."""
        kernel = self._kernel(self.features[networks])
        with one_thread():
            half = self._solved(torch.from_numpy(kernel).T)
        variance = 1.0 - (half**2).sum(dim=0).numpy()
        return self._mean(networks, kernel), np.sqrt(np.maximum(variance, 1e-12))

    def _mean(self, networks: NDArray[np.int64], kernel: Floats) -> Floats:
        found = kernel @ self._weights
        if self._trend is not None:
            found = found + self._slope * self._trend.observed(networks)
        return found

    def relaxed(self, decisions: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """Expected scores float64 [B] of mixtures: shares of options [B, sum of options], which
        stand for the one-hot decisions, and unit counts [B, U]."""
        units = torch.log1p(counts.clamp(min=0.0)) - torch.from_numpy(self._middle)
        x = torch.cat([decisions * self._decision_scale, units * self._unit_scale], dim=-1)
        inputs = torch.from_numpy(self._inputs)
        distance = (x**2).sum(-1, keepdim=True) + (inputs**2).sum(-1) - 2.0 * x @ inputs.T
        return torch.exp(-distance.clamp(min=0.0) / self._length) @ torch.from_numpy(self._weights)

    def accuracy(self, scores: Floats) -> Floats:
        """Percent of scores, between the accuracies paid for."""
        return np.interp(scores, self._scores, self._accuracies)

    def score(self, accuracy: float) -> float:
        """The score of an accuracy in percent."""
        return float(np.interp(accuracy, self._accuracies, self._scores))

    def _kernel(self, x: Floats, inputs: Floats | None = None) -> Floats:
        """float64 [B, M] of rows against ``inputs``, else those paid for."""
        y = self._inputs if inputs is None else inputs
        distance = (x**2).sum(1)[:, None] + (y**2).sum(1)
        distance -= 2.0 * x @ y.T
        # In place: new arrays of this size would take as long as the exponentials.
        np.maximum(distance, 0.0, out=distance)
        distance /= -self._length
        return np.exp(distance, out=distance)

    def _solved(self, right: torch.Tensor) -> torch.Tensor:
        return torch.linalg.solve_triangular(self._factor, right, upper=False)

    def _grow(self, inputs: Floats) -> None:
        """More rows of the kernel matrix's Cholesky factor, for more ``inputs``."""
        own = self._kernel(inputs, inputs) + self._noise * np.eye(len(inputs))
        side = self._solved(torch.from_numpy(self._kernel(inputs)).T).T
        corner = torch.linalg.cholesky(torch.from_numpy(own) - side @ side.T)
        above = torch.cat([self._factor, torch.zeros(side.T.shape, dtype=torch.float64)], dim=1)
        self._factor = torch.cat([above, torch.cat([side, corner], dim=1)])
        self._inputs = np.concatenate([self._inputs, inputs])

    def _tune(self, inputs: Floats, scores: Floats) -> None:
        self._tuned = len(scores)
        inputs, y = inputs[-_TUNED:], scores[-_TUNED:]
        distance = (inputs**2).sum(1)[:, None] + (inputs**2).sum(1) - 2.0 * inputs @ inputs.T
        right = torch.from_numpy(y)[:, None]
        best = -np.inf
        for length in _LENGTHS:
            kernel = torch.from_numpy(np.exp(-np.maximum(distance, 0.0) / length))
            for noise in _NOISES:
                factor = torch.linalg.cholesky(kernel + noise * torch.eye(len(y)))
                half = torch.linalg.solve_triangular(factor, right, upper=False)
                # The kernel's height is the one of the highest likelihood.
                likelihood = -0.5 * len(y) * float(torch.log((half**2).sum() + 1e-12))
                likelihood -= float(torch.log(torch.diagonal(factor)).sum())
                if likelihood > best:
                    best, self._length, self._noise = likelihood, length, noise


def _scale(columns: Floats) -> float:
    """What brings the mean squared distance of two rows to 1."""
    return float(1.0 / np.sqrt(max(2.0 * columns.var(axis=0).sum(), 1e-12)))


def _quantiles(values: Floats) -> Floats:
    """Normal quantiles of the ranks; equal values share one."""
    distinct, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    middles = np.cumsum(counts) - 0.5 * counts
    normal = NormalDist()
    quantiles = np.array([normal.inv_cdf(float(m) / len(values)) for m in middles])
    assert len(quantiles) == len(distinct)
    return quantiles[place]
