"""What a partitioned unit computes, in real numbers: read from Relax, fitted by the compiler."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

UnitKind = Literal[
    "conv2d", "dense", "add", "requantize", "max_pool2d", "avg_pool2d", "view", "gather"
]

Move = tuple[str, tuple[int, ...]]
"""A step of a chain that moves elements, with its numbers.

``reshape``: a shape; ``permute``: axes; ``slice``: begin, end, step of every axis; ``pad``: before,
after of every axis; ``repeat``: times on every axis; ``concat`` of all inputs, first in its chain:
an axis."""


@dataclass(frozen=True)
class QuantizedTensor:
    """A quantised activation: real value = scale * (q - zero_point), q of type ``dtype``.

    ``shape`` is that of the graph. It holds ``batch`` images (0: its first axis counts them), whose
    channels lie on the second axis ([N, C, H, W], [N, C, L], [N, C]) or, with ``channel_last``,
    on the last one ([N, T, C], [N, H, W, C], [N * T, C]).
    """

    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int
    batch: int = 0
    channel_last: bool = False

    @property
    def image(self) -> tuple[int, int, int]:
        """(C, H, W) of one image; the positions of a channel-last tensor lie in one row."""
        if self.channel_last:
            batch = self.batch or self.shape[0]
            return self.shape[-1], 1, prod(self.shape[:-1]) // batch
        channels, *space = self.shape[1:]
        height, width = (1, 1, *space)[-2:]
        return channels, height, width


@dataclass(frozen=True, eq=False)
class UnitSpec:
    """One unit before it is fitted to the hardware.

    ``weight`` is float [O, I / groups, kh, kw] (dense: [O, I, 1, 1]), ``bias`` float [O]; where the
    network fixes int8 weights, ``weight / weight_scale`` are those, ``weight_scale`` [O].
    ``low``/``high`` are the real bounds of a fused ReLU or clip. ``kernel``, ``stride``,
    ``padding`` (top, left, bottom, right), ``dilation`` and ``count_include_pad`` describe the
    window. A transposed convolution has ``up``, its stride, with weights flipped and padding
    converted so that a window of stride 1 slides over the input grown by ``up - 1`` zeros. With
    ``between``, the tensor that the network quantises after the convolution, a second input is
    added to it before the clip. ``moves`` is the chain of a view or gather. ``graph_macs``, where
    given, replaces the convolution's own count of multiply-accumulates. ``unsupported`` names what
    the accelerator has no form for.
    """

    kind: UnitKind
    inputs: tuple[QuantizedTensor, ...]
    output: QuantizedTensor
    weight: NDArray[np.float64] | None = None
    bias: NDArray[np.float64] | None = None
    weight_scale: NDArray[np.float64] | None = None
    low: float = -np.inf
    high: float = np.inf
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    up: tuple[int, int] = (1, 1)
    groups: int = 1
    count_include_pad: bool = False
    between: QuantizedTensor | None = None
    moves: tuple[Move, ...] = ()
    graph_macs: int | None = None
    unsupported: str = ""


def apart(spec: UnitSpec) -> tuple[UnitSpec, UnitSpec]:
    """A unit with a residual as the two units of the network: the convolution and the addition."""
    assert spec.between is not None
    source, residual = spec.inputs
    alone = replace(
        spec, inputs=(source,), output=spec.between, between=None, low=-np.inf, high=np.inf
    )
    total = UnitSpec("add", (spec.between, residual), spec.output, low=spec.low, high=spec.high)
    return alone, total
