# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# numpy's reshape and quotients of its scalars are partially unknown to pyright.
"""Residual additions, rectifications and rescaling: one multiplier an operand, one shift."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from codesign.compiler.fit.common import (
    Borders,
    Fit,
    clip_bounds,
    largest_shift,
    vanishing_operand,
    zero_point,
)
from codesign.compiler.fit.digits import Digits, Sum, fit_sums, requantized
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
    """Multipliers of as many digits as it takes where the machine multiplies; else of one."""
    if cfg.has_mul:
        sources = tuple((t.scale, zero_point(t)) for t in spec.inputs)
        target = spec.output.scale, zero_point(spec.output)
        fitted = _digits(sources, *target, *clip_bounds(spec), cfg)
        if fitted is None:
            return Infeasible("scale_ratio", "input scale / output scale is too large")
        workload = replace(_workload(spec, borders), digits=fitted.digits)
        (multipliers,), (bias,) = fitted.multipliers, fitted.biases
        return workload, ElementwiseParams(multipliers, bias, fitted.shift, *clip_bounds(spec))
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
    params = ElementwiseParams(multipliers, bias, candidate, *clip_bounds(spec))
    return _workload(spec, borders), params


def _workload(spec: UnitSpec, borders: Borders) -> ElementwiseWorkload:
    count = len(spec.inputs)
    return ElementwiseWorkload(count, *spec.inputs[0].image, borders.inputs[:2], borders.output)


@lru_cache(maxsize=1 << 8)
def _digits(
    sources: tuple[tuple[float, int], ...],
    scale: float,
    zero: int,
    low: int,
    high: int,
    cfg: VtaConfig,
) -> Digits | None:
    """Multipliers for all values of operands of (scale, zero point)."""
    axis = np.arange(-128, 128)
    values = np.stack([x.reshape(-1) for x in np.meshgrid(*[axis] * len(sources), indexing="ij")])
    if len(sources) == 1:
        outputs = requantized(values[0] - sources[0][1], sources[0][0], scale, zero)
    else:
        outputs = _added(values, sources, scale, zero)
    ratios = tuple(source / scale for source, _ in sources)
    return fit_sums([Sum(values, outputs, ratios)], (low, high), cfg)


def _added(
    values: NDArray[np.int64], sources: tuple[tuple[float, int], ...], scale: float, zero: int
) -> NDArray[np.int64]:
    """onnxruntime's QLinearAdd: two fused multiply-adds in float32."""
    (first, zero_0), (second, zero_1) = sources
    ratio_0, ratio_1 = np.float32(first) / np.float32(scale), np.float32(second) / np.float32(scale)
    fixed = np.float32(zero) - (ratio_0 * np.float32(zero_0) + ratio_1 * np.float32(zero_1))
    partial = (values[1] * np.float64(ratio_1) + np.float64(fixed)).astype(np.float32)
    total = (values[0] * np.float64(ratio_0) + partial.astype(np.float64)).astype(np.float32)
    return np.rint(total).astype(np.int64)
