"""Pooling: which outputs share their valid taps, and what an average's multiplier takes.

Padding enters neither maximum nor sum: each region of outputs with the same valid taps gets its
own instructions, and in an average its own multiplier.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from codesign.kernels.window import Axis, axes
from codesign.kernels.workload import PoolWorkload


@dataclass(frozen=True)
class Run:
    """Outputs ``[start, stop)`` along one axis whose windows have the valid taps ``[lo, hi)``."""

    start: int
    stop: int
    lo: int
    hi: int


def runs(axis: Axis, start: int, count: int) -> list[Run]:
    """Split outputs ``start .. start + count`` by their valid taps."""
    found: list[Run] = []
    for out in range(start, start + count):
        first = out * axis.stride - axis.before
        lo, hi = max(0, -first), min(axis.kernel, axis.extent - first)
        if found and (found[-1].lo, found[-1].hi) == (lo, hi):
            found[-1] = Run(found[-1].start, out + 1, lo, hi)
        else:
            found.append(Run(out, out + 1, lo, hi))
    return found


def valid_counts(workload: PoolWorkload) -> tuple[int, ...]:
    """The distinct numbers of valid taps under a window, ascending."""
    vertical, horizontal = axes(workload)
    ys = {r.hi - r.lo for r in runs(vertical, 0, workload.out_height)}
    xs = {r.hi - r.lo for r in runs(horizontal, 0, workload.out_width)}
    return tuple(sorted({y * x for y in ys for x in xs}))


def identity_copies(workload: PoolWorkload, count: int) -> int:
    """Scaled identities that share the multiplier of windows with ``count`` valid taps.

    A multiplier is at most 127 times this: full windows have one, border windows more.
    """
    return ceil(workload.kernel[0] * workload.kernel[1] / max(1, count))


def shift_steps(workload: PoolWorkload) -> int:
    """SHR instructions of an average pooling: large windows need shifts beyond 15."""
    return 1 if workload.kernel[0] * workload.kernel[1] <= 256 else 2
