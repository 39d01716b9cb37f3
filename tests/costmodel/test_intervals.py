"""Conformal quantiles hold the nominal share of new errors, whatever their distribution."""

from __future__ import annotations

import numpy as np

from codesign.costmodel.columns import workload_columns
from codesign.costmodel.intervals import KINDS, NOMINAL, Quantiles, calibrate, unit_kinds
from codesign.kernels import (
    ConvWorkload,
    ElementwiseWorkload,
    GatherWorkload,
    PoolWorkload,
)


def test_kinds_of_units() -> None:
    units = [
        ConvWorkload(8, 8, 4, 4),
        ConvWorkload(8, 8, 4, 4, groups=8),
        PoolWorkload("max", 8, 4, 4, (2, 2)),
        PoolWorkload("avg", 8, 4, 4, (2, 2)),
        ElementwiseWorkload(2, 8, 4, 4),
        GatherWorkload((8,), tuple((0, i) for i in range(8)), 4, 4),
    ]
    np.testing.assert_array_equal(unit_kinds(workload_columns(units)), np.arange(1, len(KINDS)))


def test_new_errors_of_each_kind_lie_inside() -> None:
    rng = np.random.default_rng(0)
    spread = rng.uniform(0.5, 2.0, 8000)
    kinds = rng.integers(1, 3, 8000)
    width = np.where(kinds == 1, 0.01, 0.2)
    errors = spread * width * (rng.exponential(1.0, 8000) - 0.3)
    old, new = slice(0, 4000), slice(4000, 8000)
    found = calibrate(errors[old], spread[old], kinds[old])
    low, high = found.limits(np.zeros(4000), spread[new], kinds[new])
    inside = (low <= np.exp(errors[new])) & (np.exp(errors[new]) <= high)
    for kind in (1, 2):
        assert abs(inside[kinds[new] == kind].mean() - NOMINAL) < 0.03


def test_rare_kinds_share_the_common_quantiles() -> None:
    errors = np.linspace(-1, 1, 301)
    kinds = np.where(np.arange(301) < 5, 4, 1)
    found = calibrate(errors, np.ones(301), kinds)
    assert found.low[4] == found.low[0]
    assert found.low[1] > found.low[0]
    again = Quantiles.from_dict(found.as_dict())
    np.testing.assert_array_equal(again.low, found.low)
    np.testing.assert_array_equal(again.high, found.high)
