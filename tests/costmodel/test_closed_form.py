"""T0: equal bounds, physical order, agreement with the schedule generator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from samples import random_config, random_layer

from codesign.costmodel import on_config
from codesign.costmodel.closed_form import bound, work
from codesign.costmodel.columns import config_columns, grid, take, workload_columns
from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.hw.space import load_space
from codesign.kernels import ConvWorkload, GatherWorkload, best_schedule, lower_bound

_RNG = np.random.default_rng(11)
LAYERS = [random_layer(_RNG) for _ in range(80)]
CONFIGS = [random_config(_RNG) for _ in range(80)]


def t0(configs: list[VtaConfig] = CONFIGS):
    return bound(*grid(workload_columns(LAYERS), config_columns(configs)))


def test_roofline_equals_the_kernels_lower_bound() -> None:
    expected = [[lower_bound(on_config(w, c), c).cycles for c in CONFIGS] for w in LAYERS]
    np.testing.assert_array_equal(t0().work.roofline, np.array(expected, dtype=float))


def test_modules_equal_the_kernels_lower_bound() -> None:
    found = t0().work
    for u, layer in enumerate(LAYERS[:20]):
        for c, config in enumerate(CONFIGS[:20]):
            expected = lower_bound(on_config(layer, config), config)
            got = [np.broadcast_to(a, (80, 80))[u, c] for a in (found.compute, found.load)]
            assert got == [expected.compute, expected.load]


ALIGNED = (
    ConvWorkload(96, 96, 14, 14, (3, 3), (1, 1), (1, 1, 1, 1), groups=96),
    ConvWorkload(128, 128, 7, 7, (3, 3), (2, 2), (1, 1, 1, 1), groups=32),
    ConvWorkload(64, 32, 9, 9, (3, 3), (1, 1), (2, 2, 2, 2), dilation=(2, 2)),
    ConvWorkload(32, 16, 6, 5, (4, 4), padding=(2, 2, 2, 2), up=(2, 2)),
    ConvWorkload(64, 64, 8, 8, residual_border=0),
    ConvWorkload(64, 64, 8, 8, multiply=True),
)


def test_least_work_of_grouped_fused_and_gathered_units() -> None:
    """Equal where block edges are group edges; else, and for gathers, not more."""
    picks = tuple((c % 2, 7 * c % 20) for c in range(50))
    gather = GatherWorkload((20, 20), picks, 6, 7, (1, 2), (0, 1, 0, 0))
    uneven = ConvWorkload(72, 48, 5, 5, (3, 3), groups=3)
    layers = (*ALIGNED, gather, uneven)
    configs = [VtaConfig(log_block_in=i, log_block_out=o) for i, o in ((4, 4), (3, 5), (5, 3))]
    found = work(*grid(workload_columns(layers), config_columns(configs))).roofline
    want = np.array([[lower_bound(on_config(w, c), c).cycles for c in configs] for w in layers])
    exact = len(ALIGNED)
    np.testing.assert_array_equal(found[:exact], want[:exact])
    assert (found[exact:] <= want[exact:]).all()
    assert (found[exact:] >= 0.5 * want[exact:]).all()


def test_estimate_is_at_least_the_roofline_and_finite_where_feasible() -> None:
    found = t0()
    assert (found.cycles >= found.work.roofline).all()
    cannot = np.isinf(found.cycles)
    assert not np.isnan(found.cycles).any() and 0 < cannot.sum() < cannot.size / 2


@pytest.mark.parametrize(
    "better",
    [
        lambda c: replace(c, bus_bits=2 * c.bus_bits),
        lambda c: replace(c, read_latency=max(1, c.read_latency // 2)),
        lambda c: replace(c, write_address_latency=max(1, c.write_address_latency - 1)),
        lambda c: replace(c, write_response_latency=max(1, c.write_response_latency - 1)),
        lambda c: replace(c, log_inp_buff_size=c.log_inp_buff_size + 1),
        lambda c: replace(c, log_wgt_buff_size=c.log_wgt_buff_size + 1),
        lambda c: replace(c, log_acc_buff_size=c.log_acc_buff_size + 1),
    ],
    ids=["bus", "latency", "address", "response", "inp", "wgt", "acc"],
)
def test_better_hardware_is_never_slower(better: Callable[[VtaConfig], VtaConfig]) -> None:
    # One encoding for both: deeper buffers may need wider instructions, which cost fetch cycles.
    before = [replace(c, encoding="wide") for c in CONFIGS]
    # Sums in another order differ in the last bit.
    assert (t0([better(c) for c in before]).cycles <= t0(before).cycles * (1 + 1e-15)).all()


def test_pairs_equal_the_grid() -> None:
    layers, configs = workload_columns(LAYERS), config_columns(CONFIGS)
    rows, columns = np.arange(80), np.arange(80)[::-1].copy()
    pairs = bound(take(layers, rows), take(configs, columns)).cycles
    np.testing.assert_array_equal(pairs, t0().cycles[rows, columns])


def test_simulated_cycles_respect_the_roofline_and_feasibility() -> None:
    found = t0()
    rng = np.random.default_rng(3)
    ratios: list[float] = []
    for _ in range(60):
        u, c = (int(n) for n in rng.integers(0, 80, 2))
        layer, config = LAYERS[u], CONFIGS[c]
        if found.work.roofline[u, c] > 50_000:
            continue
        result = best_schedule(on_config(layer, config), config)
        assert isinstance(result, Infeasible) == np.isinf(found.cycles[u, c])
        if not isinstance(result, Infeasible):
            assert result.cycles >= found.work.roofline[u, c]
            ratios.append(result.cycles / found.cycles[u, c])
    assert len(ratios) > 5
    assert 0.8 < float(np.median(ratios)) < 1.25


@pytest.mark.parametrize(
    ("size", "config", "cycles"),
    [
        (160, "64x16_256k_rs", 1_676_792),
        (160, "64x16_256k_ws", 1_461_089),
        (224, "64x16_256k_rs", 3_467_309),
    ],
)
def test_large_kernels_whose_weights_do_not_fit_twice(size: int, config: str, cycles: int) -> None:
    """Within 10 % of the simulated best schedule, which takes the kernel row by row."""
    stem = ConvWorkload(3, 64, size, size, (7, 7), (2, 2), (3, 3, 3, 3))
    point = next(c for c in load_space("neuhardco").configs() if c.name == config)
    found = bound(workload_columns([stem]), config_columns([point])).cycles
    assert abs(found[0] / cycles - 1) < 0.1
