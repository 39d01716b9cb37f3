"""Tapes: the numbers of numpy, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
from samples import random_config, random_layer

from codesign.costmodel import selection
from codesign.costmodel.closed_form import impossible
from codesign.costmodel.columns import config_columns, grid, workload_columns
from codesign.costmodel.tape import Recorder

_RNG = np.random.default_rng(21)


def test_every_operation_equals_numpy() -> None:
    powers = 2.0 ** _RNG.integers(0, 9, 150)
    table = np.vstack([_RNG.normal(0, 3, (2, 150)), powers])
    a = Recorder()
    x, y, z = (a.column("workloads", row) for row in range(3))
    recorded = [
        *(x + y, 2.0 - x, x * y, x / y, a.maximum(x, y), a.minimum(x, 0.5), a.ceil(x), a.room(x)),
        *(a.sqrt(y * y), a.log2(z), abs(x), x < y, x >= y, x == x, ~(x < y) & (y > 0.0)),
        *((x < y) | (y > 0.0), a.where(x < y, x, 7.0), a.fits(x, y), x * 0.0 + 4.0),
    ]
    x, y, z = table[:, np.arange(150)[::-1]]
    with np.errstate(all="ignore"):
        expected = [
            *(x + y, 2.0 - x, x * y, x / y, np.maximum(x, y), np.minimum(x, 0.5), np.ceil(x)),
            *(np.floor(x), np.sqrt(y * y), np.log2(z), np.abs(x), x < y, x >= y, x == x),
            *((x >= y) & (y > 0), (x < y) | (y > 0), np.where(x < y, x, 7.0)),
            *(np.where(y >= 1, x, np.inf), np.full(150, 4.0)),
        ]
    rows = np.arange(150, dtype=np.int64)[::-1].copy()
    none, nothing = np.zeros(150, np.int64), np.zeros((1, 1))
    found = a.tape(recorded).run((table, nothing, nothing), (rows, none, none))
    np.testing.assert_array_equal(found, np.array(expected, dtype=float))


def test_rows_and_registers_are_checked() -> None:
    a = Recorder()
    tape = a.tape([a.column("workloads", 0) + 1.0])
    table, rows, none = np.zeros((1, 3)), np.array([3]), np.zeros(1, np.int64)
    with pytest.raises(ValueError, match="a row out of range"):
        tape.run((table, table, table), (rows, none, none))
    tape = a.tape([a.column("workloads", 4)])
    with pytest.raises(ValueError, match="an input that does not exist"):
        tape.run((table, table, table), (none, none, none))


def test_few_and_many_pairs_have_equal_tilings(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = [random_layer(_RNG) for _ in range(20)]
    w, c = grid(workload_columns(layers), config_columns([random_config(_RNG) for _ in range(40)]))
    found = []
    for few in (0, 1 << 30):
        monkeypatch.setattr(selection, "_FEW", {True: few, False: few})
        found.append(np.array(selection.best_tilings(w, c, impossible(w, c), threads=1)))
    np.testing.assert_array_equal(*found)
