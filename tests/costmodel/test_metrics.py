"""Error summaries and group splits."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from samples import small_layers

from codesign.costmodel.metrics import Errors, spearman, split_error
from codesign.costmodel.splits import hold_out, hold_out_networks


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


def test_hold_out_networks_with_all_their_layers() -> None:
    layers = small_layers()
    networks = [frozenset(layers[4 * i : 4 * i + 4]) for i in range(4)]
    rows = layers * 3
    split = hold_out_networks(rows, networks, 0.25, np.random.default_rng(1))
    assert split is not None
    assert split.held_out == "1 of 4 networks, all their layers"
    assert {rows[i] for i in split.train}.isdisjoint(rows[i] for i in split.test)
    assert len(split.test) == 12


def test_networks_that_share_their_layers_say_so() -> None:
    layers = small_layers()[:2]
    networks = [frozenset(layers)] * 5
    split = hold_out_networks(layers * 20, networks, 0.2, np.random.default_rng(1))
    assert split is not None
    assert split.held_out.endswith("on pairs never seen (their layers are shared)")
    assert set(split.train).isdisjoint(split.test)
    assert hold_out_networks(layers, networks[:1], 0.2, np.random.default_rng(1)) is None
