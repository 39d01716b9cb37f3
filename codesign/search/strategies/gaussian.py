# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
"""Gaussian processes over a fixed list of networks, extended observation by observation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codesign.search.pairs import Floats
from codesign.search.view import View

Singles = NDArray[np.float32]
Indices = NDArray[np.int64]

_NOISE = 0.01
"""Of the prior variance."""
_LENGTH = 2.0
"""In root mean square deviations of the logarithms of unit counts."""


class NetworkKernel:
    """How alike networks are, from what is free: by the units that they consist of (Matern 3/2),
    one half of it times how many decisions are equal. 1 for equal networks."""

    def __init__(self, view: View, networks: Indices) -> None:
        choices = view.network_choices[networks]
        self._decisions = max(1, choices.shape[1])
        columns = [choices[:, [d]] == np.arange(n) for d, n in enumerate(view.network_options)]
        self._one_hot: Singles = np.concatenate(columns, axis=1).astype(np.float32)
        counts = np.log1p(view.counts[networks].astype(np.float64))
        counts = counts[:, counts.std(axis=0) > 1e-9]
        if counts.shape[1]:
            counts = (counts - counts.mean(axis=0)) / counts.std(axis=0)
            counts /= np.sqrt(counts.shape[1])
        self._units: Singles = counts.astype(np.float32)

    def rows(self, of: Indices) -> Singles:
        """float32 [len(of), M]: kernel of some networks with all."""
        equal = self._one_hot[of] @ self._one_hot.T
        others = 2.0 * (self._decisions - equal) / self._decisions
        lengths = (self._units**2).sum(axis=1)
        apart = lengths[of][:, None] + lengths - 2.0 * (self._units[of] @ self._units.T)
        far = np.sqrt(3.0 * np.maximum(apart, 0.0)) / _LENGTH
        return (1.0 + far) * np.exp(-far) * (0.5 + 0.5 * np.exp(-others))


class Process:
    """The posterior over all M networks given observed ones, for any linear mix of T targets.

    With K + noise = L L^T over what was observed, it keeps L^-1 K(observed, all) and
    L^-1 targets, so that new observations cost one small factorisation.
    """

    def __init__(self, kernel: NetworkKernel, size: int, targets: int) -> None:
        self._kernel = kernel
        self._rows: Singles = np.zeros((0, size), np.float32)
        self._variance: Floats = np.ones(size)
        self.whitened: Floats = np.zeros((0, targets))
        """L^-1 targets, float64 [n, T]: least squares on its columns are generalised ones."""

    def add(self, networks: Indices, targets: Floats) -> None:
        """Observe ``targets`` [m, T] of networks that were not observed before."""
        cross = self._rows[:, networks].T.astype(np.float64)
        prior = self._kernel.rows(networks)
        inner = prior[:, networks].astype(np.float64) + _NOISE * np.eye(len(networks))
        factor = np.linalg.cholesky(inner - cross @ cross.T)
        inverse: Floats = np.linalg.inv(factor)
        new: Singles = inverse.astype(np.float32) @ (prior - cross.astype(np.float32) @ self._rows)
        self._rows = np.concatenate([self._rows, new])
        self._variance -= (new.astype(np.float64) ** 2).sum(axis=0)
        fresh: Floats = inverse @ (targets - cross @ self.whitened)
        self.whitened = np.concatenate([self.whitened, fresh])

    def mean(self, mix: Floats) -> Floats:
        """Posterior mean float64 [M] of the targets times ``mix`` [T], a priori 0."""
        return (self._rows.T @ (self.whitened @ mix).astype(np.float32)).astype(np.float64)

    @property
    def variance(self) -> Floats:
        """Posterior variance float64 [M], a priori 1."""
        return np.maximum(self._variance, 1e-6)
