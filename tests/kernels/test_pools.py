"""Pooling of any shape, cut in any way: exact, free of hazards, near its bound."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.isa import check
from codesign.kernels import (
    Blocking,
    PoolWorkload,
    Schedule,
    best_schedule,
    build,
    lower_bound,
    measure,
    reference,
    valid_counts,
)
from codesign.kernels.pool import max_form, max_work
from tests.kernels.support import canonical_placement, random_params, run_unit
from tests.kernels.test_units import CORES, core

PYNQ = VtaConfig(name="pynq")


def random_pool(rng: np.random.Generator) -> PoolWorkload | None:
    kernel = tuple(int(k) for k in rng.choice([1, 2, 2, 3, 3, 3, 4, 5, 7, 13], 2))
    padding = tuple(int(rng.integers(0, (kernel[i % 2] + 1) // 2 + 1)) for i in range(4))
    pool = PoolWorkload(
        "max" if rng.integers(2) else "avg",
        int(rng.integers(1, 90)),
        *(int(n) for n in rng.integers(1, 20, 2)),
        (kernel[0], kernel[1]),
        (int(rng.integers(1, 4)), int(rng.integers(1, 4))),
        tuple(min(p, kernel[i % 2] - 1) for i, p in enumerate(padding)),  # pyright: ignore[reportArgumentType]
        in_border=int(rng.integers(0, 2)),
        out_border=int(rng.integers(0, 3)),
    )
    if pool.out_height < 1 or pool.out_width < 1:
        return None
    return None if pool.kind == "avg" and 0 in valid_counts(pool) else pool


def random_tiling(pool: PoolWorkload, rng: np.random.Generator) -> Schedule:
    rows, cols = (int(rng.integers(1, n + 1)) for n in (pool.out_height, pool.out_width))
    slots = [int(n) for n in rng.integers(1, 3, 2)]
    taps = int(rng.choice([0, 0, 1, 2, 3]))
    groups = int(rng.integers(1, 4))
    schedule = Schedule("os", rows, cols, groups, 1, True, slots[0], 1, slots[1])
    return replace(schedule, kernel_rows=taps if taps < pool.kernel[0] else 0)


@pytest.mark.parametrize(
    "seed", [*range(4), *(pytest.param(s, marks=pytest.mark.long) for s in range(4, 40))]
)
def test_any_pool_in_any_tiling_is_exact(seed: int) -> None:
    rng = np.random.default_rng(seed)
    served = 0
    while served < 40:
        pool, cfg = random_pool(rng), core(*CORES[rng.integers(len(CORES))])
        if pool is None:
            continue
        schedule = random_tiling(pool, rng)
        found = measure(pool, cfg, schedule)
        if isinstance(found, Infeasible):
            continue
        served += 1
        params = random_params(pool, rng)
        got, want = run_unit(pool, cfg, schedule, params, rng)
        np.testing.assert_array_equal(got, want, err_msg=f"{pool} {schedule}")
        assert found.cycles >= lower_bound(pool, cfg).cycles
        program = build(pool, params, cfg, schedule)
        place = canonical_placement(pool, cfg, program.constants.size)
        memory = np.zeros(place.constants + program.constants.size, np.uint8)
        memory[place.constants :] = program.constants
        assert check(program.instructions(place), cfg, memory=memory, base_address=0) == []


@pytest.mark.parametrize("shape", [(16, 16), (8, 32), (32, 8)], ids=str)
def test_both_sides_choose_one_form_of_maxima(shape: tuple[int, int]) -> None:
    """`max_form` prices what the emission emits: each form has a GEMM count of its own."""
    cfg = core(*shape)
    blocking = Blocking.of(cfg)
    for kernel, stride in product((2, 3, 4), (1, 2, 3)):
        pool = PoolWorkload("max", blocking.group, 11, 11, (kernel,) * 2, (stride,) * 2)
        found = measure(
            pool, cfg, Schedule("os", pool.out_height, pool.out_width, 1, 1, True, 1, 1, 1)
        )
        assert not isinstance(found, Infeasible)
        gemm, _ = max_work(pool)[max_form(pool, blocking)]
        assert found.counters["gemm_uops"] == gemm * blocking.in_subs * blocking.out_subs, pool


GLOBAL = (
    PoolWorkload("avg", 64, 56, 56, (56, 56)),
    PoolWorkload("avg", 8, 112, 112, (112, 112)),
    PoolWorkload("max", 16, 112, 112, (112, 112)),
)


@pytest.mark.parametrize("shape", [(16, 16), (8, 32), (64, 64)], ids=str)
@pytest.mark.parametrize("pool", GLOBAL, ids=str)
def test_windows_larger_than_the_scratchpads(pool: PoolWorkload, shape: tuple[int, int]) -> None:
    cfg, rng = core(*shape), np.random.default_rng(2)
    best = best_schedule(pool, cfg)
    assert not isinstance(best, Infeasible)
    got, want = run_unit(pool, cfg, best.schedule, random_params(pool, rng), rng)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("pool", "most"),
    [
        (PoolWorkload("max", 64, 112, 112, (3, 3), (2, 2), (1, 1, 1, 1)), 1.06),
        (PoolWorkload("max", 64, 56, 56, (2, 2), (2, 2)), 1.13),
        (PoolWorkload("max", 192, 28, 28, (3, 3), (1, 1), (1, 1, 1, 1)), 1.12),
        (PoolWorkload("avg", 2048, 7, 7, (7, 7)), 1.12),
        (PoolWorkload("avg", 64, 56, 56, (56, 56)), 1.08),
        (PoolWorkload("avg", 16, 32, 32, (3, 3), (1, 1), (1, 1, 1, 1)), 1.15),
    ],
    ids=str,
)
def test_usual_pools_are_near_their_bound(pool: PoolWorkload, most: float) -> None:
    best = best_schedule(pool, PYNQ)
    assert not isinstance(best, Infeasible)
    assert best.cycles <= most * lower_bound(pool, PYNQ).cycles


def test_the_form_of_a_max_pool_is_its_cheapest() -> None:
    square, flat = Blocking(16, 16), Blocking(8, 32)
    three = PoolWorkload("max", 16, 57, 57, (3, 3), (2, 2))
    assert max_form(three, square) == "rows"
    assert max_form(three, flat) == "copied"
    assert max_form(three, square, kernel_rows=1) == "copied"
    assert max_form(PoolWorkload("max", 16, 56, 56, (2, 2), (2, 2)), square) == "taps"
    assert max_form(PoolWorkload("max", 16, 56, 56, (3, 3), (1, 1)), square) == "copied"
    outputs = 28 * 28
    assert max_work(three)["rows"] == (57 * 28 * 5, 57 * 28 * 3 + 4 * outputs)
    assert max_work(PoolWorkload("max", 16, 56, 56, (2, 2), (2, 2)))["taps"] == (
        7 * outputs,
        4 * outputs,
    )


def test_a_window_in_the_padding_alone_is_the_lowest_value() -> None:
    pool = PoolWorkload("max", 4, 3, 3, (2, 2), (2, 2), (2, 0, 0, 0))
    schedule = Schedule("os", 2, 1, 1, 1, co_major=True, inp_slots=1, wgt_slots=1, acc_slots=1)
    got, want = run_unit(pool, PYNQ, schedule, None, np.random.default_rng(0))
    np.testing.assert_array_equal(got, want)
    assert (reference(pool, None, (np.zeros((1, 4, 3, 3), np.int8),))[0, :, 0] == -128).all()
