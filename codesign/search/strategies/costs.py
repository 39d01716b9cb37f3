"""What pairs cost before they are simulated: T0, corrected by what was paid for."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from codesign.search.evaluation import Evaluation
from codesign.search.pairs import Floats
from codesign.search.view import View

_SPREAD, _PSEUDO = 0.02, 4.0
"""Relative error of T0 before anything was seen, and how many observations this weighs."""

SIMULATED = ("latency_ms", "cycles", "energy_mj")
"""Figures that T0 predicts and T2 decides."""


def log_t0(view: View, metric: str) -> Floats:
    """Logarithm of a figure in closed form, float64 [N, C]; hardware figures are exact."""
    with np.errstate(divide="ignore"):
        if metric == "energy_mj":
            return np.log(view.t0_energy_mj)
        if metric in SIMULATED:
            scale = view.ms_per_cycle if metric == "latency_ms" else 1.0
            return np.log(view.t0 * scale)
        return np.broadcast_to(np.log(view.hardware[metric]), view.shape)


class Correction:
    """log(T2 / T0) of one figure by configuration, learned from paid evaluations.

    ``offset`` float64 [C]: a configuration's mean, drawn to the mean of all by how little is known
    of it; ``spread``: standard deviation around it, 0 for figures that T0 has exact.
    """

    def __init__(self, view: View, metric: str) -> None:
        self._metric = metric
        self.log_t0 = log_t0(view, metric)
        self._sum: Floats = np.zeros(view.shape[1])
        self._count: Floats = np.zeros(view.shape[1])
        self._seen: list[tuple[int, float]] = []
        self.exact = metric not in SIMULATED
        self.offset: Floats = np.zeros(view.shape[1])
        self.spread = 0.0 if self.exact else _SPREAD

    def tell(self, evaluations: Iterable[Evaluation]) -> None:
        """Learn from full evaluations; those without the figure are passed over."""
        for e in evaluations:
            if self.exact or e.fidelity != "full" or self._metric not in e.figures:
                continue
            network, config = e.pair.network, e.pair.config
            error = float(np.log(e.figures[self._metric]) - self.log_t0[network, config])
            if np.isfinite(error):
                self._sum[config] += error
                self._count[config] += 1
                self._seen.append((config, error))
        if not self._seen:
            return
        mean = self._sum.sum() / (self._count.sum() + 1.0)
        self.offset = (self._sum + 2.0 * mean) / (self._count + 2.0)
        squares = sum((error - self.offset[config]) ** 2 for config, error in self._seen)
        variance = (squares + _PSEUDO * _SPREAD**2) / (len(self._seen) + _PSEUDO)
        self.spread = float(np.sqrt(variance))
