"""How alike configurations rank networks: what semi-decoupled search rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SAFE_SPEARMAN = 0.95
"""Rank correlation on a sample from which on there is no warning. The published study calls
performance monotone from 0.9 on; on made-up tables one proxy in six that loses more than 0.3 points
of accuracy lies between."""


def rank_correlations(figures: Floats) -> Floats:
    """Spearman correlation float64 [C, C] between the columns of ``figures`` [N, C].

    Ties share their mean rank; 1 between columns that are both constant, 0 against one that is.
    """
    order = np.argsort(figures, axis=0, kind="stable")
    placed = np.take_along_axis(figures, order, axis=0)
    ranks = np.empty(figures.shape)
    for column in range(figures.shape[1]):
        _, inverse, counts = np.unique(placed[:, column], return_inverse=True, return_counts=True)
        last = np.cumsum(counts)
        ranks[order[:, column], column] = (last - (counts - 1) / 2.0)[inverse.ravel()]
    ranks -= ranks.mean(axis=0)
    length = np.sqrt((ranks**2).sum(axis=0))
    varies = length > 0
    scaled = ranks / np.where(varies, length, 1.0)
    found = scaled.T @ scaled
    found[np.ix_(~varies, ~varies)] = 1.0
    return found


def choose_proxy(figures: Floats) -> int:
    """The column of ``figures`` [N, C] with the highest mean correlation with all of them."""
    return int(rank_correlations(figures).mean(axis=1).argmax())


@dataclass(frozen=True, eq=False)
class Monotonicity:
    """``spearman`` float64 [C]: rank correlation of the proxy with each configuration, the lower
    of latency's and energy's, on a sample of ``networks`` networks."""

    spearman: Floats
    networks: int
    threshold: float = SAFE_SPEARMAN

    @property
    def unsafe(self) -> NDArray[np.bool_]:
        """bool [C]: configurations for which the proxy's candidates may lose accuracy."""
        return self.spearman < self.threshold

    @property
    def warning(self) -> str | None:
        """What to tell a user, None where the proxy ranks networks like every configuration."""
        count = int(self.unsafe.sum())
        if not count:
            return None
        return (
            f"semi-decoupled search is unsafe here: on {self.networks} networks the proxy's "
            f"Spearman correlation is below {self.threshold:g} with {count} of "
            f"{len(self.spearman)} configurations (lowest {self.spearman.min():.3f}); expand the "
            "candidate set or use several proxies"
        )


def monotonicity(
    figures: Sequence[Floats], proxy: Sequence[Floats], threshold: float = SAFE_SPEARMAN
) -> Monotonicity:
    """Check a proxy on a sample of n networks.

    ``figures`` are the sample's latency and, where it is limited, energy, each [n, C]; ``proxy``
    the same figures [n] on the proxy, or MAC counts.
    """
    against = [
        rank_correlations(np.column_stack([each, one]))[-1, :-1]
        for each, one in zip(figures, proxy, strict=True)
    ]
    return Monotonicity(np.min(against, axis=0), len(proxy[0]), threshold)
