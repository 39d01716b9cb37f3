# numpy's reshape, view and copy are partially unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Integer semantics of every workload, in numpy: what the accelerator must equal exactly.

Sums are exact: int8 products over any layer stay far below 2**53, so convolutions may run as
float64 matrix products.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codesign.kernels.workload import (
    ConvParams,
    ConvWorkload,
    ElementwiseParams,
    Params,
    PoolParams,
    PoolWorkload,
    Workload,
)


def _requantize(acc: NDArray[np.int64], shift: int, low: int, high: int) -> NDArray[np.int8]:
    """``clip((acc + 2**(shift-1)) >> shift, low, high)``: rounding half up (DESIGN 5)."""
    rounding = 1 << shift >> 1
    return np.clip((acc + rounding) >> shift, low, high).astype(np.int8)


def _windows(
    x: NDArray[np.int64], workload: ConvWorkload | PoolWorkload, fill: int
) -> NDArray[np.int64]:
    """View ``[N, C, OH, OW, KH, KW]`` of the padded input."""
    top, left, bottom, right = workload.padding
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
    view = np.lib.stride_tricks.sliding_window_view(padded, workload.kernel, axis=(2, 3))
    return view[:, :, :: workload.stride[0], :: workload.stride[1]]


def _conv(x: NDArray[np.int64], workload: ConvWorkload, p: ConvParams) -> NDArray[np.int8]:
    out_shape = (len(x), workload.out_channels, workload.out_height, workload.out_width)
    out = np.empty(out_shape, np.int8)
    weight = p.weight.reshape(workload.out_channels, -1).astype(np.float64)
    for n in range(len(x)):
        view = _windows(x[n : n + 1], workload, p.pad_value)[0]
        columns = view.transpose(0, 3, 4, 1, 2).reshape(weight.shape[1], -1).astype(np.float64)
        acc = (weight @ columns).astype(np.int64) + p.bias.astype(np.int64)[:, None]
        out[n] = _requantize(acc, p.shift, p.low, p.high).reshape(out_shape[1:])
    return out


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
        return _conv(wide[0], workload, params)
    if isinstance(workload, PoolWorkload):
        if workload.kind == "max":
            lowest = np.iinfo(np.int8).min
            return _windows(wide[0], workload, lowest).max(axis=(4, 5)).astype(np.int8)
        assert isinstance(params, PoolParams)
        return _avg_pool(wide[0], workload, params)
    assert isinstance(params, ElementwiseParams)
    acc = sum(m * x for m, x in zip(params.multipliers, wide, strict=True))
    return _requantize(np.asarray(acc + params.bias), params.shift, params.low, params.high)
