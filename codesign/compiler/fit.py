# pyright: reportUnknownMemberType=false
# numpy leaves the type of clip partly unknown.
"""Fitting a unit's real numbers to what the ALU can do: int8 weights and one shift.

Requantisation is ``(acc + 2**(shift-1)) >> shift``, so weights absorb
``input scale * weight scale / output scale`` (DESIGN 5). Every function returns the workload and
its numbers, or an `Infeasible` that names what does not fit; zero points fold into the bias.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.kernels import (
    ConvParams,
    ConvWorkload,
    ElementwiseParams,
    ElementwiseWorkload,
    Params,
    PoolParams,
    PoolWorkload,
    Workload,
    bias_capacity,
    default_bias_tiles,
    identity_copies,
    shift_steps,
    valid_counts,
)
from relay_passes.spec import QuantizedTensor, UnitSpec

Fit = tuple[Workload, Params]
MAX_SHIFT = 15
_SHORT_FRACTION = 4
_INT8 = 127
MAX_PAD = 15
"""LOAD's pad fields have four bits."""
MAX_BIAS_TILES = 8
_INT32 = 2**31 - 1


@dataclass(frozen=True)
class Borders:
    """Border widths in DRAM of a unit's inputs and output."""

    inputs: tuple[int, ...] = (0, 0)
    output: int = 0


def offset(tensor: QuantizedTensor) -> int:
    """128 for unsigned tensors: what is subtracted to bring them to int8."""
    return 128 if tensor.dtype == "uint8" else 0


def zero_point(tensor: QuantizedTensor) -> int:
    """Zero point in the int8 domain."""
    return tensor.zero_point - offset(tensor)


