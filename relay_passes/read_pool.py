# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# tvm carries no usable annotations.
"""Poolings and spatial means: the window of a `UnitSpec`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from relay_passes.ir import op_name
from relay_passes.read_convolution import four, pair
from relay_passes.spec import UnitSpec


def read_pool(spec: UnitSpec, core: Any, notes: list[str]) -> UnitSpec:
    """A pooling over one or two axes, or a mean over all positions of an image."""
    attrs = core.attrs
    if op_name(core) == "mean":
        return _mean(spec, attrs, notes)
    if spec.kind == "max_pool2d" and (spec.low, spec.high) != (-np.inf, np.inf):
        notes.append("max pooling with an activation that is not quantised apart")
    if any(int(d) != 1 for d in attrs.dilation):
        notes.append("pooling with dilation")
    kernel, stride, padding = pair(attrs.pool_size), pair(attrs.strides), four(attrs.padding)
    if attrs.ceil_mode:
        padding = _ceil_padding(spec, kernel, stride, padding)
        grown = padding != four(attrs.padding)
        if grown and spec.kind == "avg_pool2d" and attrs.count_include_pad:
            notes.append("average pooling with ceil_mode and counted padding")
    return replace(
        spec,
        kernel=kernel,
        stride=stride,
        padding=padding,
        count_include_pad=bool(attrs.count_include_pad),
    )


def _mean(spec: UnitSpec, attrs: Any, notes: list[str]) -> UnitSpec:
    """Over [2, 3] of [N, C, H, W], 2 of [N, C, L], or 1 of the channel-last [N, T, C]."""
    source = spec.inputs[0]
    rank = len(source.shape)
    axes = sorted(int(a) % rank for a in attrs.axis) if attrs.axis is not None else []
    if (rank, axes) == (3, [1]):
        source = replace(source, channel_last=True)
        spec = replace(
            spec, inputs=(source,), output=replace(spec.output, channel_last=bool(attrs.keepdims))
        )
    elif (rank, axes) not in ((4, [2, 3]), (3, [2])):
        notes.append(f"mean over axes {axes}")
        return spec
    return replace(spec, kernel=source.image[1:])


def _ceil_padding(
    spec: UnitSpec,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
) -> tuple[int, int, int, int]:
    """Padding with the bottom and right extended so that rounding down gives the output's size."""
    (_, height, width), (_, rows, cols) = spec.inputs[0].image, spec.output.image
    bottom = (rows - 1) * stride[0] + kernel[0] - height - padding[0]
    right = (cols - 1) * stride[1] + kernel[1] - width - padding[1]
    return (padding[0], padding[1], max(padding[2], bottom), max(padding[3], right))
