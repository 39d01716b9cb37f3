"""Prediction intervals that hold for groups never seen: conformal, group by group.

Every trace is predicted by a model that saw no trace of its configuration. How far off those
predictions are, relative to how far off the spread model expects them to be, gives the quantiles
that an interval takes its limits from; each kind of unit has its own where there are enough
traces. No distribution is assumed (Vovk, Gammerman and Shafer, 2005; cross-conformal: Vovk 2015).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.costmodel.columns import Columns, Floats

NOMINAL = 0.9
KINDS = ("any", "convolution", "grouped", "max_pool", "avg_pool", "elementwise", "gather")
_FEWEST = 100
"""Traces of a kind that its own quantiles need."""


def unit_kinds(w: Columns) -> NDArray[np.intp]:
    """Index into ``KINDS`` of each row of workload columns; never 0 (any)."""
    convolution = np.where(w["groups"] > 1, 2, 1)
    marks = np.stack([w["is_max_pool"], w["is_avg_pool"], w["is_elementwise"], w["is_gather"]])
    return np.where(w["is_conv"] > 0, convolution, 3 + marks.argmax(axis=0)).astype(np.intp)


@dataclass(frozen=True, eq=False)
class Quantiles:
    """Limits of log(true / predicted) / spread by kind: float64[len(KINDS)] each."""

    low: Floats
    high: Floats

    def limits(
        self, log_cycles: Floats, spread: Floats, kinds: NDArray[np.intp]
    ) -> tuple[Floats, Floats]:
        """Lower and upper limit of cycles; arrays broadcast."""
        low, high = self.low[kinds], self.high[kinds]
        return np.exp(log_cycles + low * spread), np.exp(log_cycles + high * spread)

    def as_dict(self) -> dict[str, object]:
        return {
            "nominal": NOMINAL,
            "low": dict(zip(KINDS, self.low.tolist(), strict=True)),
            "high": dict(zip(KINDS, self.high.tolist(), strict=True)),
        }

    @staticmethod
    def from_dict(facts: Mapping[str, Any]) -> Quantiles:
        """Of `as_dict`; KeyError or TypeError where something is missing."""
        low, high = ([float(facts[side][kind]) for kind in KINDS] for side in ("low", "high"))
        return Quantiles(np.array(low), np.array(high))


def calibrate(errors: Floats, spread: Floats, kinds: NDArray[np.intp]) -> Quantiles:
    """Quantiles of log errors of predictions for groups unseen in training."""
    scores = errors / spread
    low, high = np.empty(len(KINDS)), np.empty(len(KINDS))
    for kind in range(len(KINDS)):
        own = scores[kinds == kind]
        low[kind], high[kind] = _outer(own if own.size >= _FEWEST else scores)
    return Quantiles(low, high)


def _outer(scores: Floats) -> tuple[float, float]:
    """Both tails hold (1 - NOMINAL) / 2, counted with the finite-sample correction."""
    ordered, n = np.sort(scores), scores.size
    rank = int(np.ceil((n + 1) * (1 + NOMINAL) / 2))
    return float(ordered[max(n - rank, 0)]), float(ordered[min(rank, n) - 1])
