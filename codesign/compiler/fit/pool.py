"""Pooling: a maximum as it is; an average as one multiplier for each number of valid taps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from codesign.compiler.fit.common import (
    MAX_SHIFT,
    Borders,
    Fit,
    clip_bounds,
    largest_shift,
    zero_point,
)
from codesign.compiler.fit.digits import Sum, fit_sums
from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.kernels import (
    PoolParams,
    PoolWorkload,
    bias_capacity,
    default_bias_tiles,
    identity_copies,
    shift_steps,
    valid_counts,
    window_comes_whole,
)
from relay_passes.spec import UnitSpec

_SHORT_FRACTION = 4


def fit_pool(spec: UnitSpec, cfg: VtaConfig, borders: Borders) -> Fit | Infeasible:
    source, out = spec.inputs[0], spec.output
    workload = PoolWorkload(
        "max" if spec.kind == "max_pool2d" else "avg",
        *source.image,
        kernel=spec.kernel,
        stride=spec.stride,
        padding=spec.padding,
        in_border=borders.inputs[0],
        out_border=borders.output,
    )
    if workload.kind == "max":
        if (source.scale, source.zero_point, source.dtype) != (
            out.scale,
            out.zero_point,
            out.dtype,
        ):
            return Infeasible("scale_ratio", "max pooling changes scale or zero point")
        return workload, None
    return _fit_average(spec, cfg, workload)


def _fit_average(spec: UnitSpec, cfg: VtaConfig, workload: PoolWorkload) -> Fit | Infeasible:
    source, out = spec.inputs[0], spec.output
    taps = workload.kernel[0] * workload.kernel[1]
    counts = valid_counts(workload)
    if 0 in counts:
        return Infeasible("empty_window", "a pooling window lies wholly in the padding")
    ratios = {c: source.scale / out.scale / (taps if spec.count_include_pad else c) for c in counts}
    steps = shift_steps(workload)
    most = MAX_SHIFT * steps
    shift = min(
        largest_shift(r, 127 * identity_copies(workload, c), most) for c, r in ratios.items()
    )
    zero_in, zero_out = zero_point(source), zero_point(out)
    if cfg.has_mul and window_comes_whole(workload, cfg):
        return _fit_digits(workload, ratios, (zero_in, zero_out), clip_bounds(spec), cfg)
    capacity = bias_capacity(cfg, default_bias_tiles(cfg))
    for candidate in range(shift, steps - 1, -1):
        multipliers = [int(np.rint(np.ldexp(r, candidate))) for r in ratios.values()]
        tied = [_tied(m, candidate) for m in multipliers]
        limits = [127 * identity_copies(workload, c) for c in ratios]
        multipliers, candidate = _untie(multipliers, tied, limits, candidate)
        numbers = {
            c: (m, (zero_out << candidate) - m * zero_in * c)
            for c, m in zip(ratios, multipliers, strict=True)
        }
        peak = max(abs(b) for _, b in numbers.values()) + (1 << candidate >> 1)
        if peak <= capacity:
            low, high = clip_bounds(spec)
            return workload, PoolParams(numbers, candidate, low, high)
    return Infeasible("pool_range", f"no shift {steps}..{most} carries this average pooling")


def _fit_digits(
    workload: PoolWorkload,
    ratios: dict[int, float],
    zeros: tuple[int, int],
    bounds: tuple[int, int],
    cfg: VtaConfig,
) -> Fit | Infeasible:
    """Multipliers of as many digits as it takes for every sum under a window."""
    sums: list[Sum] = []
    for count, ratio in ratios.items():
        total = np.arange(-128 * count, 127 * count + 1)
        outputs = np.rint((total - count * zeros[0]) * ratio).astype(np.int64) + zeros[1]
        sums.append(Sum(total[None], outputs, (ratio,)))
    fitted = fit_sums(sums, bounds, cfg)
    if fitted is None or min(m for (m,) in fitted.multipliers) < 0:
        return Infeasible("pool_range", "no multiplier carries this average pooling")
    pairs = zip(fitted.multipliers, fitted.biases, strict=True)
    by_count = {c: (m, bias) for c, ((m,), bias) in zip(ratios, pairs, strict=True)}
    workload = replace(workload, digits=fitted.digits)
    return workload, PoolParams(by_count, fitted.shift, *bounds)


def _tied(multiplier: int, shift: int) -> bool:
    """Whether ``multiplier / 2**shift`` is a fraction so short that sums often end in a half.

    Halves are rounded up: an average of four would come out an eighth of a step too high.
    """
    zeros = (multiplier & -multiplier).bit_length() - 1
    return multiplier > 0 and 1 <= shift - zeros <= _SHORT_FRACTION


def _untie(
    multipliers: list[int], tied: list[bool], limits: list[int], shift: int
) -> tuple[list[int], int]:
    """Tied multipliers reduced by the least step, with one more bit of shift if limits allow."""
    if not any(tied):
        return multipliers, shift
    doubled = [2 * m - t for m, t in zip(multipliers, tied, strict=True)]
    if shift < MAX_SHIFT and all(m <= most for m, most in zip(doubled, limits, strict=True)):
        return doubled, shift + 1
    return [m - t for m, t in zip(multipliers, tied, strict=True)], shift
