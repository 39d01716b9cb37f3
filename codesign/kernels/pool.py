"""Pooling: which outputs share their valid taps, and what an average's multiplier takes.

Padding enters neither maximum nor sum: each region of outputs with the same valid taps gets its
own instructions, and in an average its own multiplier.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Literal

from codesign.hw.config import VtaConfig
from codesign.kernels.blocking import Blocking
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


def window_comes_whole(workload: PoolWorkload, cfg: VtaConfig) -> bool:
    """Whether schedules bring in all rows of a window at once: four windows fit INP and ACC."""
    w, blocking = workload, Blocking.of(cfg)
    pixels = min(w.kernel[0], w.height) * min(w.kernel[1], w.width)
    acc = w.kernel[0] * w.kernel[1] * blocking.out_subs if w.kind == "max" else 0
    return 4 * pixels * blocking.in_subs < cfg.inp_depth and 4 * acc < cfg.acc_depth


def identity_copies(workload: PoolWorkload, count: int) -> int:
    """Scaled identities that share the multiplier of windows with ``count`` valid taps.

    A multiplier is at most 127 times this: full windows have one, border windows more. Multipliers
    of several digits have room enough.
    """
    if workload.digits > 1:
        return 1
    return ceil(workload.kernel[0] * workload.kernel[1] / max(1, count))


MaxForm = Literal["copied", "rows", "taps"]
"""How a max pooling takes its maxima (csrc/max_pool.cc).

copied: every input enters an accumulator, register MAX along both axes; rows: each input row and
output column takes its taps from INP, register MAX along y; taps: an output takes all taps from
INP. A tap from INP is ``max(a - x, 0) + x``: two GEMMs and an immediate MAX.
"""


def maxima(count: int, stride: int) -> int:
    """Register maxima of ``count`` neighbours, as many as every ``stride``-th of them needs."""
    own = ceil(count / stride)
    return (own - 1).bit_length() + count - own


def max_form(workload: PoolWorkload, blocking: Blocking, kernel_rows: int = 0) -> MaxForm:
    """The form with the fewest COMPUTE cycles an output; parts of windows are always copied."""
    (ky, kx), (sy, sx) = workload.kernel, workload.stride
    if sx == 1 or 0 < kernel_rows < ky:
        return "copied"
    copy, tap = 1 + blocking.in_subs, 1 + 2 * blocking.in_subs
    after = 2 * maxima(ky, sy)
    copied = sy * (sx * copy + 2 * maxima(kx, sx)) + 3
    rows, taps = sy * (copy + (kx - 1) * tap), copy + (ky * kx - 1) * tap
    if taps <= min(copied, rows) + after:
        return "taps"
    return "rows" if rows <= copied else "copied"


def max_work(workload: PoolWorkload) -> dict[MaxForm, tuple[int, int]]:
    """(GEMM micro-ops an input sub-block, ALU and reset cycles) of an output block in each form.

    No less is possible: padding and halos of tiles are left out. Copied maxima that are not
    neighbours are added to cleared accumulators.
    """
    w = workload
    vertical, horizontal = axes(w)
    rows = vertical.positions_read(w.out_height)
    pixels = rows * horizontal.positions_read(w.out_width)
    valid_x = sum((r.stop - r.start) * (r.hi - r.lo) for r in runs(horizontal, 0, w.out_width))
    valid_y = sum((r.stop - r.start) * (r.hi - r.lo) for r in runs(vertical, 0, w.out_height))
    outputs = w.out_height * w.out_width
    along_y = 2 * maxima(w.kernel[0], w.stride[0]) * outputs
    gathered = 3 * outputs if w.stride[1] > 1 else 0
    along_x = 2 * maxima(w.kernel[1], w.stride[1]) * rows * w.out_width
    return {
        "copied": (pixels, pixels + along_x + along_y + gathered),
        "rows": (rows * (2 * valid_x - w.out_width), rows * valid_x + along_y),
        "taps": (2 * valid_y * valid_x - outputs, valid_y * valid_x),
    }
