# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# numpy leaves the types of padded, reshaped and multiplied arrays partly unknown.
"""Units in real numbers: what their integers stand for, computed without any rounding."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from relay_passes.moves import moved
from relay_passes.spec import UnitSpec

Real = NDArray[np.float64]


def real_output(spec: UnitSpec, inputs: tuple[Real, ...]) -> Real:
    """Output of a unit for real inputs, all of them shaped as in the graph.

    Weights and biases are those of the network; nothing is quantised or saturated.
    """
    first = inputs[0]
    if spec.kind in ("view", "gather"):
        out = _moved(spec, inputs)
    elif spec.kind == "dense":
        assert spec.weight is not None
        out = first @ spec.weight[:, :, 0, 0].T + (0.0 if spec.bias is None else spec.bias)
    elif spec.kind == "conv2d":
        out = _convolved(spec, first.reshape(len(first), *spec.inputs[0].image))
    elif spec.kind in ("max_pool2d", "avg_pool2d"):
        out = _pooled(spec, first.reshape(len(first), *spec.inputs[0].image))
    else:
        out = first
    out = out.reshape(spec.output.shape)
    if len(inputs) > 1 and spec.kind not in ("view", "gather"):
        out = out + inputs[1]
    return np.clip(out, spec.low, spec.high)


def _moved(spec: UnitSpec, inputs: tuple[Real, ...]) -> Real:
    """The chain of moves, applied to positions; added elements are 0."""
    starts = np.cumsum([0, *(array.size for array in inputs)])
    positions = [
        start + np.arange(array.size).reshape(array.shape)
        for start, array in zip(starts[:-1], inputs, strict=True)
    ]
    picked = moved(list(positions), spec.moves)
    flat = np.concatenate([array.ravel() for array in inputs])
    return np.where(picked < 0, 0.0, flat[picked])


def _convolved(spec: UnitSpec, x: Real) -> Real:
    assert spec.weight is not None
    grown = np.zeros(
        (*x.shape[:2], *((n - 1) * u + 1 for n, u in zip(x.shape[2:], spec.up, strict=True)))
    )
    grown[:, :, :: spec.up[0], :: spec.up[1]] = x
    windows = _windows(spec, grown, 0.0)
    images, channels, height, width = windows.shape[:4]
    depth = channels // spec.groups * spec.kernel[0] * spec.kernel[1]
    columns = windows.transpose(0, 1, 4, 5, 2, 3).reshape(images, spec.groups, depth, -1)
    out = spec.weight.reshape(spec.groups, -1, depth) @ columns
    out = out.reshape(images, -1, height, width)
    return out if spec.bias is None else out + spec.bias[:, None, None]


def _pooled(spec: UnitSpec, x: Real) -> Real:
    if spec.kind == "max_pool2d":
        return _windows(spec, x, -np.inf).max(axis=(4, 5))
    total = _windows(spec, x, 0.0).sum(axis=(4, 5))
    if spec.count_include_pad:
        return total / (spec.kernel[0] * spec.kernel[1])
    return total / _windows(spec, np.ones((1, 1, *x.shape[2:])), 0.0).sum(axis=(4, 5))


def _windows(spec: UnitSpec, x: Real, fill: float) -> Real:
    """View [N, C, OH, OW, KH, KW] of the padded (or, where negative, cropped) input."""
    top, left, bottom, right = spec.padding
    added = [(max(0, top), max(0, bottom)), (max(0, left), max(0, right))]
    padded = np.pad(x, ((0, 0), (0, 0), *added), constant_values=fill)
    rows = slice(max(0, -top), padded.shape[2] - max(0, -bottom))
    columns = slice(max(0, -left), padded.shape[3] - max(0, -right))
    reach = tuple((k - 1) * d + 1 for k, d in zip(spec.kernel, spec.dilation, strict=True))
    view = np.lib.stride_tricks.sliding_window_view(padded[:, :, rows, columns], reach, axis=(2, 3))
    view = view[:, :, :: spec.stride[0], :: spec.stride[1]]
    return view[..., :: spec.dilation[0], :: spec.dilation[1]]
