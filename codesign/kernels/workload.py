"""Workloads: the integer operations that one unit of an accelerator program computes.

A workload is a frozen, hashable value that fixes everything but numbers: shapes, strides,
padding. Numbers (weights, multipliers, shifts) are `params`, kept apart so that cost is a
function of (workload, configuration, schedule) alone. Shapes are per image; an accelerator
with BATCH > 1 computes BATCH images at once.

Every unit ends with ``out = clip((acc + 2**(shift-1)) >> shift, low, high)``, rounding half up
(DESIGN 5); max pooling has no requantisation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray


class _Windowed:
    """Output size of an operation that slides a window over a padded image."""

    height: int
    width: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]

    @property
    def out_height(self) -> int:
        top, _, bottom, _ = self.padding
        return (self.height + top + bottom - self.kernel[0]) // self.stride[0] + 1

    @property
    def out_width(self) -> int:
        _, left, _, right = self.padding
        return (self.width + left + right - self.kernel[1]) // self.stride[1] + 1


@dataclass(frozen=True)
class ConvWorkload(_Windowed):
    """2-D convolution, groups = 1, or a dense layer (1x1 kernel on a 1xM image of M rows).

    ``padding`` is (top, left, bottom, right). ``in_border``/``out_border`` are rows and columns
    that the tensors carry on every side in DRAM (holding the zero point), 0 if padding comes
    from LOAD. ``bias_tiles`` is the number of weight tiles that carry one bias.
    """

    in_channels: int
    out_channels: int
    height: int
    width: int
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    in_border: int = 0
    out_border: int = 0
    bias_tiles: int = 1

    @property
    def op(self) -> str:
        return "dense" if (self.height, self.width, self.kernel) == (1, 1, (1, 1)) else "conv2d"

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image, padding counted."""
        taps = self.kernel[0] * self.kernel[1]
        return self.out_height * self.out_width * self.out_channels * self.in_channels * taps


@dataclass(frozen=True)
class PoolWorkload(_Windowed):
    """Max or average pooling; padding never enters the maximum or the sum."""

    kind: Literal["max", "avg"]
    channels: int
    height: int
    width: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    in_border: int = 0
    out_border: int = 0

    @property
    def op(self) -> str:
        return f"{self.kind}_pool2d"

    @property
    def macs(self) -> int:
        """Pooling is no multiply-accumulate of the input graph."""
        return 0


@dataclass(frozen=True)
class ElementwiseWorkload:
    """Scaled sum of one or two tensors of the same shape: residual add, ReLU, rescale."""

    operands: int
    channels: int
    height: int
    width: int
    in_borders: tuple[int, ...] = (0, 0)
    out_border: int = 0

    @property
    def op(self) -> str:
        return "add" if self.operands == 2 else "requantize"

    @property
    def out_height(self) -> int:
        return self.height

    @property
    def out_width(self) -> int:
        return self.width

    @property
    def macs(self) -> int:
        return 0


Workload = ConvWorkload | PoolWorkload | ElementwiseWorkload


@dataclass(frozen=True, eq=False)
class ConvParams:
    """Numbers of a convolution: ``acc = sum(x * weight) + bias``.

    weight: int8 [out_channels, in_channels, kh, kw]; bias: int32 [out_channels], without the
    rounding constant; shift: 1..15; padded positions hold ``pad_value`` (the input's zero point).
    """

    weight: NDArray[np.int8]
    bias: NDArray[np.int32]
    shift: int
    low: int = -128
    high: int = 127
    pad_value: int = 0


@dataclass(frozen=True, eq=False)
class PoolParams:
    """Numbers of an average pooling: ``acc = multiplier * sum(valid x) + bias``.

    ``by_count`` maps the number of valid (not padded) positions under a window to
    (multiplier 0..254, bias). shift: 1..30. A max pooling has no params (None).
    """

    by_count: Mapping[int, tuple[int, int]]
    shift: int
    low: int = -128
    high: int = 127


@dataclass(frozen=True, eq=False)
class ElementwiseParams:
    """``acc = sum(multipliers[i] * x[i]) + bias``; multipliers -128..127, shift 1..15."""

    multipliers: tuple[int, ...]
    bias: int
    shift: int
    low: int = -128
    high: int = 127


Params = ConvParams | PoolParams | ElementwiseParams | None
