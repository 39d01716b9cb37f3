"""Constants of the closed form: those that traces were made with are found again."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
from samples import small_layers, square_configs

from codesign.costmodel import make_rows, on_config
from codesign.costmodel.calibration import GRID, calibrate, described
from codesign.costmodel.closed_form import bound
from codesign.costmodel.columns import config_columns, grid, workload_columns
from codesign.costmodel.constants import FITTED, Constants


def test_finds_the_constants_of_the_traces() -> None:
    layers, configs = small_layers(), square_configs()
    true = Constants(part_out=GRID["part_out"][2], part_in=GRID["part_in"][3])
    columns = grid(workload_columns(layers), config_columns(configs))
    cycles = bound(*columns, fitted=true).cycles
    assert (cycles != bound(*columns).cycles).any()
    rows = make_rows(
        [
            (on_config(layer, config), config, float(cycles[u, c]))
            for u, layer in enumerate(layers)
            for c, config in enumerate(configs)
        ],
        simulator="t2-0",
    )
    found = calibrate(rows)
    assert found.constants == true
    assert found.error < 1e-9
    facts = described(found, rows)
    assert {name: facts[name] for name in asdict(true)} == asdict(true)
    assert (facts["traces"], facts["simulator"]) == (cycles.size, "t2-0")


def test_the_constants_in_use_are_among_those_tried() -> None:
    assert all(value in GRID[name] for name, value in asdict(FITTED).items())
    assert np.isfinite(list(asdict(FITTED).values())).all()
