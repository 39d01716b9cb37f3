"""Figures that a strategy expects of pairs it has not paid for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from codesign.search.evaluation import Evaluation
from codesign.search.pairs import Floats
from codesign.search.strategies.encoding import one_hot, pair_t0
from codesign.search.view import View

Indices = NDArray[np.int64]

_RIDGE = 1.0
_SIMULATED = ("cycles", "energy_mj")


class Forecast:
    """T0, corrected by what paid evaluations showed.

    The logarithm of a figure over T0's cycles is linear in the one-hot decisions of network and
    configuration (ridge regression). Before anything is paid for, cycles are T0's and energy is
    unknown.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._networks = one_hot(view.network_choices, view.network_options)
        self._configs = one_hot(view.config_choices, view.config_options)
        width = 1 + self._networks.shape[1] + self._configs.shape[1]
        self._products = {metric: np.zeros((width, width)) for metric in _SIMULATED}
        self._sums = {metric: np.zeros(width) for metric in _SIMULATED}
        self._factors: dict[str, tuple[Floats, Floats]] = {
            "cycles": (np.zeros(view.shape[0]), np.zeros(view.shape[1]))
        }

    def learn(self, evaluations: Sequence[Evaluation]) -> None:
        for metric in _SIMULATED:
            known = [e for e in evaluations if metric in e.figures]
            if not known:
                continue
            networks = np.array([e.pair.network for e in known], np.int64)
            configs = np.array([e.pair.config for e in known], np.int64)
            cycles = pair_t0(self._view, networks, configs)
            kept = np.isfinite(cycles)
            figures = np.array([e.figures[metric] for e in known])
            x = self._vectors(networks[kept], configs[kept])
            y: Floats = np.log(figures[kept] / cycles[kept])
            self._products[metric] += np.transpose(x) @ x
            self._sums[metric] += y @ x
            # The constant is not held back: energy has a level of its own.
            penalty = _RIDGE * np.eye(x.shape[1])
            penalty[0, 0] = 1e-9
            products: Floats = self._products[metric] + penalty
            found = np.linalg.solve(products, self._sums[metric])
            weights: Floats = np.asarray(found, np.float64)
            own = 1 + self._networks.shape[1]
            of_networks = weights[0] + self._networks @ weights[1:own]
            self._factors[metric] = of_networks, self._configs @ weights[own:]

    def figure(self, metric: str, networks: Indices, configs: Indices) -> Floats:
        """Expected figure float64 [B] of B pairs, nan where nothing fits or nothing is known."""
        if metric in self._view.hardware:
            return self._view.hardware[metric][configs]
        if metric == "latency_ms":
            return self._view.ms_per_cycle[configs] * self.figure("cycles", networks, configs)
        if metric not in self._factors:
            return np.full(len(networks), np.nan)
        of_networks, of_configs = self._factors[metric]
        factor = np.exp(of_networks[networks] + of_configs[configs])
        return factor * pair_t0(self._view, networks, configs)

    def excess(self, networks: Indices, configs: Indices) -> Floats:
        """Expected sum of relative excesses float64 [B] over every limit but accuracy's, inf where
        nothing fits. A figure of which nothing is known breaks no limit."""
        total = np.where(np.isnan(pair_t0(self._view, networks, configs)), np.inf, 0.0)
        for constraint in self._view.constraints:
            if constraint.metric != "accuracy":
                figures = self.figure(constraint.metric, networks, configs)
                over = np.maximum(figures / constraint.limit - 1.0, 0.0)
                total += np.nan_to_num(over, nan=0.0)
        return total

    def _vectors(self, networks: Indices, configs: Indices) -> Floats:
        constant = np.ones((len(networks), 1))
        return np.hstack([constant, self._networks[networks], self._configs[configs]])
