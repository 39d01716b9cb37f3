"""`FrozenNetwork`: a quantised network in integers and scales, ready to be written as QDQ ONNX."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.nn.quantization.plan import Step


@dataclass(frozen=True, eq=False)
class FrozenStep:
    """A step whose numbers are fixed.

    ``scale`` is the real value of one step of its int8 output, ``low`` and ``high`` the real bounds
    that its output is clipped to (float32 values). Weights are int8 [O, I / groups, kh, kw]
    (dense: [O, I]) times ``weight_scale`` float32 [1 or O]; ``bias`` is float32 [O].
    """

    step: Step
    scale: np.float32
    low: np.float32
    high: np.float32
    weight: NDArray[np.int8] | None = None
    weight_scale: NDArray[np.float32] | None = None
    bias: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class FrozenNetwork:
    """Steps in order; the input is int8 with ``input_scale``, [C, H, W] an image."""

    image_shape: tuple[int, int, int]
    input_scale: np.float32
    steps: tuple[FrozenStep, ...]
