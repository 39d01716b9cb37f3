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
    up: tuple[int, int] = (1, 1)

    @property
    def reach(self) -> tuple[int, int]:
        """Rows and columns from the first tap of the window to the last, both counted."""
        return self.kernel

    @property
    def out_height(self) -> int:
        top, _, bottom, _ = self.padding
        grown = (self.height - 1) * self.up[0] + 1
        return (grown + top + bottom - self.reach[0]) // self.stride[0] + 1

    @property
    def out_width(self) -> int:
        _, left, _, right = self.padding
        grown = (self.width - 1) * self.up[1] + 1
        return (grown + left + right - self.reach[1]) // self.stride[1] + 1


@dataclass(frozen=True)
class ConvWorkload(_Windowed):
    """2-D convolution of any kind, or a dense layer (1x1 kernel on a 1xM image of M rows).

    ``padding`` is (top, left, bottom, right). ``in_border``/``out_border`` are rows and columns
    that the tensors carry on every side in DRAM (holding the zero point), 0 if padding comes
    from LOAD. ``bias_tiles`` is the number of weight tiles that carry one bias.

    ``groups`` divides both channel counts (depthwise: all three are equal). ``up`` inserts
    ``up - 1`` zero positions between input pixels before padding: a transposed convolution with
    stride ``up``, flipped kernel and padding ``dilation * (kernel - 1) - pads`` (may be negative:
    a crop); its ``stride`` is 1. ``residual_border`` (None: no residual) is the border of a second
    input of the output's shape that is added before the clip. ``multiply``: a multiplier for each
    channel instead of the common shift alone (HAS_MUL). ``phase_bias``: a transposed convolution
    has a bias for each phase, output position modulo ``up`` (an input with a zero point: phases
    read different taps). ``graph_macs``, where given, are the multiply-accumulates of what this
    workload computes: of a packed layer, or 0 of what is no convolution of the network.
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
    groups: int = 1
    dilation: tuple[int, int] = (1, 1)
    up: tuple[int, int] = (1, 1)
    residual_border: int | None = None
    multiply: bool = False
    phase_bias: bool = False
    graph_macs: int | None = None

    @property
    def phases(self) -> tuple[int, int]:
        """Biases of one channel along (height, width)."""
        return self.up if self.phase_bias else (1, 1)

    @property
    def op(self) -> str:
        if (self.height, self.width, self.kernel) == (1, 1, (1, 1)):
            return "dense"
        if self.up != (1, 1):
            return "conv2d_transpose"
        return "depthwise_conv2d" if self.groups == self.in_channels > 1 else "conv2d"

    @property
    def reach(self) -> tuple[int, int]:
        """Rows and columns from the first tap of the kernel to the last, both counted."""
        return (
            (self.kernel[0] - 1) * self.dilation[0] + 1,
            (self.kernel[1] - 1) * self.dilation[1] + 1,
        )

    @property
    def sources(self) -> int:
        """Activations that the unit reads."""
        return 1 if self.residual_border is None else 2

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image, padding counted."""
        if self.graph_macs is not None:
            return self.graph_macs
        taps = self.kernel[0] * self.kernel[1]
        pixels = self.out_height * self.out_width if self.up == (1, 1) else self.height * self.width
        return pixels * self.out_channels * (self.in_channels // self.groups) * taps


@dataclass(frozen=True)
class PoolWorkload(_Windowed):
    """Max or average pooling; padding never enters the maximum or the sum.

    ``digits``: digits to base 256 of an average's multipliers (1 to 3).
    """

    kind: Literal["max", "avg"]
    channels: int
    height: int
    width: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    in_border: int = 0
    out_border: int = 0
    digits: int = 1

    @property
    def op(self) -> str:
        return f"{self.kind}_pool2d"

    @property
    def macs(self) -> int:
        """Pooling is no multiply-accumulate of the input graph."""
        return 0


@dataclass(frozen=True)
class ElementwiseWorkload:
    """Scaled sum of one or two tensors of the same shape: residual add, ReLU, rescale.

    ``digits``: digits to base 256 of the multipliers (1 to 3).
    """

    operands: int
    channels: int
    height: int
    width: int
    in_borders: tuple[int, ...] = (0, 0)
    out_border: int = 0
    digits: int = 1

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


@dataclass(frozen=True)
class GatherWorkload:
    """Channels picked from tensors of one size: concat, split, slice, shuffle, upsample, pad, crop.

    Output channel c is channel ``picks[c][1]`` of source ``picks[c][0]``, rescaled. ``channels``
    are those of each source. Every pixel is repeated ``repeat`` times along (height, width), then
    zeros are added or (negative) pixels cropped by ``padding`` (top, left, bottom, right).
    ``digits``: digits to base 256 of the multipliers (1 to 3).
    """

    channels: tuple[int, ...]
    picks: tuple[tuple[int, int], ...]
    height: int
    width: int
    repeat: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    in_borders: tuple[int, ...] = (0, 0)
    out_border: int = 0
    digits: int = 1

    @property
    def op(self) -> str:
        return "gather"

    @property
    def out_height(self) -> int:
        return self.height * self.repeat[0] + self.padding[0] + self.padding[2]

    @property
    def out_width(self) -> int:
        return self.width * self.repeat[1] + self.padding[1] + self.padding[3]

    @property
    def macs(self) -> int:
        return 0


Workload = ConvWorkload | PoolWorkload | ElementwiseWorkload | GatherWorkload


def shift_steps(workload: Workload) -> int:
    """SHR instructions of the epilogue: 2 where large windows or multipliers need 16 and more."""
    if isinstance(workload, ConvWorkload):
        return 2 if workload.multiply else 1
    if isinstance(workload, PoolWorkload) and workload.kernel[0] * workload.kernel[1] > 256:
        return 2
    return 1 if workload.digits == 1 else 2


def digits_of(value: int, digits: int) -> list[int]:
    """``value`` to base 256, highest digit first; all but the highest are -128..127."""
    low: list[int] = []
    for _ in range(digits - 1):
        low.append((value + 128) % 256 - 128)
        value = (value - low[-1]) // 256
    return [value, *reversed(low)]


def bias_parts(value: int, digits: int) -> list[int]:
    """A bias in what enters with the highest digits, and the rest; just itself with one digit."""
    if digits == 1:
        return [value]
    base = 256 ** (digits - 1)
    high = (value + base // 2) // base
    return [high, value - high * base]


@dataclass(frozen=True, eq=False)
class ConvParams:
    """Numbers of a convolution: ``acc = sum(x * weight) + bias``.

    weight: int8 [out_channels, in_channels / groups, kh, kw] (transposed convolutions: flipped, so
    that it slides over the grown input); bias: int32 [out_channels], with ``phase_bias``
    [up[0] * up[1], out_channels], without the rounding constant of ``shift``; shift: 1..15; padded
    positions hold ``pad_value`` (the input's zero point), of a transposed convolution only those
    that a larger input would fill.

    With a residual r: ``acc = ((sum(x * weight)) >> pre_shift) + residual_multiplier * r + bias``.
    Then ``out = clip((acc + 2**(shift-1)) >> shift, low, high)``.

    With ``scaling`` (int32 [5, out_channels]: least, most, multiplier, fraction, offset):
    ``sum = clip(sum(x * weight) + bias, least, most)``,
    ``acc = sum * multiplier + ((sum * fraction) >> pre_shift) + offset`` modulo 2**32,
    ``out = clip(acc >> shift, low, high)``; shift 2..30. ``sum * fraction`` has to fit int32.
    """

    weight: NDArray[np.int8]
    bias: NDArray[np.int32]
    shift: int
    low: int = -128
    high: int = 127
    pad_value: int = 0
    pre_shift: int = 0
    residual_multiplier: int = 0
    scaling: NDArray[np.int32] | None = None


@dataclass(frozen=True, eq=False)
class PoolParams:
    """Numbers of an average pooling: ``acc = multiplier * sum(valid x) + bias``.

    ``by_count`` maps the number of valid (not padded) positions under a window to
    (multiplier 0..254, or of the workload's digits, the highest -128..127; bias). shift: 1..30.
    ``acc`` has to fit int32. A max pooling has no params (None).
    """

    by_count: Mapping[int, tuple[int, int]]
    shift: int
    low: int = -128
    high: int = 127


@dataclass(frozen=True, eq=False)
class ElementwiseParams:
    """``acc = sum(multipliers[i] * x[i]) + bias``; multipliers -128..127, shift 1..15.

    Multipliers of more digits: the highest is -128..127, shift 2..30; ``acc`` has to fit int32.
    """

    multipliers: tuple[int, ...]
    bias: int
    shift: int
    low: int = -128
    high: int = 127


@dataclass(frozen=True, eq=False)
class GatherParams:
    """``acc = multipliers[source] * x + bias[channel]``; multipliers 1..127, shift 1..15.

    Multipliers of more digits: the highest is -128..127, shift 2..30; ``acc`` has to fit int32.
    bias: int32 [output channels], without the rounding constant; added pixels count as x = 0.
    """

    multipliers: tuple[int, ...]
    bias: NDArray[np.int32]
    shift: int
    low: int = -128
    high: int = 127


Params = ConvParams | PoolParams | ElementwiseParams | GatherParams | None
