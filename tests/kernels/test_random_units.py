"""Random units without weights on random points of the configuration spaces."""

from __future__ import annotations

import numpy as np
import pytest

from codesign.errors import Infeasible
from codesign.hw.space import load_space
from codesign.isa import check
from codesign.kernels import (
    ElementwiseWorkload,
    GatherWorkload,
    Workload,
    best_schedule,
    build,
    lower_bound,
)
from tests.kernels.support import canonical_placement, random_params, run_unit
from tests.kernels.test_pools import random_pool


def random_gather(rng: np.random.Generator) -> GatherWorkload | None:
    """A concatenation, slice, shuffle or any choice of channels; repeated, padded, cropped."""
    channels = tuple(int(c) for c in rng.integers(1, 130, rng.integers(1, 4)))
    every = [(s, c) for s, count in enumerate(channels) for c in range(count)]
    parts = int(rng.integers(2, 5))
    even = len(every) // parts * parts
    start = int(rng.integers(0, len(every)))
    picks = (
        every,
        every[start : start + 100],
        [every[i] for i in np.arange(even).reshape(parts, -1).T.ravel()] or every,
        [every[i] for i in rng.integers(0, len(every), int(rng.integers(1, 60)))],
    )[rng.integers(4)]
    height, width, up, across = (
        int(n) for n in (*rng.integers(1, 30, 2), *rng.choice([1, 1, 2, 3], 2))
    )
    top, left, bottom, right = (int(n) for n in rng.integers(-2, 4, 4) * rng.integers(2))
    kept = (
        height * up + min(0, top) + min(0, bottom),
        width * across + min(0, left) + min(0, right),
    )
    borders = tuple(int(n) for n in rng.integers(0, 2, len(channels)))
    padding = (top, left, bottom, right)
    gather = GatherWorkload(
        channels, tuple(picks), height, width, (up, across), padding, borders, int(rng.integers(2))
    )
    return gather if min(kept) >= 1 else None


def random_elementwise(rng: np.random.Generator) -> ElementwiseWorkload:
    operands, channels, height, width = (int(n) for n in rng.integers(1, (3, 200, 40, 40)))
    borders = (int(rng.integers(2)), int(rng.integers(2)))
    return ElementwiseWorkload(operands, channels, height, width, borders, int(rng.integers(2)))


def random_unit(rng: np.random.Generator) -> Workload:
    make = (random_gather, random_pool, random_elementwise)[rng.integers(3)]
    while (unit := make(rng)) is None:
        pass
    return unit


@pytest.mark.parametrize(
    "count", [15, pytest.param(600, marks=pytest.mark.long)], ids=["few", "many"]
)
@pytest.mark.parametrize("space", ["neuhardco", "portable", "edge"])
def test_best_schedules_are_exact_everywhere(space: str, count: int) -> None:
    rng = np.random.default_rng(count)
    refused = 0
    for cfg in load_space(space).sample(min(count, 150), rng) * -(-count // 150):
        unit = random_unit(rng)
        best = best_schedule(unit, cfg)
        if isinstance(best, Infeasible):
            refused += 1
            continue
        params = random_params(unit, rng)
        got, want = run_unit(unit, cfg, best.schedule, params, rng)
        np.testing.assert_array_equal(got, want, err_msg=f"{unit} {cfg}")
        assert best.cycles >= lower_bound(unit, cfg).cycles
        program = build(unit, params, cfg, best.schedule)
        place = canonical_placement(unit, cfg, program.constants.size)
        memory = np.zeros(place.constants + program.constants.size, np.uint8)
        memory[place.constants :] = program.constants
        assert check(program.instructions(place), cfg, memory=memory, base_address=0) == []
    assert refused <= 0.1 * count
