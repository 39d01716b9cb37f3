# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# (xgboost's annotations are partial)
"""The heads of a model and what they say of pairs, in predictions and in tables of errors alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

from codesign.costmodel.columns import Floats
from codesign.costmodel.trees import Spread, predict


@dataclass(frozen=True, eq=False)
class Heads:
    """The trees: cycles and their spread; energy and feasibility where the traces had them."""

    cycles: xgb.Booster
    spread: Spread
    energy: xgb.Booster | None = None
    feasible: xgb.Booster | None = None


@dataclass(frozen=True, eq=False)
class Pairs:
    """What the heads take, arrays of one shape [...].

    ``values`` float32[..., F] inputs; ``log_base`` what the trees for cycles correct; ``fits``:
    a tiling of the closed form does; ``roofline`` cycles; ``energy_base_mj`` what the energy head
    corrects; ``kinds`` index into `intervals.KINDS`.
    """

    values: NDArray[np.float32]
    log_base: Floats
    fits: NDArray[np.bool_]
    roofline: Floats
    energy_base_mj: Floats
    kinds: NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Prediction:
    """Arrays of the pairs' shape.

    ``cycles`` whole numbers; ``low``, ``high``: limits of the interval around them; ``energy_mj``
    estimated millijoules, nan without that head; ``feasible`` probability that a schedule exists,
    without that head 1 where a tiling of the closed form fits, else 0.
    """

    cycles: Floats
    low: Floats
    high: Floats
    energy_mj: Floats
    feasible: Floats


def predict_pairs(heads: Heads, pairs: Pairs) -> Prediction:
    """All heads; nothing is below the roofline, and low <= cycles <= high."""
    shape = pairs.log_base.shape
    values = pairs.values.reshape(-1, pairs.values.shape[-1])
    log_cycles = pairs.log_base + predict(heads.cycles, values).reshape(shape)
    scale = heads.spread.scale(values).reshape(shape)
    low, high = heads.spread.quantiles.limits(log_cycles, scale, pairs.kinds)
    cycles = whole_cycles(np.exp(log_cycles), pairs.roofline)
    energy, feasible = np.full(shape, np.nan), np.where(pairs.fits, 1.0, 0.0)
    if heads.energy is not None:
        energy = pairs.energy_base_mj * np.exp(predict(heads.energy, values).reshape(shape))
    if heads.feasible is not None:
        feasible = predict(heads.feasible, values).reshape(shape)
    return Prediction(
        cycles,
        np.minimum(whole_cycles(low, pairs.roofline), cycles),
        np.maximum(whole_cycles(high, pairs.roofline), cycles),
        energy,
        feasible,
    )


def whole_cycles(cycles: Floats, roofline: Floats) -> Floats:
    """The nearest whole numbers that are not below the roofline."""
    return np.rint(np.maximum(cycles, np.ceil(roofline)))
