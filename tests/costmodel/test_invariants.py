"""T1 obeys physics on random pairs, far from its traces: a law of its form, not of its training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from samples import random_config, random_layer, synthetic_rows

from codesign.costmodel import CostModel, train
from codesign.costmodel.closed_form import bound, infeasible
from codesign.costmodel.columns import config_columns, grid, workload_columns
from codesign.hw.config import VtaConfig
from codesign.kernels import Workload


@pytest.fixture(scope="module")
def model() -> CostModel:
    return train(_noisy(), 0)[0]


def _noisy():
    """Traces on varied memories whose truth defies physics: constraints must hold all the same."""
    rows = synthetic_rows()
    rng = np.random.default_rng(8)
    configs = tuple(
        replace(c, read_latency=int(rng.integers(1, 200)), bus_bits=int(2 ** rng.integers(6, 10)))
        for c in rows.configs
    )
    backwards = np.array([c.bus_bits / (c.read_latency + 9.0) for c in configs]) ** 0.3
    cycles = rows.cycles * backwards[rows.config_ids]
    return replace(rows, configs=configs, cycles=np.rint(cycles))


def sample(layers: int, configs: int) -> tuple[list[Workload], list[VtaConfig]]:
    rng = np.random.default_rng(21)
    drawn = [replace(random_config(rng), encoding="wide") for _ in range(configs)]
    return [random_layer(rng) for _ in range(layers)], drawn


def check_bounds(model: CostModel, layers: list[Workload], configs: list[VtaConfig]) -> None:
    columns = grid(workload_columns(layers), config_columns(configs))
    found, cannot = model.predict_units(layers, configs), infeasible(*columns)
    np.testing.assert_array_equal(np.isnan(found), cannot)
    assert np.isfinite(found[~cannot]).all()
    assert (found[~cannot] > 0).all()
    assert (found >= bound(*columns).work.roofline)[~cannot].all()
    np.testing.assert_array_equal(found[~cannot], np.rint(found[~cannot]))


WORSE: dict[str, Callable[[VtaConfig], VtaConfig]] = {
    "read latency": lambda c: replace(c, read_latency=c.read_latency + 37),
    "write address latency": lambda c: replace(
        c, write_address_latency=c.write_address_latency + 3
    ),
    "write response latency": lambda c: replace(
        c, write_response_latency=c.write_response_latency + 11
    ),
    "bus": lambda c: replace(c, bus_bits=max(64, c.bus_bits // 2)),
}


def check_order(
    model: CostModel, layers: list[Workload], configs: list[VtaConfig], name: str
) -> None:
    before = model.predict_units(layers, configs)
    after = model.predict_units(layers, [WORSE[name](c) for c in configs])
    np.testing.assert_array_equal(np.isnan(before), np.isnan(after))
    feasible = np.isfinite(before)
    assert (after >= before)[feasible].all()
    assert (after > before)[feasible].any()


def test_finite_positive_and_not_below_the_roofline(model: CostModel) -> None:
    check_bounds(model, *sample(50, 60))


@pytest.mark.parametrize("name", WORSE)
def test_a_worse_memory_is_never_faster(model: CostModel, name: str) -> None:
    check_order(model, *sample(40, 40), name)


@pytest.mark.long
def test_invariants_on_a_hundred_thousand_pairs(model: CostModel) -> None:
    layers, configs = sample(250, 400)
    check_bounds(model, layers, configs)
    for name in WORSE:
        check_order(model, layers, configs, name)