def needed_border(spec: UnitSpec, cfg: VtaConfig) -> int:
    """Border that a padded convolution asks of its input: LOAD pads with 0 and at most 15 wide."""
    pad = max(spec.padding)
    if spec.kind != "conv2d" or pad == 0:
        return 0
    wide = pad * max(1, cfg.block_out // cfg.block_in) > MAX_PAD
    return pad if wide or zero_point(spec.inputs[0]) != 0 else 0


def fit_unit(spec: UnitSpec, cfg: VtaConfig, borders: Borders | None = None) -> Fit | Infeasible:
    """Workload and numbers of one unit, for tensors with ``borders`` (default: its own need)."""
    if spec.unsupported:
        return Infeasible("operator", spec.unsupported)
    if borders is None:
        own = needed_border(spec, cfg)
        borders = Borders((own,) * max(2, len(spec.inputs)))
    if spec.kind in ("conv2d", "dense"):
        return _fit_conv(spec, cfg, borders)
    if spec.kind in ("max_pool2d", "avg_pool2d"):
        return _fit_pool(spec, cfg, borders)
    return _fit_elementwise(spec, cfg, borders)


def clip_bounds(spec: UnitSpec) -> tuple[int, int]:
    """Integer clip bounds of the output: int8's, narrowed by a fused ReLU or clip."""
    out, zero = spec.output, zero_point(spec.output)

    def quantized(real: float) -> int:
        return int(np.clip(np.rint(np.float64(real) / out.scale) + zero, -128, 127))

    low = -128 if spec.low == -np.inf else quantized(spec.low)
    high = 127 if spec.high == np.inf else quantized(spec.high)
    return low, max(low, high)


def _largest_shift(peak: float, limit: float, most: int = MAX_SHIFT) -> int:
    """Largest shift with ``peak * 2**shift`` rounding to at most ``limit``; 0 if none from 1 on."""
    if peak <= 0:
        return most
    shift = int(np.floor(np.log2((limit + 0.499) / peak)))
    return min(shift, most) if shift >= 1 else 0


def _fit_conv(spec: UnitSpec, cfg: VtaConfig, borders: Borders) -> Fit | Infeasible:
    assert spec.weight is not None
    source, out = spec.inputs[0], spec.output
    ratio = spec.weight * (source.scale / out.scale)
    shift = _largest_shift(float(np.abs(ratio).max(initial=0.0)), 127)
    if shift == 0:
        return Infeasible(
            "weight_range",
            f"weight x scale reaches {np.abs(ratio).max():.3g}; a shift-only fit allows 63",
        )
    zero_in, zero_out = zero_point(source), zero_point(out)
    symmetric = zero_in == 0 and zero_out == 0
    bias = np.zeros(len(ratio)) if spec.bias is None else spec.bias
    tiles = default_bias_tiles(cfg)
    most_tiles = tiles if symmetric else MAX_BIAS_TILES
    peak = 0
    for candidate in range(shift, 0, -1):
        weight = _rounded(ratio, candidate)
        total = _folded_bias(weight, bias / out.scale, candidate, zero_in, zero_out)
        peak = int(np.abs(total).max(initial=0)) + (1 << candidate >> 1)
        fitting = next(
            (t for t in range(tiles, most_tiles + 1) if peak <= bias_capacity(cfg, t)), 0
        )
        if fitting:
            break
    else:
        return Infeasible("bias_range", f"bias {peak} exceeds {bias_capacity(cfg, most_tiles)}")
    reach = int(np.abs(weight.astype(np.int64)).sum(axis=(1, 2, 3)).max(initial=0)) * 128 + peak
    if reach > _INT32:
        return Infeasible("acc_range", f"accumulators may reach {reach}, int32 holds {_INT32}")
    low, high = clip_bounds(spec)
    params = ConvParams(weight, total.astype(np.int32), candidate, low, high, zero_in)
    return conv_workload(spec, borders, fitting), params


def conv_workload(spec: UnitSpec, borders: Borders, bias_tiles: int) -> ConvWorkload:
    """The workload of a convolution or dense unit."""
    assert spec.weight is not None
    out_channels, in_channels = spec.weight.shape[:2]
    shape = spec.inputs[0].shape
    height, width = (shape[2], shape[3]) if len(shape) == 4 else (1, 1)
    return ConvWorkload(
        in_channels=in_channels,
        out_channels=out_channels,
        height=height,
        width=width,
        kernel=spec.kernel,
        stride=spec.stride,
        padding=spec.padding,
        in_border=borders.inputs[0],
        out_border=borders.output,
        bias_tiles=bias_tiles,
    )


def _rounded(ratio: NDArray[np.float64], shift: int) -> NDArray[np.int8]:
    """``ratio * 2**shift`` in int8, keeping the sum over each kernel and each output channel.

    Activations have a mean, so rounding errors that sum to zero leave the output's mean where it
    was; nearest rounding would shift it. Elements nearest to a half are rounded the other way.
    """
    real = np.ldexp(ratio, shift)
    whole = np.rint(real)
    for groups in ((*real.shape[:2], -1), (real.shape[0], -1)):
        whole = _sum_preserving(whole.reshape(groups), real.reshape(groups)).reshape(real.shape)
    return np.clip(whole, -_INT8, _INT8).astype(np.int8)


def _sum_preserving(whole: NDArray[np.float64], real: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move the elements with the largest errors by one until the last axis sums as ``real``."""
    error = whole - real
    surplus = np.rint(error.sum(axis=-1, keepdims=True))
    movable = np.where(np.abs(whole) < _INT8, error, 0.0)
    rank = np.argsort(np.argsort(-movable, axis=-1, kind="stable"), axis=-1)
    return whole - (rank < surplus) + (rank >= error.shape[-1] + surplus)


def _folded_bias(
    weight: NDArray[np.int8],
    bias: NDArray[np.float64],
    shift: int,
    zero_in: int,
    zero_out: int,
) -> NDArray[np.int64]:
    sums = weight.astype(np.int64).sum(axis=(1, 2, 3))
    return np.rint(np.ldexp(bias, shift)).astype(np.int64) - zero_in * sums + (zero_out << shift)


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


def _fit_elementwise(spec: UnitSpec, cfg: VtaConfig, borders: Borders) -> Fit | Infeasible:
    ratios = [t.scale / spec.output.scale for t in spec.inputs]
    shift = _largest_shift(max(ratios), 127)
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
    shape = _image(spec.inputs[0].shape)
    count = len(spec.inputs)
    workload = ElementwiseWorkload(count, *shape, borders.inputs[:2], borders.output)
    low, high = clip_bounds(spec)
    return workload, ElementwiseParams(multipliers, bias, candidate, low, high)


def _fit_pool(spec: UnitSpec, cfg: VtaConfig, borders: Borders) -> Fit | Infeasible:
    source, out = spec.inputs[0], spec.output
    workload = PoolWorkload(
        "max" if spec.kind == "max_pool2d" else "avg",
        *_image(source.shape),
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
        _largest_shift(r, 127 * identity_copies(workload, c), most) for c, r in ratios.items()
    )
    zero_in, zero_out = zero_point(source), zero_point(out)
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


def _image(shape: tuple[int, ...]) -> tuple[int, int, int]:
    return (shape[1], shape[2], shape[3]) if len(shape) == 4 else (shape[1], 1, 1)
