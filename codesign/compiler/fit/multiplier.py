# pyright: reportUnknownMemberType=false
# numpy leaves the type of clip partly unknown.
"""Convolutions with a multiplier for each channel (HAS_MUL): the integers of onnxruntime's int8.

onnxruntime requantises an accumulator as ``rint(float32(acc) * scale) + zero point`` with
``scale = float32(float32(input scale * weight scale) / output scale)``. That is a staircase of at
most 255 steps. The machine's form is a line of some 45 bits, rounded down; both are monotone, so
that they agree on every accumulator where they agree on both sides of every step. `fit_line` finds
such a line for each channel.
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
    has_phases,
    phase_sums,
    zero_point,
)
from codesign.compiler.fit.digits import limits, offsets
from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.kernels import ConvParams, ConvWorkload, bias_capacity
from relay_passes.spec import UnitSpec

Integers = NDArray[np.int64]

_INT8 = 127
_INT32 = 2**31 - 1
_MAX_BIAS_TILES = 32
"""Most GEMMs that an output spends on its bias; what is more is added after the multiplication,
where it costs bits of the multiplier."""
_TRIALS, _TIGHT, _LIKELY = 129, 24, 32.0
"""For a channel whose rounded scale misses a step: slopes that are tried, and of either kind the
points that are watched; output steps in which an output becomes e times less likely."""
_UNSURE = 2.0**-24
"""Relative error of float32, and so of the scale."""


@dataclass(frozen=True, eq=False)
class _Channels:
    """Integer weights [O, I, kh, kw], bias [O] in accumulator steps, float32 scale [O]."""

    weight: Integers
    bias: Integers
    scale: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Steps:
    """Where the outputs of some channels change: accumulators int64 [O, n], and outputs there.

    ``least``/``most`` [O] are accumulators beyond which nothing changes or none lies.
    """

    points: Integers
    outputs: Integers
    least: Integers
    most: Integers


def fit_multiplied(spec: UnitSpec, cfg: VtaConfig, workload: ConvWorkload) -> Fit | Infeasible:
    """Numbers of a convolution or dense unit with multipliers, bias tiles chosen.

    Weights are the network's int8 values, float ones are rounded per channel.
    """
    channels = _channels(spec)
    zero_in, zero_out = zero_point(spec.inputs[0]), zero_point(spec.output)
    low, high = clip_bounds(spec)
    lower, upper = _reach(channels, zero_in)
    if max(int(-lower.min()), int(upper.max())) > _INT32:
        return Infeasible("bias_range", f"bias {np.abs(channels.bias).max()} exceeds int32")
    steps = find_steps(channels.scale, zero_out, (low, high), lower, upper)
    phased = has_phases(spec)
    sums = (
        phase_sums(channels.weight, spec) if phased else channels.weight.sum(axis=(1, 2, 3))[None]
    )
    own = channels.bias - zero_in * sums
    tiles = fewest_bias_tiles(int(np.abs(own).max()), cfg, _MAX_BIAS_TILES) or _MAX_BIAS_TILES
    capacity = bias_capacity(cfg, tiles)
    # Sums that lie around 0 leave the multiplier the most bits.
    moved = np.maximum(-(steps.least + steps.most) // 2, -capacity - own.min(axis=0))
    moved = np.minimum(moved, capacity - own.max(axis=0))
    bias = own + moved
    if int(np.abs(bias).max()) > capacity:
        return Infeasible("bias_range", f"bias {np.abs(bias).max()} exceeds {capacity}")
    problem = accumulator_problem(channels.weight, int(np.abs(bias).max()))
    if problem is not None:
        return problem
    line = fit_line(channels.scale, steps, moved, zero_out, (low, high))
    if isinstance(line, Infeasible):
        return line
    scaling, pre_shift, shift = line
    params = ConvParams(
        channels.weight.astype(np.int8),
        (bias if phased else bias[0]).astype(np.int32),
        shift,
        low,
        high,
        zero_in,
        pre_shift=pre_shift,
        scaling=scaling,
    )
    return replace(workload, bias_tiles=tiles, multiply=True, phase_bias=phased), params


def _channels(spec: UnitSpec) -> _Channels:
    """The unit in integer weights. A channel without weights is its bias, in fine steps."""
    assert spec.weight is not None
    source, out = spec.inputs[0], spec.output
    found = spec.weight_scale
    if found is None:
        found = np.abs(spec.weight).max(axis=(1, 2, 3)) / _INT8
    found = np.where(found > 0, found, 1.0).astype(np.float32)
    weight = np.rint(spec.weight / found[:, None, None, None]).astype(np.int64)
    step = found * np.float32(source.scale)
    step[~weight.any(axis=(1, 2, 3))] = np.float32(out.scale / 256)
    bias = np.zeros(len(weight)) if spec.bias is None else spec.bias
    steps = np.clip(np.rint(bias / step.astype(np.float64)), -(2.0**40), 2.0**40)
    return _Channels(
        weight, steps.astype(np.int64), (step / np.float32(out.scale)).astype(np.float32)
    )


def _reach(channels: _Channels, zero_in: int) -> tuple[Integers, Integers]:
    """Least and largest accumulator of each channel, zero points taken off the inputs."""
    positive = np.maximum(channels.weight, 0).sum(axis=(1, 2, 3))
    negative = np.minimum(channels.weight, 0).sum(axis=(1, 2, 3))
    least, most = -128 - zero_in, 127 - zero_in
    return (
        channels.bias + positive * least + negative * most,
        channels.bias + positive * most + negative * least,
    )


def requantized(acc: Integers, scale: NDArray[np.float32], zero: int) -> Integers:
    """onnxruntime's output of accumulators [O, n] before it saturates."""
    real = acc.astype(np.float32) * scale[:, None]
    return np.rint(real).astype(np.int64) + zero


