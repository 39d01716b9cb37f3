# numpy's reshape, view and copy are partially unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Integer semantics of every workload, in numpy: what the accelerator must equal exactly.

Convolutions run as floating-point matrix products, which are exact: sums of int8 products stay
below 2**24 (float32) for reductions of at most 1024, and far below 2**53 (float64) for any layer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codesign.kernels.workload import (
    ConvParams,
    ConvWorkload,
    ElementwiseParams,
    GatherParams,
    GatherWorkload,
    Params,
    PoolParams,
    PoolWorkload,
    Workload,
)


def _requantize(acc: NDArray[np.int64], shift: int, low: int, high: int) -> NDArray[np.int8]:
    """``clip((acc + 2**(shift-1)) >> shift, low, high)``: rounding half up (DESIGN 5)."""
    rounding = 1 << shift >> 1
    return np.clip((acc + rounding) >> shift, low, high).astype(np.int8)


def _scaled(
    sums: NDArray[np.int64], scaling: NDArray[np.int32], pre_shift: int
) -> NDArray[np.int64]:
    """The accumulators of `ConvParams.scaling`."""
    least, most, multiplier, fraction, offset = scaling.astype(np.int64)
    clipped = np.clip(sums, least, most)
    acc = clipped * multiplier + (clipped * fraction >> pre_shift) + offset
    return acc.astype(np.int32).astype(np.int64)


_FLOAT32_REDUCTION = 1024


def _windows(
    x: NDArray[np.int64],
    workload: ConvWorkload | PoolWorkload,
    fill: int,
    dilation: tuple[int, int] = (1, 1),
) -> NDArray[np.int64]:
    """View ``[N, C, OH, OW, KH, KW]`` of the grown and padded input."""
    padded = _grown(x, workload.padding, workload.up, fill)
    view = np.lib.stride_tricks.sliding_window_view(padded, workload.reach, axis=(2, 3))
    view = view[:, :, :: workload.stride[0], :: workload.stride[1]]
    return view[..., :: dilation[0], :: dilation[1]]


def _framed(
    x: NDArray[np.int64], padding: tuple[int, int, int, int], fill: int
) -> NDArray[np.int64]:
    """Pixels added, or (negative) cropped, at (top, left, bottom, right)."""
    top, left, bottom, right = (max(0, p) for p in padding)
    framed = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
    top, left, bottom, right = (max(0, -p) for p in padding)
    return framed[:, :, top : framed.shape[2] - bottom, left : framed.shape[3] - right]


