"""Error summaries and group splits."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from samples import small_layers

from codesign.costmodel.metrics import Errors, spearman, split_error
from codesign.costmodel.splits import hold_out, hold_out_families


def test_split_error_in_percent() -> None:
    true = np.array([100.0, 200.0, 400.0, 1000.0])
    error = split_error(true * [1.1, 0.9, 1.0, 1.4], true, held_out="all", train_rows=7)
    assert error.mape == pytest.approx(15.0)
    assert error.median == pytest.approx(10.0)
    assert error.p95 == pytest.approx(35.5)
    assert (error.spearman, error.train_rows, error.test_rows) == (1.0, 7, 4)
    assert json.loads(json.dumps(Errors({"a": error}, {}, {}).as_dict()))["by_split"]["a"]["mape"]


def test_spearman_averages_ties() -> None:
    assert spearman(np.array([1.0, 2, 3]), np.array([3.0, 2, 1])) == pytest.approx(-1)
    assert spearman(np.array([1.0, 1, 2]), np.array([1.0, 2, 3])) == pytest.approx(math.sqrt(3) / 2)
    assert math.isnan(spearman(np.array([1.0, 1]), np.array([1.0, 2])))


def test_hold_out_whole_groups() -> None:
    ids = np.repeat(np.arange(10), 5)
    split = hold_out(ids, 0.2, np.random.default_rng(0), "things")
    assert split is not None
    assert set(ids[split.train]).isdisjoint(ids[split.test])
    assert (len(split.train), len(split.test), split.held_out) == (40, 10, "2 of 10 things")
    assert hold_out(np.zeros(5, np.intp), 0.2, np.random.default_rng(0), "things") is None


def test_hold_out_families_with_all_their_layers() -> None:
    layers = small_layers()
    families = [frozenset(layers[4 * i : 4 * i + 4]) for i in range(4)]
    rows = layers * 3
    split = hold_out_families(rows, families, 0.25, np.random.default_rng(1))
    assert split is not None
    assert split.held_out == "1 of 4 families, all their layers"
    assert {rows[i] for i in split.train}.isdisjoint(rows[i] for i in split.test)
    assert len(split.test) == 12


def test_no_held_out_layer_is_trained_on_where_families_share_layers() -> None:
    layers = small_layers()
    families = [frozenset(layers[:10]), frozenset(layers[6:])]
    split = hold_out_families(layers * 2, families, 0.2, np.random.default_rng(1))
    assert split is not None
    assert len(split.test) == 20
    rows = layers * 2
    assert {rows[i] for i in split.train}.isdisjoint(rows[i] for i in split.test)


def test_one_family_cannot_be_held_out() -> None:
    layers, rng = small_layers(), np.random.default_rng(1)
    assert hold_out_families(layers, [frozenset(layers)], 0.2, rng) is None
    never_traced = [frozenset(layers[:4]), frozenset(layers[12:])]
    assert hold_out_families(layers[:8], never_traced, 0.2, rng) is None