def find_steps(
    scale: NDArray[np.float32],
    zero: int,
    bounds: tuple[int, int],
    lower: Integers,
    upper: Integers,
) -> Steps:
    """The accumulators of [lower, upper] at which an output changes, and their predecessors."""
    low, high = bounds
    wanted = np.arange(low + 1, max(high, low + 1) + 1)[None]
    real = (wanted - zero - 0.5) / scale[:, None].astype(np.float64)
    around = np.abs(real) * _UNSURE + 1
    first = np.clip(np.floor(real - around), -(2.0**40), 2.0**40).astype(np.int64)
    last = np.clip(np.ceil(real + around), -(2.0**40), 2.0**40).astype(np.int64)
    while (last - first > 1).any():  # `last` reaches the output, `first` does not
        middle = (first + last) // 2
        reached = requantized(middle, scale, zero) >= wanted
        first, last = np.where(reached, first, middle), np.where(reached, middle, last)
    beyond = np.ceil(0.5 / scale.astype(np.float64)).astype(np.int64)
    least = np.clip(last[:, 0] - 1 - beyond, lower, upper)
    most = np.clip(last[:, -1] + beyond, lower, upper)
    points = np.concatenate([last - 1, last, least[:, None], most[:, None]], axis=1)
    points = np.clip(points, least[:, None], most[:, None])
    outputs = np.clip(requantized(points, scale, zero), low, high)
    return Steps(points, outputs, least, most)


def fit_line(
    scale: NDArray[np.float32],
    steps: Steps,
    moved: Integers,
    zero: int,
    bounds: tuple[int, int],
) -> tuple[NDArray[np.int32], int, int] | Infeasible:
    """`ConvParams.scaling`, ``pre_shift`` and ``shift`` that give each step's output.

    ``moved`` [O] is what the machine's sums are more than the accumulators of ``steps``, ``zero``
    the output's zero point.
    """
    points = steps.points + moved[:, None]
    widest = max(1, int(np.abs(points).max()))
    room = _INT32 // widest
    if room < 1:
        return Infeasible("acc_range", f"sums may reach {widest}, int32 holds {_INT32}")
    pre_shift = min(MAX_SHIFT, room.bit_length())
    real = scale.astype(np.float64)
    top = 130.0 + float(real.max())
    shift = min(2 * MAX_SHIFT, int(np.floor(np.log2(2.0**31 / (top + 1)))))
    if shift < 2:
        return Infeasible(
            "weight_range",
            f"one accumulator step is {real.max():.3g} output steps; a multiplier allows 2**28",
        )
    ideal = np.rint(np.ldexp(real, shift + pre_shift)).astype(np.int64)
    values = points * ideal[:, None] >> pre_shift
    slope, (offset, room) = ideal, offsets(values, steps.outputs, shift, bounds)
    for channel in np.flatnonzero(room < 0):
        slope[channel], offset[channel] = _compromise(
            *(int(ideal[channel]), points[channel], steps.outputs[channel], zero),
            *(pre_shift, shift, bounds),
        )
    half = 1 << pre_shift >> 1
    multiplier = (slope + half) >> pre_shift
    fraction = slope - (multiplier << pre_shift)
    rows = (steps.least + moved, steps.most + moved, multiplier, fraction, offset)
    return np.stack(rows).astype(np.int32), pre_shift, shift


def _compromise(
    slope: int,
    points: Integers,
    outputs: Integers,
    zero: int,
    pre_shift: int,
    shift: int,
    bounds: tuple[int, int],
) -> tuple[int, int]:
    """Slope and offset near ``slope`` of one channel that give all outputs, or the most likely.

    What float32 rounds to a half goes to the even side, now up and now down: no line follows all of
    these. Outputs near the zero point are the likely ones.
    """
    least, most = limits(points * slope >> pre_shift, outputs, shift, bounds)
    tight = np.unique([*np.argsort(-least)[:_TIGHT], *np.argsort(most)[:_TIGHT]])
    points, outputs = points[tight], outputs[tight]
    turns = np.unique(np.rint(np.linspace(-1, 1, _TRIALS) * np.ldexp(slope, -22)))
    slopes = slope + turns.astype(np.int64)
    values = points * slopes[:, None] >> pre_shift
    least, most = limits(values, outputs, shift, bounds)
    trials = np.concatenate([least, most], axis=1)
    trials = np.clip(trials, -(2**60), 2**60)
    wrong = (least[:, None] > trials[..., None]) | (most[:, None] < trials[..., None])
    cost = wrong @ np.exp(-np.abs(outputs - zero) / _LIKELY)
    best = int(cost.argmin())
    return int(slopes[best // trials.shape[1]]), int(trials.reshape(-1)[best])
