"""What a strategy proposes and what it learns: pairs, proposals, evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from codesign.errors import Infeasible
from codesign.store import EvaluationRow

Fidelity = Literal["full", "short"]
"""``full``: accuracy and T2 figures together, the price of one evaluation. ``short``: the accuracy
after a short training schedule alone, for `View.short_price`."""

LEVELS: dict[Fidelity, str] = {"full": "t2", "short": "short schedule"}
"""The level under which an evaluation is stored."""


@dataclass(frozen=True)
class Pair:
    """A network and a configuration, by their indices."""

    network: int
    config: int


@dataclass(frozen=True)
class Proposal:
    """A pair to evaluate, and how well."""

    pair: Pair
    fidelity: Fidelity = "full"


@dataclass(frozen=True)
class Evaluation:
    """What was bought of one pair. ``figures`` lacks ``cycles``, ``latency_ms`` and ``energy_mj``
    where no schedule exists and at fidelity ``short``, whose ``accuracy`` is the short schedule's.

    ``violations`` names every constraint broken; ``excess`` is the sum of their relative
    excesses (infinite where the pair cannot be built), 0 for a feasible pair. At fidelity
    ``short`` only limits on the hardware's own figures are judged.
    """

    pair: Pair
    network: str
    config: str
    figures: Mapping[str, float]
    violations: tuple[Infeasible, ...]
    excess: float
    fidelity: Fidelity = "full"

    @property
    def feasible(self) -> bool:
        """Whether no constraint is known to be broken."""
        return not self.violations

    def row(self, position: int) -> EvaluationRow:
        """The stored form."""
        body: dict[str, Any] = {
            "figures": dict(self.figures),
            "violations": [[v.constraint, v.message] for v in self.violations],
        }
        level = LEVELS[self.fidelity]
        return EvaluationRow(position, self.network, self.config, level, body)
