"""The weighted-product reward of NAHAS and MnasNet: quality times powers of figures over limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from codesign.search.problem import Constraint, Objective

Mode = Literal["hard", "soft"]


@dataclass(frozen=True)
class Exponents:
    """Power of figure / limit where the limit is ``kept`` and where it is ``broken``."""

    kept: float
    broken: float


EXPONENTS: dict[Mode, Exponents] = {"hard": Exponents(0.0, -1.0), "soft": Exponents(-0.07, -0.07)}
"""Hard: nothing is gained below a limit, everything above is lost in proportion. Soft: MnasNet's,
above and below alike (values unverified)."""


def weighted_product(
    figures: Mapping[str, Any],
    objective: Objective,
    constraints: Sequence[Constraint],
    mode: Mode = "hard",
) -> Any:
    """Acc (Lat / T)^w (Area / T_area)^w, above 0 and larger for better pairs; 0 without schedule.

    ``objective`` gives the first factor: accuracy in percent over 100, another figure itself, or
    its inverse where less is better. Each limit gives another; a lower limit on accuracy the power
    of limit / accuracy. Figures are numbers or float64 [B], and so is the reward.
    """
    asked = (objective.metric, *(constraint.metric for constraint in constraints))
    if any(figures.get(metric) is None for metric in asked):
        return 0.0
    known = {metric: np.asarray(figures[metric], np.float64) for metric in asked}
    built = np.all([known[metric] > 0.0 for metric in asked], axis=0)
    known = {metric: np.where(built, values, 1.0) for metric, values in known.items()}
    value = known[objective.metric]
    value = value / 100.0 if objective.metric == "accuracy" else value
    reward = value if objective.goal == "max" else 1.0 / value
    exponents = EXPONENTS[mode]
    for constraint in constraints:
        ratio = known[constraint.metric] / constraint.limit
        ratio = 1.0 / ratio if constraint.metric == "accuracy" else ratio
        reward = reward * ratio ** np.where(ratio <= 1.0, exponents.kept, exponents.broken)
    return np.where(built, reward, 0.0)
