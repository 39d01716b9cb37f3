"""Errors of predicted against simulated cycles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from codesign.costmodel.columns import Floats


@dataclass(frozen=True)
class SplitError:
    """Relative errors |predicted - true| / true of one test set, in percent.

    ``held_out`` says in words what training never saw; ``spearman`` is the rank correlation
    (nan for fewer than two distinct values); ``coverage`` the share of the test rows inside their
    prediction interval, None where there is none.
    """

    held_out: str
    train_rows: int
    test_rows: int
    mape: float
    median: float
    p95: float
    spearman: float
    coverage: float | None = None


@dataclass(frozen=True)
class Errors:
    """Errors by split name (``unseen_networks``, ``_layers``, ``_configs``, ``_block``).

    A split that the traces cannot form is absent from ``by_split`` and explained in ``missing``;
    ``energy`` has the estimated energy's errors where the traces have counters.
    """

    by_split: Mapping[str, SplitError]
    missing: Mapping[str, str]
    energy: Mapping[str, SplitError]

    def as_dict(self) -> dict[str, object]:
        return {
            "by_split": {name: asdict(error) for name, error in self.by_split.items()},
            "missing": dict(self.missing),
            "energy": {name: asdict(error) for name, error in self.energy.items()},
        }


def split_error(
    predicted: Floats,
    true: Floats,
    *,
    held_out: str,
    train_rows: int,
    coverage: float | None = None,
) -> SplitError:
    """Summarise predictions against the truth, [N] each, all > 0."""
    relative = 100.0 * np.abs(predicted - true) / true
    return SplitError(
        held_out=held_out,
        train_rows=train_rows,
        test_rows=int(true.size),
        mape=float(relative.mean()),
        median=float(np.median(relative)),
        p95=float(np.percentile(relative, 95)),
        spearman=spearman(predicted, true),
        coverage=coverage,
    )


def spearman(a: Floats, b: Floats) -> float:
    """Rank correlation with ties averaged; nan where one side is constant."""
    ranks_a, ranks_b = _ranks(a), _ranks(b)
    ranks_a -= ranks_a.mean()
    ranks_b -= ranks_b.mean()
    scale = float(np.sqrt((ranks_a**2).sum() * (ranks_b**2).sum()))
    return float((ranks_a * ranks_b).sum()) / scale if scale > 0 else float("nan")


def _ranks(values: Floats) -> Floats:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return ((last - counts + last - 1) / 2.0)[inverse.ravel()]
