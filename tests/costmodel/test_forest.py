"""Forests give the numbers of their boosters, bit for bit."""

import numpy as np
import pytest
import xgboost as xgb

from codesign.costmodel.forest import Forest


def fitted(depth: int, rounds: int, **parameters: object) -> tuple[xgb.Booster, np.ndarray]:
    rng = np.random.default_rng(depth)
    values = rng.normal(size=(3000, 7)).astype(np.float32)
    values[:, 3] = np.round(values[:, 3])  # many rows at a threshold
    target = values[:, 0] * values[:, 3] + np.sin(3 * values[:, 1])
    data = xgb.DMatrix(values, label=target)
    return xgb.train({"max_depth": depth, "nthread": 1, **parameters}, data, rounds), values


@pytest.mark.parametrize(("depth", "rounds"), [(1, 3), (4, 40), (6, 80), (8, 20)])
def test_a_forest_is_its_booster(depth: int, rounds: int) -> None:
    booster, values = fitted(depth, rounds, monotone_constraints="(0,1,0,0,0,0,-1)")
    wanted = booster.inplace_predict(values)
    for count in (1, 63, 64, 3000):
        found = Forest.of(booster).run(values[:count])
        np.testing.assert_array_equal(found.astype(np.float32), wanted[:count])
    columns = np.asfortranarray(values)
    np.testing.assert_array_equal(Forest.of(booster).run(columns).astype(np.float32), wanted)


def test_trees_that_never_split_and_no_rows() -> None:
    booster, values = fitted(3, 5, gamma=1e9)
    found = Forest.of(booster)
    assert found.depth == 0
    np.testing.assert_array_equal(found.run(values), booster.inplace_predict(values))
    assert found.run(values[:0]).shape == (0,)
