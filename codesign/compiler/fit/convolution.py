# pyright: reportUnknownMemberType=false
# numpy leaves the type of clip partly unknown.
"""Convolutions and dense layers: int8 weights, one shift, zero points folded into the bias."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from codesign.compiler.fit.common import (
    Borders,
    Fit,
    accumulator_problem,
    clip_bounds,
    fewest_bias_tiles,
    has_phases,
    largest_shift,
    phase_sums,
    zero_point,
)
from codesign.compiler.fit.multiplier import fit_multiplied
from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.kernels import ConvParams, ConvWorkload, bias_capacity, default_bias_tiles
from relay_passes.moves import block_move, gather_form
from relay_passes.spec import UnitSpec

_INT8 = 127
MAX_PAD = 15
"""LOAD's pad fields have four bits."""
MAX_BIAS_TILES = 8
"""Most GEMMs that an output spends on its bias. A zero point makes biases of weights, which the
network did not choose, and more tiles save bits of all weights then; a bias of the network's own
(symmetric tensors) pays in bits of weight instead, so that each output keeps the fewest GEMMs."""


def needed_border(spec: UnitSpec, cfg: VtaConfig) -> int:
    """Border that a padded convolution asks of its input: LOAD pads with 0 and at most 15 wide."""
    if spec.kind == "gather" and zero_point(spec.inputs[0]) != 0:
        spec = as_padded_convolution(spec) or spec
    pad = max(pad // step for pad, step in zip(spec.padding, spec.up * 2, strict=True))
    if spec.kind != "conv2d" or pad == 0:
        return 0
    wide = pad * max(1, cfg.block_out // cfg.block_in) > MAX_PAD
    return pad if wide or zero_point(spec.inputs[0]) != 0 else 0


def as_padded_convolution(spec: UnitSpec) -> UnitSpec | None:
    """A gather that does nothing but pad, as a depthwise 1x1 convolution; None if it does more."""
    out = spec.output
    form = gather_form(spec, out.batch or out.shape[0], out.channel_last)
    channels = spec.inputs[0].image[0]
    own = tuple((0, channel) for channel in range(channels))
    if form is None or form.picks != own or form.repeat != (1, 1):
        return None
    if max(form.padding) <= 0 or min(form.padding) < 0:
        return None
    return replace(
        spec,
        kind="conv2d",
        weight=np.ones((channels, 1, 1, 1)),
        padding=form.padding,
        groups=channels,
        moves=(),
        graph_macs=0,
    )


def as_block_convolution(spec: UnitSpec) -> UnitSpec | None:
    """Space to depth, or depth to space, as a convolution with weights of 0 and 1."""
    out = spec.output
    found = block_move(spec, out.batch or out.shape[0], out.channel_last)
    if found is None:
        return None
    high, wide = found.block
    grown = (high - 1, wide - 1, high - 1, wide - 1)
    return replace(
        spec,
        kind="conv2d",
        weight=found.weight,
        kernel=found.block,
        stride=(1, 1) if found.up else found.block,
        padding=grown if found.up else (0, 0, 0, 0),
        up=found.block if found.up else (1, 1),
        moves=(),
        graph_macs=0,
    )


def fit_convolution(spec: UnitSpec, cfg: VtaConfig, borders: Borders) -> Fit | Infeasible:
    """Multipliers where the machine has them and they fit; else one shift."""
    assert spec.weight is not None
    phased = has_phases(spec)
    if cfg.has_mul:
        multiplied = fit_multiplied(spec, cfg, conv_workload(spec, borders, 1))
        if not isinstance(multiplied, Infeasible):
            return multiplied
    source, out = spec.inputs[0], spec.output
    ratio = spec.weight * (source.scale / out.scale)
    shift = largest_shift(float(np.abs(ratio).max(initial=0.0)), 127)
    if shift == 0:
        return Infeasible(
            "weight_range",
            f"weight x scale reaches {np.abs(ratio).max():.3g}; a shift-only fit allows 63",
        )
    zero_in, zero_out = zero_point(source), zero_point(out)
    symmetric = zero_in == 0 and zero_out == 0
    bias = np.zeros(len(ratio)) if spec.bias is None else spec.bias
    most_tiles = default_bias_tiles(cfg) if symmetric else MAX_BIAS_TILES
    peak = 0
    for candidate in range(shift, 0, -1):
        weight = rounded(ratio, candidate)
        sums = phase_sums(weight, spec) if phased else weight.sum(axis=(1, 2, 3), dtype=np.int64)
        total = np.rint(np.ldexp(bias / out.scale, candidate)).astype(np.int64)
        total = total - zero_in * sums + (zero_out << candidate)
        peak = int(np.abs(total).max(initial=0)) + (1 << candidate >> 1)
        fitting = fewest_bias_tiles(peak, cfg, most_tiles)
        if fitting:
            break
    else:
        return Infeasible("bias_range", f"bias {peak} exceeds {bias_capacity(cfg, most_tiles)}")
    problem = accumulator_problem(weight, peak)
    if problem is not None:
        return problem
    low, high = clip_bounds(spec)
    params = ConvParams(weight, total.astype(np.int32), candidate, low, high, zero_in)
    workload = conv_workload(spec, borders, fitting)
    return replace(workload, phase_bias=True) if phased else workload, params


def conv_workload(spec: UnitSpec, borders: Borders, bias_tiles: int) -> ConvWorkload:
    """The workload of a convolution or dense unit."""
    assert spec.weight is not None
    in_channels, height, width = spec.inputs[0].image
    return ConvWorkload(
        in_channels=in_channels,
        out_channels=len(spec.weight),
        height=height,
        width=width,
        kernel=spec.kernel,
        stride=spec.stride,
        padding=spec.padding,
        in_border=borders.inputs[0],
        out_border=borders.output,
        bias_tiles=bias_tiles,
        groups=spec.groups,
        dilation=spec.dilation,
        up=spec.up,
        graph_macs=spec.graph_macs,
    )


def rounded(ratio: NDArray[np.float64], shift: int) -> NDArray[np.int8]:
    """``ratio * 2**shift`` in int8, keeping the sum over each kernel and each output channel.

    Activations have a mean, so rounding errors that sum to zero leave the output's mean where it
    was; nearest rounding would shift it. Elements nearest to a half are rounded the other way.
    """
    ratio = np.ascontiguousarray(ratio)
    key = ratio.shape, shift, hashlib.blake2b(ratio.data, digest_size=16).digest()
    known = _ROUNDED.get(key)
    if known is None:
        known = _rounded(ratio, shift)
        known.setflags(write=False)
        if sum(kept.nbytes for kept in _ROUNDED.values()) + known.nbytes > _KEPT_BYTES:
            _ROUNDED.clear()
        _ROUNDED[key] = known
    return known


_ROUNDED: dict[tuple[tuple[int, ...], int, bytes], NDArray[np.int8]] = {}
_KEPT_BYTES = 1 << 26
"""Weights kept, as a compilation fits each unit several times."""


def _rounded(ratio: NDArray[np.float64], shift: int) -> NDArray[np.int8]:
    real = np.ldexp(ratio, shift)
    whole = np.rint(real)
    for groups in ((real.shape[0] * real.shape[1], -1), (real.shape[0], -1)):
        whole = _sum_preserving(whole.reshape(groups), real.reshape(groups)).reshape(real.shape)
    return np.clip(whole, -_INT8, _INT8).astype(np.int8)


def _sum_preserving(whole: NDArray[np.float64], real: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move the elements with the largest errors by one until the rows sum as ``real``."""
    error = whole - real
    surplus = np.rint(error.sum(axis=-1)).astype(np.int64)
    uneven = np.flatnonzero(surplus)
    count, error = surplus[uneven, None], error[uneven]
    movable = np.where(np.abs(whole[uneven]) < _INT8, error, 0.0)
    moved: NDArray[np.float64] = np.array(whole)
    # Down come the elements first in falling order, up those last in it.
    for sign in (1, -1):
        rows = np.flatnonzero(sign * count[:, 0] > 0)
        moved[uneven[rows]] -= sign * _largest(sign * movable[rows], sign * count[rows], sign)
    return moved


def _largest(
    values: NDArray[np.float64], count: NDArray[np.int64], direction: int
) -> NDArray[np.bool_]:
    """The ``count`` largest of each row; of equal ones the first, or with ``direction`` -1 last."""
    ordered = np.sort(values, axis=-1)
    least = np.take_along_axis(ordered, values.shape[-1] - count, axis=-1)
    above, equal = values > least, values == least
    room = count - above.sum(axis=-1, keepdims=True)
    number = np.cumsum(equal[:, ::direction], axis=-1)[:, ::direction]
    return above | (equal & (number <= room))
