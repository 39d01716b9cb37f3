# pyright: reportUnknownMemberType=false
# numpy leaves the type of clip partly unknown.
"""What every fit shares: tensors in the int8 domain, clip bounds, the largest shift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.kernels import Params, Workload, bias_capacity, default_bias_tiles
from relay_passes.spec import QuantizedTensor, UnitSpec

Fit = tuple[Workload, Params]
MAX_SHIFT = 15
_INT32 = 2**31 - 1


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


def fewest_bias_tiles(peak: int, cfg: VtaConfig, most: int) -> int:
    """Weight tiles for biases and rounding constant up to ``peak``; 0 if more than ``most``."""
    fewest = default_bias_tiles(cfg)
    tiles = range(fewest, max(fewest, most) + 1)
    return next((n for n in tiles if peak <= bias_capacity(cfg, n)), 0)


def accumulator_problem(
    weight: NDArray[np.int8] | NDArray[np.int64], rest: int, pre_shift: int = 0
) -> Infeasible | None:
    """Accumulators that int32 does not hold, if any.

    A channel sums ``weight`` [O, I, kh, kw] times int8 inputs, drops ``pre_shift`` bits and adds
    what is at most ``rest``: bias, rounding constant, residual.
    """
    sums = np.abs(weight.astype(np.int64)).sum(axis=(1, 2, 3)) * 128
    reach = int(sums.max(initial=0))
    reach = max(reach, rest - (-reach >> pre_shift))
    if reach <= _INT32:
        return None
    return Infeasible("acc_range", f"accumulators may reach {reach}, int32 holds {_INT32}")


def vanishing_operand(
    ratios: Sequence[float], multipliers: Sequence[int], shift: int
) -> Infeasible | None:
    """An operand whose multiplier is 0 although it moves the output by more than half a step."""
    for ratio, multiplier in zip(ratios, multipliers, strict=True):
        if multiplier == 0 and ratio * 127 > 0.5:
            return Infeasible(
                "scale_ratio",
                f"input scale / output scale {ratio:.3g} rounds to 0; shift {shift} allows "
                f"{0.5**shift / 2:.3g} and more",
            )
    return None


def has_phases(spec: UnitSpec) -> bool:
    """Whether a transposed convolution needs a bias for each phase: its input has a zero point."""
    return spec.up != (1, 1) and zero_point(spec.inputs[0]) != 0


def phase_sums(weight: NDArray[np.int8] | NDArray[np.int64], spec: UnitSpec) -> NDArray[np.int64]:
    """Sum int64 [phase, O] of the weights that outputs of each phase of ``spec.up`` read."""
    vertical, horizontal = (
        (np.arange(up)[:, None] - before + np.arange(taps) * dilation) % up == 0
        for up, before, taps, dilation in zip(
            spec.up, spec.padding, spec.kernel, spec.dilation, strict=False
        )
    )
    totals = weight.sum(axis=1, dtype=np.int64)
    return np.einsum("yk,xl,okl->yxo", vertical, horizontal, totals).reshape(-1, len(weight))
