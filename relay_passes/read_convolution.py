# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# tvm carries no usable annotations.
"""Convolutions of every kind and dense layers: weights, bias and window of a `UnitSpec`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relay_passes.fold_parameters import dequantized
from relay_passes.ir import constant, op_name, shape
from relay_passes.spec import UnitSpec

_LAYOUTS = ("NCHW/OIHW", "NCW/OIW", "NCHW/IOHW", "NCW/IOW")


def read_convolution(
    spec: UnitSpec, core: Any, weight_expr: Any, bias: NDArray[Any] | None, notes: list[str]
) -> UnitSpec:
    """A convolution, transposed or not, over one or two axes; one axis is a row of an image."""
    attrs = core.attrs
    layout = f"{attrs.data_layout}/{attrs.kernel_layout}"
    transposed = op_name(core).endswith("_transpose")
    if layout not in (_LAYOUTS[2:] if transposed else _LAYOUTS[:2]):
        notes.append(f"layout {layout}")
        return replace(spec, weight=np.zeros((1, 1, 1, 1)))
    groups = int(attrs.groups)
    weight = _weight(weight_expr, notes)
    per_channel = 1 if transposed and groups == 1 else 0
    if weight.ndim == 3:
        weight = weight[:, :, None]
    stride, dilation = pair(attrs.strides), pair(attrs.dilation)
    padding, up = four(attrs.padding), (1, 1)
    if transposed:
        weight = _flipped(weight, groups)
        padding = _slid_padding(weight.shape[2:], dilation, padding, pair(attrs.output_padding, 0))
        stride, up = (1, 1), stride
    else:
        taps = live_taps(core)
        rows, columns = (slice(*axis) for axis in taps)
        weight = weight[:, :, rows, columns]
        padding = _trimmed(padding, dilation, taps, pair(shape(core.args[1])[2:]))
    return replace(
        spec,
        weight=np.ascontiguousarray(weight),
        bias=_bias(bias, len(weight), spec.output.shape[2:], notes),
        weight_scale=_weight_scale(weight_expr, len(weight), per_channel),
        kernel=(weight.shape[2], weight.shape[3]),
        stride=stride,
        padding=padding,
        dilation=dilation,
        up=up,
        groups=groups,
    )


Taps = tuple[tuple[int, int], tuple[int, int]]
"""First kernel row and the one behind the last; columns alike."""


def live_taps(core: Any) -> Taps:
    """Taps of a convolution between the first and the last that any output finds in the image.

    Those outside read padding only, as the outer ones of a kernel that is dilated beyond the image.
    """
    attrs, kernel = core.attrs, pair(shape(core.args[1])[2:])
    padding, spaces = four(attrs.padding), (shape(core.args[0])[2:], shape(core))
    found: list[tuple[int, int]] = []
    for axis, taps in enumerate(kernel):
        extent, outputs = (pair(space[-len(shape(core)[2:]) :])[axis] for space in spaces)
        stride, step = pair(attrs.strides)[axis], pair(attrs.dilation)[axis]
        before, after = padding[axis], padding[axis + 2]
        places = np.arange(outputs) * stride - before + np.arange(taps)[:, None] * step
        live = np.flatnonzero(((places >= 0) & (places < extent)).any(axis=1))
        # Padding stays padding: what is trimmed of it never crops the image.
        first = min(int(live.min(initial=taps - 1)), before // step)
        last = max(int(live.max(initial=0)), taps - 1 - after // step)
        found.append((first, last + 1) if first <= last else (0, taps))
    return found[0], found[1]


def _trimmed(
    padding: tuple[int, int, int, int],
    dilation: tuple[int, int],
    taps: Taps,
    kernel: tuple[int, int],
) -> tuple[int, int, int, int]:
    """Padding without what only the taps outside ``taps`` read."""
    top, left, bottom, right = padding
    (dy, dx), (rows, columns) = dilation, taps
    return (
        top - rows[0] * dy,
        left - columns[0] * dx,
        bottom - (kernel[0] - rows[1]) * dy,
        right - (kernel[1] - columns[1]) * dx,
    )


def _flipped(weight: NDArray[np.float64], groups: int) -> NDArray[np.float64]:
    """[I, O / groups, kh, kw] turned by half a turn and stored as [O, I / groups, kh, kw]."""
    ins, outs, *kernel = weight.shape
    split = weight.reshape(groups, ins // groups, outs, *kernel).swapaxes(1, 2)
    return split.reshape(groups * outs, ins // groups, *kernel)[:, :, ::-1, ::-1]


def _slid_padding(
    kernel: tuple[int, ...],
    dilation: tuple[int, int],
    padding: tuple[int, int, int, int],
    extra: tuple[int, int],
) -> tuple[int, int, int, int]:
    """Padding of the window that slides over the grown input of a transposed convolution."""
    rows, columns = (d * (k - 1) for d, k in zip(dilation, kernel, strict=True))
    top, left, bottom, right = padding
    return rows - top, columns - left, rows - bottom + extra[0], columns - right + extra[1]


def read_dense(
    spec: UnitSpec, weight_expr: Any, bias: NDArray[Any] | None, notes: list[str]
) -> UnitSpec:
    """[..., I] times constant [I, O]: a 1x1 convolution over all positions, channels last."""
    weight = _weight(weight_expr, notes)
    source, out = spec.inputs[0], spec.output
    if weight.ndim != 2:
        notes.append(f"matmul of {list(source.shape)} with {list(weight.shape)}")
        return replace(spec, weight=np.zeros((1, 1, 1, 1)))
    rows = np.ascontiguousarray(weight.T)[:, :, None, None]
    return replace(
        spec,
        inputs=tuple(replace(tensor, channel_last=True) for tensor in spec.inputs),
        output=replace(out, channel_last=True),
        between=spec.between and replace(spec.between, channel_last=True),
        weight=rows,
        bias=_bias(bias, len(rows), (), notes),
        weight_scale=_weight_scale(weight_expr, len(rows), 1),
    )


def read_scale(
    spec: UnitSpec, factor_expr: Any, bias: NDArray[Any] | None, notes: list[str]
) -> UnitSpec:
    """Channels times constants: a depthwise 1x1 convolution that the network does not count."""
    channels, space = spec.inputs[0].image[0], spec.output.shape[2:]
    factor = _bias(constant(factor_expr), channels, space, notes)
    weight = np.ones(channels) if factor is None else factor
    return replace(
        spec,
        weight=weight[:, None, None, None],
        bias=_bias(bias, channels, space, notes),
        groups=channels,
        graph_macs=0,
    )


def _weight(expr: Any, notes: list[str]) -> NDArray[np.float64]:
    value = constant(expr)
    if value is None:
        data, scale, zero = (constant(a) for a in expr.args)
        assert data is not None
        assert scale is not None
        assert zero is not None
        if data.dtype.name not in ("int8", "uint8"):
            notes.append(f"weights are {data.dtype}; int8 and uint8 are served")
        if (zero != (128 if data.dtype == np.uint8 else 0)).any():
            notes.append("weights have a zero point; the accelerator's are symmetric")
        value = dequantized(data, scale, zero, int(expr.attrs.axis))
    return value.astype(np.float64)


def _weight_scale(expr: Any, channels: int, axis: int) -> NDArray[np.float64] | None:
    """Scale of every output channel of dequantised weights; None for float ones."""
    if constant(expr) is not None:
        return None
    scale = constant(expr.args[1])
    assert scale is not None
    if scale.size not in (1, channels) or (scale.size > 1 and int(expr.attrs.axis) != axis):
        return None
    return np.broadcast_to(scale.reshape(-1).astype(np.float64), channels)


def _bias(
    bias: NDArray[Any] | None, channels: int, space: tuple[int, ...], notes: list[str]
) -> NDArray[np.float64] | None:
    """A constant operand as one number a channel, which the axes ``space`` follow."""
    if bias is None:
        return None
    if bias.size == 1:
        return np.full(channels, float(bias.reshape(-1)[0]))
    wanted = (channels, *[1] * len(space))
    if bias.size != channels or bias.shape[-len(wanted) :] != wanted:
        notes.append(f"a constant of shape {list(bias.shape)} is not one number a channel")
        return None
    return bias.reshape(-1).astype(np.float64)


def pair(values: Any, missing: int = 1) -> tuple[int, int]:
    """Attribute over (height, width), of which one-dimensional operators give the second."""
    first, second = (missing, *(int(v) for v in values))[-2:]
    return first, second


def four(values: Any) -> tuple[int, int, int, int]:
    """Padding (top, left, bottom, right); one-dimensional operators give (left, right)."""
    pads = [int(v) for v in values]
    if len(pads) == 2:
        return 0, pads[0], 0, pads[1]
    top, left, bottom, right = pads
    return top, left, bottom, right
