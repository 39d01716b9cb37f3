"""Sums of scaled operands that round as onnxruntime does (HAS_MUL): multipliers of several digits.

Whatever enters the accumulators through scaled identities has multipliers of 7 bits, or of up to 23
in three digits to base 256. An operand has 256 values, so that outputs are known for all of them:
`fit_sums` takes the fewest digits with which every output is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from codesign.compiler.fit.common import MAX_SHIFT, largest_shift
from codesign.hw.config import VtaConfig
from codesign.kernels import bias_capacity, bias_parts, default_bias_tiles

Integers = NDArray[np.int64]

_MOST_DIGITS = 3
_NEAR = (0, -1, 1, -2, 2)
"""Steps from the rounded multiplier that are tried."""
FAR = 2**61
"""No bound on an offset."""


@dataclass(frozen=True, eq=False)
class Sum:
    """Values [operands, n] that enter a sum, its unclipped outputs [n], output steps for each."""

    values: Integers
    outputs: Integers
    ratios: tuple[float, ...]


@dataclass(frozen=True)
class Digits:
    """Multipliers and bias (no rounding constant in it) of each sum; are all outputs right?"""

    digits: int
    shift: int
    multipliers: tuple[tuple[int, ...], ...]
    biases: tuple[int, ...]
    exact: bool


def fit_sums(sums: Sequence[Sum], bounds: tuple[int, int], cfg: VtaConfig) -> Digits | None:
    """The fewest digits that give every output; the most if none do; None where none fit."""
    found: Digits | None = None
    for digits in range(1, _MOST_DIGITS + 1):
        fitted = _fit(sums, bounds, digits, cfg)
        found = fitted or found
        if fitted is not None and fitted.exact:
            break
    return found


def _fit(
    sums: Sequence[Sum], bounds: tuple[int, int], digits: int, cfg: VtaConfig
) -> Digits | None:
    peak = max(max(s.ratios) for s in sums)
    reach = max(float(np.abs(s.values).max(axis=1) @ np.array(s.ratios)) for s in sums)
    shift = largest_shift(peak, 127 * 256 ** (digits - 1), MAX_SHIFT * min(digits, 2))
    shift = min(shift, int(np.floor(np.log2(2.0**31 / (2 * reach + 130)))))
    if shift < min(digits, 2):
        return None
    half = 1 << shift >> 1
    capacity = bias_capacity(cfg, default_bias_tiles(cfg))
    multipliers: list[tuple[int, ...]] = []
    biases: list[int] = []
    exact = True
    for one in sums:
        outputs = np.minimum(np.maximum(one.outputs, bounds[0]), bounds[1])[None]
        centre = [int(np.rint(np.ldexp(ratio, shift))) for ratio in one.ratios]
        best, chosen, bias = -2 * FAR, tuple(centre), 0
        for steps in product(_NEAR, repeat=len(centre)):
            trial = tuple(c + step for c, step in zip(centre, steps, strict=True))
            scaled = np.array(trial, np.int64) @ one.values
            (offset,), (room,) = offsets(scaled[None], outputs, shift, bounds)
            if room > best:
                best, chosen, bias = int(room), trial, int(offset) - half
            if room >= 0:
                break
        exact &= best >= 0
        if max(abs(part) for part in bias_parts(bias + half, digits)) > capacity:
            return None
        multipliers.append(chosen)
        biases.append(bias)
    return Digits(digits, shift, tuple(multipliers), tuple(biases), exact)


def limits(
    values: Integers, outputs: Integers, shift: int, bounds: tuple[int, int]
) -> tuple[Integers, Integers]:
    """Least and most to add to each value, so that ``clip(value >> shift)`` is its output."""
    low, high = bounds
    least = np.where(outputs > low, (outputs << shift) - values, -FAR)
    most = np.where(outputs < high, (outputs + 1 << shift) - 1 - values, FAR)
    return least, most


def offsets(
    values: Integers, outputs: Integers, shift: int, bounds: tuple[int, int]
) -> tuple[Integers, Integers]:
    """What to add to ``values`` [..., n] for its right ``outputs``, and the room for it, [...].

    With room below 0 no offset gives every output, and it lies halfway between what they ask for.
    """
    each_least, each_most = limits(values, outputs, shift, bounds)
    least, most = each_least.max(axis=-1), each_most.min(axis=-1)
    half, any_ = 1 << shift >> 1, bounds[0] << shift
    least, most = (
        np.where(least == -FAR, np.where(most == FAR, any_, most - half), least),
        np.where(most == FAR, np.where(least == -FAR, any_, least + half), most),
    )
    return least + (most - least) // 2, most - least


def requantized(
    values: NDArray[np.int64], scale: float, out_scale: float, zero: int
) -> NDArray[np.int64]:
    """onnxruntime's quantisation, not saturated, of what it dequantises from ``values``."""
    real = values.astype(np.float32) * np.float32(scale) / np.float32(out_scale)
    return np.rint(real).astype(np.int64) + zero
