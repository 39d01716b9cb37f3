"""Planned nests visit exactly the points of their loops, and keep the reuse distance."""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.kernels.nest import (
    Dim,
    Nest,
    partial_sum_nests,
    partial_sums,
    plan,
    plan_partial,
    reuse_distance_ok,
)

Point = tuple[int, int, int]

REDUCTIONS = st.lists(
    st.builds(Dim, st.integers(1, 4), st.just(0), st.integers(1, 90), st.integers(1, 9)), max_size=3
)


def visited(nest: Nest) -> list[Point]:
    """(dst, src, wgt) in execution order (VTA_SPEC.md 6.3)."""
    return [
        (
            d + o * nest.outer.dst + i * nest.inner.dst,
            s + o * nest.outer.src + i * nest.inner.src,
            w + o * nest.outer.wgt + i * nest.inner.wgt,
        )
        for o in range(nest.outer.extent)
        for i in range(nest.inner.extent)
        for d, s, w in nest.uops
    ]


def wanted(dims: tuple[Dim, ...]) -> list[Point]:
    points = product(*(range(d.extent) for d in dims))
    steps = [(d.dst, d.src, d.wgt) for d in dims]
    return [
        tuple(int(sum(n * s[k] for n, s in zip(p, steps, strict=True))) for k in range(3))
        for p in points
    ]  # pyright: ignore[reportReturnType]


@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), REDUCTIONS)
@settings(max_examples=150, deadline=None)
def test_nest_covers_its_loops(extents: list[int], reductions: list[Dim]) -> None:
    steps = [prod(extents[i + 1 :]) for i in range(len(extents))]
    outputs = [Dim(n, s, 3 * s + i) for i, (n, s) in enumerate(zip(extents, steps, strict=True))]
    dims = (*outputs, *reductions)
    nest = plan(dims, 4096)
    if prod(extents) < 3 and any(d.extent > 1 for d in reductions):
        return  # such tiles take partial sums, below
    assert nest is not None
    assert sorted(visited(nest)) == sorted(wanted(dims))
    assert reuse_distance_ok(np.array([p[0] for p in visited(nest)]))


@given(st.integers(1, 2), REDUCTIONS.filter(bool))
def test_partial_sums_cover_and_keep_distance(outputs: int, reductions: list[Dim]) -> None:
    dims = (Dim(outputs, 1, 7), *reductions)
    nest = plan_partial(dims, outputs, 50, 4096)
    assert nest is not None
    points = visited(nest)
    assert sorted(p[1:] for p in points) == sorted(p[1:] for p in wanted(dims))
    assert reuse_distance_ok(np.array([p[0] for p in points]))
    scratch = {p[0] for p in points if p[0] >= 50}
    added = {s for n in partial_sum_nests(dims, outputs, 50) for _, s, _ in n.uops}
    assert scratch <= added
    assert len(added) == (partial_sums(outputs) - 1) * outputs


def test_too_many_micro_ops_have_no_plan() -> None:
    assert plan((Dim(3, 1, 1), Dim(2, 4, 9), Dim(5, 30, 50), Dim(7, 0, 1, 1)), 5) is None


def test_single_output_reduction_needs_partial_sums() -> None:
    assert plan((Dim(9, 0, 1, 1),), 4096) is None
    assert partial_sums(1) == 3
    assert partial_sums(2) == 2
    assert partial_sums(3) == 1
