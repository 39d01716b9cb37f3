"""Convolutions with a fused residual: two scales meet in one accumulator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from codesign.compiler.fit.common import (
    Borders,
    Fit,
    accumulator_problem,
    clip_bounds,
    fewest_bias_tiles,
    largest_shift,
    vanishing_operand,
    zero_point,
)
from codesign.compiler.fit.convolution import MAX_BIAS_TILES, conv_workload, rounded
from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.kernels import ConvParams, bias_capacity
from relay_passes.spec import UnitSpec


def fit_residual(spec: UnitSpec, cfg: VtaConfig, borders: Borders) -> Fit | Infeasible:
    """Weights take all the bits they can; ``pre_shift`` brings their sums to the residual's."""
    assert spec.weight is not None
    if cfg.has_mul:
        return Infeasible("fusion", "the form with multipliers has no residual")
    source, residual = spec.inputs
    out = spec.output
    ratio, kept = spec.weight * (source.scale / out.scale), residual.scale / out.scale
    weight_shift = largest_shift(float(np.abs(ratio).max(initial=0.0)), 127)
    shift = min(weight_shift, largest_shift(kept, 127))
    if shift == 0:
        return Infeasible("scale_ratio", "weight or residual x scale exceeds 63")
    bias = np.zeros(len(ratio)) if spec.bias is None else spec.bias
    zero_in, zero_out = zero_point(source), zero_point(out)
    weight = rounded(ratio, weight_shift)
    sums = weight.astype(np.int64).sum(axis=(1, 2, 3))
    tiles = peak = 0
    for candidate in range(shift, 0, -1):
        pre_shift = weight_shift - candidate
        multiplier = int(np.rint(np.ldexp(kept, candidate)))
        # Shifting right rounds down, by half a step on average.
        lost = 0.5 - 0.5 ** (pre_shift + 1)
        total = np.rint(
            np.ldexp(bias / out.scale, candidate) - np.ldexp(zero_in * sums, -pre_shift) + lost
        ).astype(np.int64)
        total += (zero_out << candidate) - multiplier * zero_point(residual)
        peak = int(np.abs(total).max(initial=0)) + (1 << candidate >> 1)
        tiles = fewest_bias_tiles(peak, cfg, MAX_BIAS_TILES)
        if tiles:
            break
    else:
        return Infeasible("bias_range", f"bias {peak} exceeds {bias_capacity(cfg, MAX_BIAS_TILES)}")
    problem = vanishing_operand([kept], [multiplier], candidate) or accumulator_problem(
        weight, peak + 128 * multiplier, pre_shift
    )
    if problem is not None:
        return problem
    low, high = clip_bounds(spec)
    params = ConvParams(
        weight,
        total.astype(np.int32),
        candidate,
        low,
        high,
        zero_in,
        pre_shift=pre_shift,
        residual_multiplier=multiplier,
    )
    workload = conv_workload(spec, borders, tiles)
    return replace(workload, residual_border=borders.inputs[1]), params
