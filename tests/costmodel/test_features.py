"""Features: documented, finite, identical for equal pairs whatever their names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from samples import random_config, random_layer, square_configs

from codesign.costmodel import FEATURE_NAMES, FEATURES, pair_features
from codesign.costmodel.columns import (
    CONFIG_COLUMNS,
    WORKLOAD_COLUMNS,
    config_columns,
    grid,
    take,
    workload_columns,
)
from codesign.costmodel.pair_tables import FEW

_RNG = np.random.default_rng(5)
LAYERS = [random_layer(_RNG) for _ in range(40)]
CONFIGS = [random_config(_RNG) for _ in range(30)]


def features(layers: list, configs: list) -> np.ndarray:
    return pair_features(*grid(workload_columns(layers), config_columns(configs)))[0]


def test_every_feature_has_a_meaning_and_a_column() -> None:
    assert all(text and text == text.strip() for text in FEATURES.values())
    assert len(set(FEATURES.values())) == len(FEATURES)
    found = features(LAYERS, CONFIGS)
    assert found.shape == (40, 30, len(FEATURE_NAMES))
    assert found.dtype == np.float32


def test_columns_are_complete() -> None:
    assert set(workload_columns(LAYERS)) == set(WORKLOAD_COLUMNS)
    assert set(config_columns(CONFIGS)) == set(CONFIG_COLUMNS)
    assert workload_columns([])["height"].shape == (0,)


def test_finite_everywhere_and_without_a_tiling_where_nothing_fits() -> None:
    found, t0 = pair_features(*grid(workload_columns(LAYERS), config_columns(CONFIGS)))
    assert np.isfinite(found).all()
    nothing = ~np.isfinite(t0.cycles)
    assert nothing.any()
    of_tiling = [FEATURE_NAMES.index(name) for name in ("load_share", "tile_rows", "estimate")]
    assert (found[nothing][:, of_tiling] == 0).all()
    assert (found[nothing][:, FEATURE_NAMES.index("block_in")] > 0).all()


def test_a_few_pairs_equal_a_grid_of_many() -> None:
    assert len(LAYERS) * len(CONFIGS) >= FEW > 4  # by tape there, in numpy here
    rows = np.array([0, 3, 7, 29])
    layers, configs = workload_columns(LAYERS), config_columns(CONFIGS)
    pairs = pair_features(take(layers, rows), take(configs, rows))[0]
    grown = features(LAYERS, CONFIGS)
    np.testing.assert_array_equal(pairs, grown[rows, rows])
    every = np.indices(grown.shape[:2]).reshape(2, -1)
    listed = pair_features(take(layers, every[0]), take(configs, every[1]))[0]
    np.testing.assert_array_equal(listed, grown.reshape(listed.shape))


def test_names_and_frequency_are_no_features() -> None:
    configs = square_configs()
    renamed = [replace(c, name="x", target="pynq", frequency_mhz=333.0) for c in configs]
    np.testing.assert_array_equal(features(LAYERS, configs), features(LAYERS, renamed))
