"""Concatenations, slices, shuffles, padding and upsampling: channels carried over and rescaled."""

from __future__ import annotations

import numpy as np

from codesign.compiler.fit.common import Borders, Fit, clip_bounds, largest_shift, zero_point
from codesign.compiler.fit.convolution import (
    as_block_convolution,
    as_padded_convolution,
    fit_convolution,
)
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
    _, height, width = spec.inputs[0].image
    workload = GatherWorkload(
        channels=tuple(t.image[0] for t in spec.inputs),
        picks=form.picks,
        height=height,
        width=width,
        repeat=form.repeat,
        padding=form.padding,
        in_borders=borders.inputs[: len(spec.inputs)],
        out_border=borders.output,
    )
    bias = np.array([offsets[source] for source, _ in form.picks], np.int32)
    low, high = clip_bounds(spec)
    return workload, GatherParams(multipliers, bias, candidate, low, high)
