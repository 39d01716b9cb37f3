"""The weighted-product reward of NAHAS and MnasNet: quality times powers of figures over limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

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
    figures: Mapping[str, float],
    objective: Objective,
    constraints: Sequence[Constraint],
    mode: Mode = "hard",
) -> float:
    """Acc (Lat / T)^w (Area / T_area)^w, above 0 and larger for better pairs; 0 without schedule.

    ``objective`` gives the first factor: accuracy in percent over 100, another figure itself, or
    its inverse where less is better. Each limit gives another; a lower limit on accuracy the power
    of limit / accuracy.
    """
    value = figures.get(objective.metric)
    if value is None or value <= 0.0:
        return 0.0
    value = value / 100.0 if objective.metric == "accuracy" else value
    reward = value if objective.goal == "max" else 1.0 / value
    for constraint in constraints:
        figure = figures.get(constraint.metric)
        if figure is None or figure <= 0.0:
            return 0.0
        ratio = figure / constraint.limit
        ratio = 1.0 / ratio if constraint.metric == "accuracy" else ratio
        exponents = EXPONENTS[mode]
        reward *= ratio ** (exponents.kept if ratio <= 1.0 else exponents.broken)
    return reward
