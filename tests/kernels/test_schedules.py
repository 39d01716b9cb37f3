"""The chosen schedule: legal, exact, never slower than a fixed dataflow, light on DRAM."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.hw.space import load_space
from codesign.kernels import (
    ConvWorkload,
    Schedule,
    best_schedule,
    default_bias_tiles,
    lower_bound,
    measure,
)
from codesign.kernels.space import DATAFLOWS, ranked, varied
from tests.kernels.support import random_params, run_unit

POINTS = load_space("neuhardco").configs()
PYNQ = VtaConfig(name="pynq")


@st.composite
def layers(draw: st.DrawFn) -> ConvWorkload:
    """Convolutions small enough to compute."""
    kernel, stride = draw(st.sampled_from([1, 3, 5])), draw(st.sampled_from([1, 2]))
    size = draw(st.integers(kernel, 20))
    channels = st.sampled_from([3, 8, 24, 64, 100])
    pad = kernel // 2
    return ConvWorkload(
        draw(channels),
        draw(channels),
        size,
        draw(st.integers(kernel, 20)),
        (kernel, kernel),
        (stride, stride),
        (pad, pad, pad, pad),
    )


@settings(max_examples=15)
@given(layers(), st.sampled_from(POINTS))
def test_auto_is_never_slower_than_a_fixed_dataflow(layer: ConvWorkload, cfg: VtaConfig) -> None:
    layer = replace(layer, bias_tiles=default_bias_tiles(cfg))
    auto = best_schedule(layer, replace(cfg, dataflow="auto"))
    fixed = [best_schedule(layer, cfg, dataflow) for dataflow in DATAFLOWS]
    cycles = [f.cycles for f in fixed if not isinstance(f, Infeasible)]
    if isinstance(auto, Infeasible):
        assert not cycles
    else:
        assert lower_bound(layer, cfg).cycles <= auto.cycles <= min(cycles)


@settings(max_examples=8)
@given(layers(), st.sampled_from(POINTS), st.sampled_from(DATAFLOWS))
def test_every_candidate_that_is_emitted_is_exact(
    layer: ConvWorkload, cfg: VtaConfig, dataflow: str
) -> None:
    layer = replace(layer, bias_tiles=default_bias_tiles(cfg))
    options = ranked(layer, cfg, dataflow)  # pyright: ignore[reportArgumentType]
    rng = np.random.default_rng(5)
    params = random_params(layer, rng)
    for option in rng.permutation(np.array(options, dtype=object))[:2]:
        measured = measure(layer, cfg, option.schedule)
        if isinstance(measured, Infeasible):
            continue
        assert option.floor <= measured.cycles
        got, want = run_unit(layer, cfg, option.schedule, params, rng)
        np.testing.assert_array_equal(got, want, err_msg=str(option.schedule))


def test_the_estimate_is_near_the_simulator() -> None:
    """On layers of real size; the simulator decides among what lies this close together."""
    errors: list[float] = []
    for cfg in (PYNQ, *POINTS[5::40]):
        layer = ConvWorkload(128, 256, 28, 28, (3, 3), (2, 2), (1, 1, 1, 1))
        layer = replace(layer, bias_tiles=default_bias_tiles(cfg))
        for dataflow in DATAFLOWS:
            for option in varied(ranked(layer, cfg, dataflow))[:3]:
                measured = measure(layer, cfg, option.schedule)
                if not isinstance(measured, Infeasible):
                    errors.append(abs(option.cycles / measured.cycles - 1))
    assert len(errors) > 50
    assert np.median(errors) < 0.02 and np.quantile(errors, 0.9) < 0.12


def test_multipliers_are_priced_as_the_bound_counts_them() -> None:
    """COMPUTE's least cycles lie between the bound's and those that are measured."""
    cfg = replace(PYNQ, has_mul=True)
    layer = ConvWorkload(16, 64, 28, 28, multiply=True)
    bound = lower_bound(layer, cfg)
    for dataflow in DATAFLOWS:
        for option in ranked(layer, cfg, dataflow)[:3]:
            measured = measure(layer, cfg, option.schedule)
            assert not isinstance(measured, Infeasible)
            assert bound.compute <= option.floor <= measured.cycles


def test_a_reduction_that_alternates_reads_less_and_stays_exact() -> None:
    layer = ConvWorkload(128, 64, 8, 8, (3, 3), (1, 1), (1, 1, 1, 1))
    once = Schedule("os", 8, 8, 1, 1, False, 3, 2, 2)
    there_and_back = replace(once, alternate=True)
    before, after = measure(layer, PYNQ, once), measure(layer, PYNQ, there_and_back)
    assert not isinstance(before, Infeasible) and not isinstance(after, Infeasible)
    # Of eight chunks three are still there for each of the three tiles after the first.
    read = before.counters["inp_load_bytes"] - 16
    assert after.counters["inp_load_bytes"] - 16 == read * (8 + 3 * 5) / (4 * 8)
    rng = np.random.default_rng(2)
    got, want = run_unit(layer, PYNQ, there_and_back, random_params(layer, rng), rng)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("point", "layer"),
    [
        ("16x8_1m_rs", ConvWorkload(512, 512, 7, 7, (3, 3), (1, 1), (1, 1, 1, 1))),
        ("8x16_256k_rs", ConvWorkload(256, 256, 14, 14, (3, 3), (1, 1), (1, 1, 1, 1))),
    ],
)
def test_frugal_schedules_are_tried_where_micro_ops_are_short(
    point: str, layer: ConvWorkload
) -> None:
    cfg = load_space("neuhardco").named(point)
    layer = replace(layer, bias_tiles=default_bias_tiles(cfg))
    best = best_schedule(layer, cfg)
    assert not isinstance(best, Infeasible), best
    assert best.cycles < 1.25 * lower_bound(layer, cfg).cycles


def test_a_dataflow_that_fits_nowhere_is_named_with_the_mend() -> None:
    """16 accumulators hold no row-stationary tile of this layer."""
    small = replace(PYNQ, log_inp_buff_size=10, log_acc_buff_size=10, log_wgt_buff_size=14)
    layer = ConvWorkload(256, 256, 4, 4, (3, 3), (1, 1), (1, 1, 1, 1))
    assert not isinstance(best_schedule(layer, small, "auto"), Infeasible)
    assert best_schedule(layer, small, "rs") == Infeasible(
        "no_schedule",
        "no rs tiling fits scratchpads of INP 64, WGT 64, ACC 16, UOP 8192 elements; "
        "dataflow auto has other tilings",
    )