def _grown(
    x: NDArray[np.int64], padding: tuple[int, int, int, int], up: tuple[int, int], fill: int
) -> NDArray[np.int64]:
    """The input framed, with ``up - 1`` zeros between its pixels and those of the frame."""
    if up == (1, 1):
        return _framed(x, padding, fill)
    top, left, bottom, right = (max(0, p) // u for p, u in zip(padding, up * 2, strict=True))
    wide = _framed(x, (top, left, bottom, right), fill)
    n, c, height, width = wide.shape
    grown = np.zeros((n, c, (height - 1) * up[0] + 1, (width - 1) * up[1] + 1), x.dtype)
    grown[:, :, :: up[0], :: up[1]] = wide
    (above, before, below, behind), (dy, dx) = padding, up
    rest = (above - top * dy, before - left * dx, below - bottom * dy, behind - right * dx)
    return _framed(grown, rest, 0)


def _sums(x: NDArray[np.int64], workload: ConvWorkload, p: ConvParams) -> NDArray[np.int64]:
    """``sum(x * weight)`` of one image, int64 ``[CO, OH, OW]``."""
    w = workload
    taps = w.kernel[0] * w.kernel[1]
    depth = w.in_channels // w.groups * taps
    exact = np.float32 if depth <= _FLOAT32_REDUCTION else np.float64
    view = _windows(x[None], w, p.pad_value, w.dilation)[0].astype(exact)
    columns = view.transpose(0, 3, 4, 1, 2).reshape(w.groups, depth, -1)
    weight = p.weight.reshape(w.groups, -1, depth).astype(exact)
    sums = (weight @ columns).astype(np.int64)
    return sums.reshape(w.out_channels, w.out_height, w.out_width)


def _conv(wide: list[NDArray[np.int64]], workload: ConvWorkload, p: ConvParams) -> NDArray[np.int8]:
    w = workload
    bias = _bias_plane(p.bias.astype(np.int64), w)
    out = np.empty((len(wide[0]), w.out_channels, w.out_height, w.out_width), np.int8)
    for n, x in enumerate(wide[0]):
        acc = _sums(x, w, p)
        if w.multiply:
            if p.scaling is None or w.residual_border is not None:
                raise ValueError(f"{w}: multiply needs a scaling of each channel and no residual")
            scaled = _scaled(acc + bias, p.scaling[:, :, None, None], p.pre_shift)
            out[n] = np.clip(scaled >> p.shift, p.low, p.high)
            continue
        if w.residual_border is not None:
            acc = (acc >> p.pre_shift) + p.residual_multiplier * wide[1][n]
        out[n] = _requantize(acc + bias, p.shift, p.low, p.high)
    return out


def _bias_plane(bias: NDArray[np.int64], w: ConvWorkload) -> NDArray[np.int64]:
    """Bias ``[CO, 1, 1]``, or of every output pixel where phases have their own."""
    if not w.phase_bias:
        return bias[:, None, None]
    phases = bias.T.reshape(w.out_channels, *w.up)
    rows, columns = np.arange(w.out_height) % w.up[0], np.arange(w.out_width) % w.up[1]
    return phases[:, rows[:, None], columns]


def _gather(
    wide: list[NDArray[np.int64]], workload: GatherWorkload, p: GatherParams
) -> NDArray[np.int8]:
    first = np.cumsum((0, *workload.channels))
    scaled = np.concatenate([m * x for m, x in zip(p.multipliers, wide, strict=True)], axis=1)
    picked = scaled[:, [first[source] + channel for source, channel in workload.picks]]
    repeated = picked.repeat(workload.repeat[0], axis=2).repeat(workload.repeat[1], axis=3)
    acc = _framed(repeated, workload.padding, 0) + p.bias.astype(np.int64)[:, None, None]
    return _requantize(acc, p.shift, p.low, p.high)


def _avg_pool(x: NDArray[np.int64], workload: PoolWorkload, p: PoolParams) -> NDArray[np.int8]:
    total = _windows(x, workload, 0).sum(axis=(4, 5))
    ones = np.ones((1, 1, workload.height, workload.width), np.int64)
    count = _windows(ones, workload, 0).sum(axis=(4, 5))[0, 0]
    multiplier = np.zeros_like(count)
    bias = np.zeros_like(count)
    for valid, (m, b) in p.by_count.items():
        multiplier[count == valid] = m
        bias[count == valid] = b
    return _requantize(total * multiplier + bias, p.shift, p.low, p.high)


def reference(
    workload: Workload, params: Params, inputs: tuple[NDArray[np.int8], ...]
) -> NDArray[np.int8]:
    """Output int8 ``[N, C, OH, OW]`` of one unit on inputs int8 ``[N, C, H, W]``."""
    wide = [x.astype(np.int64) for x in inputs]
    if isinstance(workload, ConvWorkload):
        assert isinstance(params, ConvParams)
        return _conv(wide, workload, params)
    if isinstance(workload, GatherWorkload):
        assert isinstance(params, GatherParams)
        return _gather(wide, workload, params)
    if isinstance(workload, PoolWorkload):
        if workload.kind == "max":
            lowest = np.iinfo(np.int8).min
            return _windows(wide[0], workload, lowest).max(axis=(4, 5)).astype(np.int8)
        assert isinstance(params, PoolParams)
        return _avg_pool(wide[0], workload, params)
    assert isinstance(params, ElementwiseParams)
    acc = sum(m * x for m, x in zip(params.multipliers, wide, strict=True))
    return _requantize(np.asarray(acc + params.bias), params.shift, params.low, params.high)
