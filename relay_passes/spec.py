"""What a partitioned unit computes, in real numbers: read from Relax, fitted by the compiler."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

UnitKind = Literal["conv2d", "dense", "add", "requantize", "max_pool2d", "avg_pool2d", "reshape"]


@dataclass(frozen=True)
class QuantizedTensor:
    """A quantised activation: real value = scale * (q - zero_point), q of type ``dtype``."""

    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int


@dataclass(frozen=True, eq=False)
class UnitSpec:
    """One unit before it is fitted to the hardware.

    ``weight`` is float [O, I, kh, kw] (dense: [O, I, 1, 1]), ``bias`` float [O]; where the network
    fixes int8 weights, ``weight / weight_scale`` are those, ``weight_scale`` [O]. ``low``/``high``
    are the real bounds of a fused ReLU or clip. ``kernel``, ``stride``, ``padding`` (top, left,
    bottom, right) and ``count_include_pad`` describe the window. ``unsupported`` names what the
    accelerator has no form for.
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
    count_include_pad: bool = False
    unsupported: str = ""
