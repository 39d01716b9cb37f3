"""Sums over networks equal sums over their layers, exactly."""

from __future__ import annotations

import numpy as np
from samples import small_layers

from codesign.costmodel import UnitCounts


def test_product_equals_the_sum_of_layers() -> None:
    rng, units = np.random.default_rng(2), small_layers()
    networks = [
        [(units[int(i)], int(rng.integers(1, 9))) for i in rng.integers(0, len(units), 12)]
        for _ in range(40)
    ]
    found = UnitCounts.of(networks)
    assert set(found.units) <= set(units)
    table = rng.integers(1, 10**9, (len(found.units), 30)).astype(float)
    place = {unit: row for row, unit in enumerate(found.units)}
    total = found.total(table)
    for row, layers in enumerate(networks):
        for column in range(30):
            assert total[row, column] == sum(
                count * int(table[place[unit], column]) for unit, count in layers
            )


def test_a_unit_without_a_schedule_makes_its_networks_nan() -> None:
    a, b = small_layers()[:2]
    counts = UnitCounts.of([[(a, 1)], [(a, 2), (b, 1)], []])
    total = counts.total(np.array([[3.0, 5.0], [np.nan, 7.0]]))
    np.testing.assert_array_equal(total, [[3.0, 5.0], [np.nan, 17.0], [0.0, 0.0]])
