"""Concatenations, slices, shuffles, padding and upsampling: channels carried over and rescaled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from codesign.compiler.fit.common import Borders, Fit, clip_bounds, largest_shift, zero_point
from codesign.compiler.fit.convolution import (
    as_block_convolution,
    as_padded_convolution,
    fit_convolution,
)
from codesign.compiler.fit.digits import Sum, fit_sums, requantized
from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.kernels import (
    GatherParams,
    GatherWorkload,
    bias_capacity,
    default_bias_tiles,
)
from relay_passes.moves import gather_form
from relay_passes.spec import UnitSpec


def fit_gather(spec: UnitSpec, cfg: VtaConfig, borders: Borders) -> Fit | Infeasible:
    """One multiplier a source, one shift; equal scales are carried over exactly.

    A gather writes its bias alone where it pads, so that an input with a zero point is padded by a
    depthwise convolution instead.
    """
    out = spec.output
    form = gather_form(spec, out.batch or out.shape[0], out.channel_last)
    if form is None:
        blocks = as_block_convolution(spec)
        if blocks is None:
            return Infeasible("layout", "the elements move within channels")
        return fit_convolution(blocks, cfg, borders)
    zeros, zero_out = [zero_point(t) for t in spec.inputs], zero_point(out)
    if max(form.padding) > 0 and any(zeros):
        padded = as_padded_convolution(spec)
        if padded is None:
            return Infeasible("zero_point", f"padding adds 0, the input's zero point is {zeros[0]}")
        return fit_convolution(padded, cfg, borders)
    ratios = [t.scale / out.scale for t in spec.inputs]
    shift = largest_shift(max(ratios), 127)
    if all(ratio == 1 for ratio in ratios):
        shift = 1
    if shift == 0:
        return Infeasible(
            "scale_ratio", f"input scale / output scale {max(ratios):.3g}; a shift allows 63"
        )
    workload = GatherWorkload(
        channels=tuple(t.image[0] for t in spec.inputs),
        picks=form.picks,
        height=spec.inputs[0].image[1],
        width=spec.inputs[0].image[2],
        repeat=form.repeat,
        padding=form.padding,
        in_borders=borders.inputs[: len(spec.inputs)],
        out_border=borders.output,
    )
    if cfg.has_mul and any(ratio != 1 for ratio in ratios):
        return _fit_digits(spec, workload, cfg)
    capacity = bias_capacity(cfg, default_bias_tiles(cfg))
    peak = 0
    for candidate in range(shift, 0, -1):
        multipliers = tuple(int(np.rint(np.ldexp(r, candidate))) for r in ratios)
        offsets = [(zero_out << candidate) - m * z for m, z in zip(multipliers, zeros, strict=True)]
        peak = max(abs(offset) for offset in offsets) + (1 << candidate >> 1)
        if peak <= capacity:
            break
    else:
        return Infeasible("bias_range", f"bias {peak} exceeds {capacity}")
    if min(multipliers) < 1:
        return Infeasible(
            "scale_ratio", f"input scale / output scale {min(ratios):.3g} is too small"
        )
    bias = np.array([offsets[source] for source, _ in form.picks], np.int32)
    return workload, GatherParams(multipliers, bias, candidate, *clip_bounds(spec))


def _fit_digits(spec: UnitSpec, workload: GatherWorkload, cfg: VtaConfig) -> Fit | Infeasible:
    """Multipliers of as many digits as it takes for all values of every source."""
    out, bounds, values = spec.output, clip_bounds(spec), np.arange(-128, 128)
    sums = [
        Sum(
            values[None],
            requantized(values - zero_point(t), t.scale, out.scale, zero_point(out)),
            (t.scale / out.scale,),
        )
        for t in spec.inputs
    ]
    fitted = fit_sums(sums, bounds, cfg)
    if fitted is None:
        return Infeasible("scale_ratio", "input scale / output scale is too large")
    bias = np.array([fitted.biases[source] for source, _ in workload.picks], np.int32)
    multipliers = tuple(m for (m,) in fitted.multipliers)
    params = GatherParams(multipliers, bias, fitted.shift, *bounds)
    return replace(workload, digits=fitted.digits), params
