# pyright: reportUnknownMemberType=false
# numpy leaves the type of clip partly unknown.
"""What every fit shares: tensors in the int8 domain, clip bounds, the largest shift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from codesign.kernels import Params, Workload
from relay_passes.spec import QuantizedTensor, UnitSpec

Fit = tuple[Workload, Params]
MAX_SHIFT = 15


@dataclass(frozen=True)
class Borders:
    """Border widths in DRAM of a unit's inputs and output."""

    inputs: tuple[int, ...] = (0, 0)
    output: int = 0


def offset(tensor: QuantizedTensor) -> int:
    """128 for unsigned tensors: what is subtracted to bring them to int8."""
    return 128 if tensor.dtype == "uint8" else 0


def zero_point(tensor: QuantizedTensor) -> int:
    """Zero point in the int8 domain."""
    return tensor.zero_point - offset(tensor)


def clip_bounds(spec: UnitSpec) -> tuple[int, int]:
    """Integer clip bounds of the output: int8's, narrowed by a fused ReLU or clip."""
    out, zero = spec.output, zero_point(spec.output)

    def quantized(real: float) -> int:
        return int(np.clip(np.rint(np.float64(real) / out.scale) + zero, -128, 127))

    low = -128 if spec.low == -np.inf else quantized(spec.low)
    high = 127 if spec.high == np.inf else quantized(spec.high)
    return low, max(low, high)


def largest_shift(peak: float, limit: float, most: int = MAX_SHIFT) -> int:
    """Largest shift with ``peak * 2**shift`` rounding to at most ``limit``; 0 if none from 1 on."""
    if peak <= 0:
        return most
    shift = int(np.floor(np.log2((limit + 0.499) / peak)))
    return min(shift, most) if shift >= 1 else 0
