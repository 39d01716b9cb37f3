# pyright: reportUnknownMemberType=false
# numpy leaves the type of clip partly unknown.
"""Convolutions with a multiplier for each channel (HAS_MUL): the network's own int8 weights.

``out = ((clip((sum(x * w) + bias) >> pre_shift, 16 bits) * multiplier + half) >> shift) + offset``.
The multiplier has 15 bits and its factor 16, so that the product fits int32; whatever the clip to
16 bits changes lies outside the output's range and saturates there as well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from codesign.compiler.fit.common import (
    MAX_SHIFT,
    Fit,
    accumulator_problem,
    clip_bounds,
    fewest_bias_tiles,
    zero_point,
)
from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.kernels import ConvParams, ConvWorkload, bias_capacity, default_bias_tiles
from relay_passes.spec import UnitSpec

_FACTOR = 2**15 - 1
"""Largest multiplier, and largest magnitude that it multiplies."""
_INT8 = 127
_LARGEST_SHIFT = 2 * MAX_SHIFT
_MAX_BIAS_TILES = 32
"""Most GEMMs that an output spends on its bias before its weights give up bits, which keep the
network's own values otherwise."""
_COARSEST = 0.25
"""Output LSBs of a step that is dropped before the multiplication, at most."""
_HEAVIEST = 16.0
"""A bias this often above what the tiles carry is refused, not paid for in bits of weight."""


@dataclass(frozen=True, eq=False)
class _Channels:
    """Integer weights [O, I, kh, kw]; ``gain`` [O] is output LSBs for one accumulator step,
    ``bias`` [O] output LSBs."""

    weight: NDArray[np.int64]
    gain: NDArray[np.float64]
    bias: NDArray[np.float64]

    @property
    def sums(self) -> NDArray[np.int64]:
        """Sum of the weights' magnitudes in every channel."""
        return np.abs(self.weight).sum(axis=(1, 2, 3))


def fit_multiplied(spec: UnitSpec, cfg: VtaConfig, workload: ConvWorkload) -> Fit | Infeasible:
    """Numbers of a convolution or dense unit with multipliers, bias tiles chosen.

    Weights are the network's int8 values, float ones are rounded per channel. Only a channel whose
    accumulator or bias would not fit beside the others gives up bits of its weights.
    """
    channels = _channels(spec)
    zero_in, zero_out = zero_point(spec.inputs[0]), zero_point(spec.output)
    low, high = clip_bounds(spec)
    span = max(high - zero_out, zero_out - low) + 1
    capacity = bias_capacity(cfg, max(default_bias_tiles(cfg), _MAX_BIAS_TILES))
    while True:
        pre_shift, excess = _pre_shift(channels, span)
        shift = _shift(float(channels.gain.max()), pre_shift)
        if shift < 1:
            return Infeasible(
                "weight_range",
                f"one accumulator step is {channels.gain.max():.3g} output steps; a multiplier "
                f"allows {_FACTOR // 2}",
            )
        multiplier = np.rint(np.ldexp(channels.gain, pre_shift + shift)).astype(np.int64)
        effective = np.ldexp(np.maximum(multiplier, 1).astype(np.float64), -(pre_shift + shift))
        sums = channels.weight.sum(axis=(1, 2, 3))
        bias = np.rint(channels.bias / effective).astype(np.int64) - zero_in * sums
        bias += 1 << pre_shift >> 1
        heavy = np.abs(bias) / capacity
        excess = np.maximum(np.maximum(excess, heavy), 1.0 / np.maximum(multiplier, 0.5))
        if excess.max() <= 1.0:
            break
        if (heavy[channels.sums > 0] > _HEAVIEST).any():
            return Infeasible("bias_range", f"bias {np.abs(bias).max()} exceeds {capacity}")
        bits = np.ceil(np.log2(np.maximum(excess, 1.0))).astype(np.int64)
        channels = _coarser(channels, bits)
    peak = int(np.abs(bias).max())
    problem = accumulator_problem(channels.weight, peak)
    if problem is not None:
        return problem
    lowest, highest = int(channels.weight.min()), int(channels.weight.max())
    assert -128 <= lowest <= highest <= _INT8, f"weights {lowest}..{highest} are not int8"
    params = ConvParams(
        channels.weight.astype(np.int8),
        bias.astype(np.int32),
        shift,
        low,
        high,
        zero_in,
        pre_shift=pre_shift,
        multiplier=multiplier.astype(np.int32),
        output_offset=zero_out,
    )
    tiles = fewest_bias_tiles(peak, cfg, _MAX_BIAS_TILES)
    return replace(workload, bias_tiles=tiles, multiply=True), params


def _channels(spec: UnitSpec) -> _Channels:
    """The unit in integer weights. A channel without weights takes the largest gain of the others,
    since nothing but its bias is left."""
    assert spec.weight is not None
    source, out = spec.inputs[0], spec.output
    scale = spec.weight_scale
    if scale is None:
        scale = np.abs(spec.weight).max(axis=(1, 2, 3)) / _INT8
    safe = np.where(scale > 0, scale, 1.0)
    weight = np.rint(spec.weight / safe[:, None, None, None]).astype(np.int64)
    empty = ~weight.any(axis=(1, 2, 3))
    gain = safe * (source.scale / out.scale)
    gain = np.where(empty, 2.0**-8 if empty.all() else gain[~empty].max(), gain)
    bias = np.zeros(len(weight)) if spec.bias is None else spec.bias / out.scale
    return _Channels(weight, gain, bias)


def _pre_shift(channels: _Channels, span: int) -> tuple[int, NDArray[np.float64]]:
    """Bits to drop before the multiplication, and how far each channel exceeds 16 bits then.

    An accumulator needs 16 bits as far as it can go, or until its output is ``span`` LSBs from the
    zero point and saturates.
    """
    reach = channels.sums * 256.0 + np.abs(channels.bias) / channels.gain
    needed = np.minimum(reach, span / channels.gain) / _FACTOR
    wanted = int(np.ceil(np.log2(max(1.0, float(needed.max())))))
    coarsest = int(np.floor(np.log2(_COARSEST / float(channels.gain.max()))))
    bits = max(0, min(wanted, coarsest, MAX_SHIFT))
    return bits, np.ldexp(needed, -bits)


def _shift(gain: float, pre_shift: int) -> int:
    """Largest shift whose multiplier for ``gain`` has 15 bits."""
    return min(_LARGEST_SHIFT, int(np.floor(np.log2((_FACTOR + 0.499) / gain))) - pre_shift)


def _coarser(channels: _Channels, bits: NDArray[np.int64]) -> _Channels:
    """The channels with ``bits`` fewer bits of weight each."""
    weight = np.rint(np.ldexp(channels.weight.astype(np.float64), -bits[:, None, None, None]))
    return _Channels(weight.astype(np.int64), np.ldexp(channels.gain, bits), channels.bias)
