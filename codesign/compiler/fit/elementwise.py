"""Residual additions, rectifications and rescaling: one multiplier an operand, one shift."""

from __future__ import annotations

import numpy as np

from codesign.compiler.fit.common import (
    Borders,
    Fit,
    clip_bounds,
    largest_shift,
    vanishing_operand,
    zero_point,
)
from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.kernels import (
    ElementwiseParams,
    ElementwiseWorkload,
    bias_capacity,
    default_bias_tiles,
)
from relay_passes.spec import UnitSpec


def fit_elementwise(spec: UnitSpec, cfg: VtaConfig, borders: Borders) -> Fit | Infeasible:
    ratios = [t.scale / spec.output.scale for t in spec.inputs]
    shift = largest_shift(max(ratios), 127)
    if shift == 0:
        return Infeasible(
            "scale_ratio", f"input scale / output scale {max(ratios):.3g}; a shift allows 63"
        )
    zeros, zero_out = [zero_point(t) for t in spec.inputs], zero_point(spec.output)
    capacity = bias_capacity(cfg, default_bias_tiles(cfg))
    bias = 0
    for candidate in range(shift, 0, -1):
        multipliers = tuple(int(np.rint(np.ldexp(r, candidate))) for r in ratios)
        folded = sum(m * z for m, z in zip(multipliers, zeros, strict=True))
        bias = (zero_out << candidate) - folded
        if abs(bias) + (1 << candidate >> 1) <= capacity:
            break
    else:
        return Infeasible("bias_range", f"bias {bias} exceeds {capacity}")
    vanishing = vanishing_operand(ratios, multipliers, candidate)
    if vanishing is not None:
        return vanishing
    count = len(spec.inputs)
    workload = ElementwiseWorkload(count, *spec.inputs[0].image, borders.inputs[:2], borders.output)
    low, high = clip_bounds(spec)
    return workload, ElementwiseParams(multipliers, bias, candidate, low, high)
