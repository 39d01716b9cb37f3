"""T1 keeps T0's physical order whatever its traces say: here noise, and cycles that fall with
latency and rise with a wider bus. 100 000 random pairs; deeper buffers are not constrained: what
T1 sees of a pair's tiling jumps with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from samples import every_kind, random_config

from codesign.costmodel import CostModel, make_rows, on_config
from codesign.costmodel.closed_form import Bound, bound, impossible
from codesign.costmodel.columns import Floats, config_columns, grid, workload_columns
from codesign.costmodel.design import make_design
from codesign.costmodel.training import fit_heads
from codesign.hw.config import VtaConfig

_RNG = np.random.default_rng(2)
LAYERS = every_kind(_RNG, 250)
CONFIGS = [replace(random_config(_RNG), encoding="wide") for _ in range(400)]


@pytest.fixture(scope="module")
def t0() -> Bound:
    return bound(*grid(workload_columns(LAYERS), config_columns(CONFIGS)))


@pytest.fixture(scope="module")
def model(t0: Bound) -> CostModel:
    pairs = _RNG.permutation(np.argwhere(np.isfinite(t0.cycles)))[:600]
    triples = []
    for u, c in pairs:
        config = CONFIGS[c]
        wrong = (config.bus_bits / 128) ** 0.5 / (1 + config.read_latency / 40)
        cycles = t0.cycles[u, c] * wrong * np.exp(_RNG.normal(0, 0.3))
        triples.append((on_config(LAYERS[u], config), config, float(np.ceil(cycles))))
    heads, _ = fit_heads(make_design(make_rows(triples)), np.arange(len(triples)), 0)
    return CostModel(heads)


@pytest.fixture(scope="module")
def found(model: CostModel) -> Floats:
    return model.predict_units(LAYERS, CONFIGS, threads=1)


def test_predictions_are_positive_and_not_below_the_roofline(t0: Bound, found: Floats) -> None:
    fits = np.isfinite(t0.cycles)
    possible = ~impossible(*grid(workload_columns(LAYERS), config_columns(CONFIGS)))
    assert found.size == 100_000
    assert (possible & ~fits).sum() > 0
    np.testing.assert_array_equal(np.isfinite(found), possible)
    assert (found[possible] > 0).all()
    assert (found >= t0.work.roofline)[possible].all()
    assert (found != np.rint(t0.cycles))[fits].mean() > 0.5


@pytest.mark.parametrize(
    "better",
    [
        lambda c: replace(c, bus_bits=2 * c.bus_bits),
        lambda c: replace(c, read_latency=max(1, c.read_latency // 2)),
        lambda c: replace(c, write_address_latency=max(1, c.write_address_latency // 2)),
        lambda c: replace(c, write_response_latency=max(1, c.write_response_latency // 2)),
    ],
    ids=["bus", "read latency", "write address", "write response"],
)
def test_better_memory_is_never_predicted_slower(
    better: Callable[[VtaConfig], VtaConfig], model: CostModel, found: Floats
) -> None:
    faster = model.predict_units(LAYERS, [better(c) for c in CONFIGS], threads=1)
    fits = np.isfinite(found)
    # Sums in another order differ in the last bit, before cycles are made whole.
    assert (faster[fits] <= found[fits] * (1 + 1e-12)).all()
    assert (faster[fits] < found[fits]).any()
