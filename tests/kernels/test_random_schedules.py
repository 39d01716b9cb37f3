"""Random convolutions of every kind under random schedules: exact, and clean for the checker."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from codesign.errors import Infeasible
from codesign.isa import check
from codesign.kernels import (
    ConvWorkload,
    Schedule,
    best_schedule,
    build,
    default_bias_tiles,
    lower_bound,
    measure,
)
from tests.kernels.support import canonical_placement, random_params, run_unit
from tests.kernels.test_units import core

KINDS = ("dense", "depthwise", "groups", "dilated", "transposed", "residual", "multiply")
STOCK_LACKS = {"depths", "block", "encoding", "mul", "shift"}
SHAPES = ((4, 4), (8, 32), (16, 16), (32, 8), (64, 64), (64, 16))


def _size(draw: Any, low: int, high: int) -> int:
    return draw(st.integers(low, high))


@st.composite
def workloads(draw: Any, kind: str) -> ConvWorkload:
    kernel = (_size(draw, 1, 5), _size(draw, 1, 4))
    stride = (_size(draw, 1, 2), _size(draw, 1, 2))
    channels = st.sampled_from([3, 8, 16, 20, 40, 64])
    inputs, outputs = draw(channels), draw(channels)
    extra: dict[str, Any] = {}
    low, high = 0, 2
    if kind == "depthwise":
        extra["groups"] = inputs
        outputs = inputs * _size(draw, 1, 2)
    if kind == "groups":
        extra["groups"] = groups = _size(draw, 2, 5)
        inputs, outputs = (groups * draw(st.sampled_from([1, 4, 10, 16])) for _ in range(2))
    if kind == "dilated":
        extra["dilation"] = (_size(draw, 1, 3), _size(draw, 1, 3))
    if kind == "transposed":
        stride, low, high = (1, 1), -1, 3
        extra["up"] = (_size(draw, 1, 3), _size(draw, 1, 3))
        extra["phase_bias"] = draw(st.booleans())
        extra["in_border"] = 3 if extra["phase_bias"] else 0
    if kind == "residual":
        extra["residual_border"] = _size(draw, 0, 1)
    extra["multiply"] = kind == "multiply"
    top, left, bottom, right = (
        draw(st.integers(min(low, k - 1), min(high, k - 1))) for k in (*kernel, *kernel)
    )
    return ConvWorkload(
        inputs,
        outputs,
        _size(draw, 3, 12),
        _size(draw, 3, 12),
        kernel,
        stride,
        (top, left, bottom, right),
        out_border=_size(draw, 0, 1),
        **extra,
    )


@st.composite
def schedules(draw: Any) -> Schedule:
    return Schedule(
        draw(st.sampled_from(["os", "ws", "is", "rs"])),
        _size(draw, 1, 8),
        _size(draw, 1, 8),
        _size(draw, 1, 4),
        _size(draw, 1, 4),
        draw(st.booleans()),
        _size(draw, 1, 3),
        _size(draw, 1, 3),
        _size(draw, 1, 2),
        _size(draw, 1, 3),
        _size(draw, 0, 2),
        draw(st.booleans()),
    )


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=12, deadline=None)
@given(data=st.data(), shape=st.sampled_from(SHAPES), seed=st.integers(0, 1 << 16))
def test_every_convolution_is_exact(
    kind: str, data: st.DataObject, shape: tuple[int, int], seed: int
) -> None:
    cfg = dataclasses.replace(core(*shape), has_mul=kind == "multiply")
    workload = data.draw(workloads(kind))
    workload = dataclasses.replace(workload, bias_tiles=default_bias_tiles(cfg))
    schedule = data.draw(schedules())
    result = measure(workload, cfg, schedule)
    assume(not isinstance(result, Infeasible))
    assert not isinstance(result, Infeasible)
    assert result.cycles >= lower_bound(workload, cfg).cycles
    rng = np.random.default_rng(seed)
    params = random_params(workload, rng)
    got, want = run_unit(workload, cfg, schedule, params, rng)
    np.testing.assert_array_equal(got, want)
    program = build(workload, params, cfg, schedule)
    place = canonical_placement(workload, cfg, program.constants.size)
    memory = np.zeros(place.constants + program.constants.size, np.uint8)
    memory[place.constants :] = program.constants
    found = check(program.instructions(place), cfg, memory=memory, base_address=0, portable=True)
    # What stock hardware lacks by its configuration is no fault of the stream.
    assert {f.rule for f in found} <= STOCK_LACKS


def test_a_multiplier_needs_the_multiplier() -> None:
    workload = ConvWorkload(16, 16, 4, 4, multiply=True)
    schedule = Schedule("os", 4, 4, 1, 1, True, 1, 1, 1)
    result = measure(workload, dataclasses.replace(core(16, 16), has_mul=False), schedule)
    assert isinstance(result, Infeasible)
    assert result.constraint == "has_mul"


def test_multipliers_and_residual_exclude_each_other() -> None:
    workload = ConvWorkload(16, 16, 4, 4, multiply=True, residual_border=0)
    cfg = dataclasses.replace(core(16, 16), has_mul=True)
    result = measure(workload, cfg, Schedule("os", 4, 4, 1, 1, True, 1, 1, 1))
    assert isinstance(result, Infeasible)
    assert result.constraint == "operator"


def test_kernel_rows_fit_a_large_kernel_into_few_weights() -> None:
    cfg, rng = core(64, 64), np.random.default_rng(1)
    workload = ConvWorkload(3, 64, 32, 32, (7, 7), (2, 2), (3, 3, 3, 3))
    schedule = Schedule("os", 2, 16, 1, 1, True, 1, 1, 1, kernel_rows=4)
    whole = measure(workload, cfg, dataclasses.replace(schedule, kernel_rows=0))
    assert isinstance(whole, Infeasible)
    assert whole.constraint == "wgt_depth"
    params = random_params(workload, rng)
    got, want = run_unit(workload, cfg, schedule, params, rng)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("workload", "shape"),
    [
        (ConvWorkload(16, 16, 12, 12, (7, 7), (1, 1), (3, 3, 3, 3)), (8, 64)),
        (ConvWorkload(16, 16, 12, 12, (5, 5), (2, 2), (2, 2, 2, 2), groups=16), (4, 64)),
        (ConvWorkload(8, 8, 20, 9, (3, 3), (1, 1), (18, 18, 18, 18), dilation=(18, 18)), (16, 16)),
        (ConvWorkload(8, 8, 9, 9, (3, 3), (1, 1), (40, 2, 35, 0), dilation=(30, 1)), (8, 8)),
        (ConvWorkload(8, 8, 5, 5, (1, 5), (1, 1), (0, 40, 0, 20), dilation=(1, 12)), (8, 8)),
    ],
    ids=str,
)
@pytest.mark.parametrize("flow", ["os", "rs"])
def test_padding_beyond_fifteen(workload: ConvWorkload, shape: tuple[int, int], flow: str) -> None:
    cfg, rng = core(*shape), np.random.default_rng(2)
    cfg = dataclasses.replace(cfg, log_inp_buff_size=17)
    workload = dataclasses.replace(workload, bias_tiles=default_bias_tiles(cfg))
    best = best_schedule(workload, cfg, flow)  # pyright: ignore[reportArgumentType]
    assert not isinstance(best, Infeasible), best
    params = random_params(workload, rng)
    got, want = run_unit(workload, cfg, best.schedule, params, rng)
    np.testing.assert_array_equal(got, want)
