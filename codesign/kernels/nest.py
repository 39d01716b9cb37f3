# numpy's reshape, view and copy are partially unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Loop nests: which two loops become an instruction's iterations, the rest its micro-ops.

A GEMM or ALU instruction runs ``iter_out x iter_in`` times over a list of micro-ops with affine
indices (VTA_SPEC.md 6.3). `plan` takes the loops of a tile and picks the pair that leaves the
fewest micro-ops while no accumulator index repeats within two preceding micro-ops (spec 7.3).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import permutations, product
from math import prod

import numpy as np
from numpy.typing import NDArray

MAX_ITERATIONS = (1 << 14) - 1
REUSE_DISTANCE = 3
MAX_SPLIT = 64


@dataclass(frozen=True)
class Dim:
    """One loop: extent and index steps in elements; ``dst == 0`` is a reduction."""

    extent: int
    dst: int
    src: int = 0
    wgt: int = 0

    def covers(self, inner: Dim) -> bool:
        """Whether this loop continues where ``inner`` ends, so that both are one."""
        n = inner.extent
        return (self.dst, self.src, self.wgt) == (inner.dst * n, inner.src * n, inner.wgt * n)


_UNIT = Dim(1, 0)


@dataclass(frozen=True)
class Nest:
    """Iterations of one instruction and its relative micro-ops (dst, src, wgt)."""

    outer: Dim
    inner: Dim
    uops: tuple[tuple[int, int, int], ...]

    @property
    def count(self) -> int:
        """Micro-ops executed."""
        return self.outer.extent * self.inner.extent * len(self.uops)


def _merge(dims: list[Dim]) -> list[Dim]:
    dims = [d for d in dims if d.extent > 1]
    for a, b in permutations(range(len(dims)), 2):
        if dims[a].covers(dims[b]):
            merged = replace(dims[b], extent=dims[a].extent * dims[b].extent)
            return _merge([d for i, d in enumerate(dims) if i not in (a, b)] + [merged])
    return dims


def _splits(dims: list[Dim]) -> Iterator[list[Dim]]:
    """The nest itself, then with one output loop cut in two at each small divisor."""
    yield dims
    for k, dim in enumerate(dims):
        if dim.dst == 0:
            continue
        for part in range(2, min(dim.extent, MAX_SPLIT + 1)):
            if dim.extent % part == 0:
                outer = Dim(dim.extent // part, dim.dst * part, dim.src * part, dim.wgt * part)
                yield [*dims[:k], outer, replace(dim, extent=part), *dims[k + 1 :]]


def _unroll(dims: list[Dim]) -> tuple[tuple[int, int, int], ...]:
    """Micro-ops of the loops that stay: reductions outermost, so that accumulators alternate."""
    order = sorted(dims, key=lambda d: d.dst != 0)
    steps = [[(i * d.dst, i * d.src, i * d.wgt) for i in range(d.extent)] for d in order]
    return tuple(
        (sum(p[0] for p in point), sum(p[1] for p in point), sum(p[2] for p in point))
        for point in product(*steps)
    )


def reuse_distance_ok(dst: NDArray[np.int64]) -> bool:
    """No value equals one of the two before it."""
    return not any((dst[k:] == dst[:-k]).any() for k in range(1, REUSE_DISTANCE) if len(dst) > k)


def _legal(outer: Dim, inner: Dim, rest: list[Dim]) -> bool:
    """Whether the order of execution keeps the reuse distance, micro-ops as `_unroll` has them."""
    uops = np.zeros(1, np.int64)
    for dim in (d for d in rest if d.dst != 0):
        uops = np.add.outer(uops, np.arange(dim.extent) * dim.dst).reshape(-1)
    repeats = prod(d.extent for d in rest if d.dst == 0)
    uops = np.tile(uops, min(repeats, 2))
    rounds = np.arange(min(outer.extent, 3)) * outer.dst
    steps = np.arange(inner.extent) * inner.dst
    return reuse_distance_ok((rounds[:, None, None] + steps[:, None] + uops).reshape(-1))


@lru_cache(maxsize=65536)
def plan(dims: tuple[Dim, ...], max_uops: int) -> Nest | None:
    """The legal nest with the fewest micro-ops, or None if none has at most ``max_uops``."""
    options: list[tuple[int, int, int, list[Dim]]] = []
    for variant in _splits(_merge(list(dims))):
        loops = [*variant, _UNIT, _UNIT]
        total = prod(d.extent for d in loops)
        for a, b in permutations(range(len(loops)), 2):
            count = total // (loops[a].extent * loops[b].extent)
            if count <= max_uops and max(loops[a].extent, loops[b].extent) <= MAX_ITERATIONS:
                options.append((count, a, b, loops))
    options.sort(key=lambda option: option[0])
    for _, a, b, loops in options:
        rest = [d for i, d in enumerate(loops) if i not in (a, b)]
        if _legal(loops[a], loops[b], rest):
            return Nest(loops[a], loops[b], _unroll(rest))
    return None


def partial_sums(outputs: int) -> int:
    """Partial accumulators per output that a reduction over ``outputs`` elements needs."""
    return 1 if outputs >= REUSE_DISTANCE else -(-REUSE_DISTANCE // outputs)


def plan_partial(dims: tuple[Dim, ...], outputs: int, scratch: int, max_uops: int) -> Nest | None:
    """A nest over fewer than three outputs: reductions take turns on partial accumulators.

    Partial sum p > 0 of the j-th output is accumulator ``scratch + (p - 1) * outputs + j``.
    """
    partials = partial_sums(outputs)
    if prod(d.extent for d in dims) > max_uops:
        return None
    inner = _unroll([d for d in dims if d.dst != 0])
    uops: list[tuple[int, int, int]] = []
    for r, (_, src, wgt) in enumerate(_unroll([d for d in dims if d.dst == 0])):
        p = r % partials
        for j, (d, s, w) in enumerate(inner):
            dst = scratch + (p - 1) * outputs + j if p else d
            uops.append((dst, s + src, w + wgt))
    return Nest(_UNIT, _UNIT, tuple(uops))


def partial_sum_nests(dims: tuple[Dim, ...], outputs: int, scratch: int) -> list[Nest]:
    """Register-ADD nests that add each partial sum of `plan_partial` to its output."""
    inner = _unroll([d for d in dims if d.dst != 0])
    return [
        Nest(
            _UNIT,
            _UNIT,
            tuple((d, scratch + (p - 1) * outputs + j, 0) for j, (d, _, _) in enumerate(inner)),
        )
        for p in range(1, partial_sums(outputs))
    ]
