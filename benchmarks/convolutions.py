"""Convolution layers of the networks whose schedules are judged, as workloads with their counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from codesign.kernels import ConvWorkload

Layers = dict[ConvWorkload, int]
"""Workload → how often the network has it."""


def conv(
    in_channels: int, out_channels: int, size: int, kernel: int = 1, stride: int = 1
) -> ConvWorkload:
    """A square convolution with same padding."""
    pad = kernel // 2
    return ConvWorkload(
        in_channels,
        out_channels,
        size,
        size,
        (kernel, kernel),
        (stride, stride),
        (pad, pad, pad, pad),
    )


def resnet18() -> Layers:
    """The convolutions after the first, at 224x224."""
    found: list[ConvWorkload] = []
    channels, size = 64, 56
    for stage in range(4):
        wide = 64 << stage
        for block in range(2):
            stride = 2 if stage and not block else 1
            found.append(conv(channels, wide, size, 3, stride))
            if stride == 2:
                found.append(conv(channels, wide, size, 1, 2))
            size //= stride
            found.append(conv(wide, wide, size, 3))
            channels = wide
    return Counter(found)


def resnet50() -> Layers:
    """The convolutions after the first, at 224x224; the stride is in the 3x3 convolutions."""
    found: list[ConvWorkload] = []
    channels, size = 64, 56
    for stage, blocks in enumerate((3, 4, 6, 3)):
        inner = 64 << stage
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            found.append(conv(channels, inner, size))
            found.append(conv(inner, inner, size, 3, stride))
            if not block:
                found.append(conv(channels, 4 * inner, size, 1, stride))
            size //= stride
            found.append(conv(inner, 4 * inner, size))
            channels = 4 * inner
    return Counter(found)


def _mobilenet_v2() -> list[ConvWorkload]:
    """All convolutions after the first, of width 1.0 at 224x224."""
    found: list[ConvWorkload] = []
    channels, size = 32, 112
    stages = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1))
    for expand, wide, repeats, first in (*stages, (6, 160, 3, 2), (6, 320, 1, 1)):
        for block in range(repeats):
            inner, stride = expand * channels, first if not block else 1
            if expand > 1:
                found.append(conv(channels, inner, size))
            found.append(replace(conv(inner, inner, size, 3, stride), groups=inner))
            size //= stride
            found.append(conv(inner, wide, size))
            channels = wide
    return [*found, conv(channels, 1280, size)]


def mobilenet_v2_pointwise() -> Layers:
    """The 1x1 convolutions."""
    return Counter(layer for layer in _mobilenet_v2() if layer.groups == 1)


def mobilenet_v2_depthwise() -> Layers:
    """The depthwise 3x3 convolutions."""
    return Counter(layer for layer in _mobilenet_v2() if layer.groups > 1)
