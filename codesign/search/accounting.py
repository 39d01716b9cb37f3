"""What evaluations cost, and the rules that a round of proposals keeps."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from codesign.errors import StrategyError
from codesign.search.evaluation import Fidelity, Proposal

BATCH = 16
"""Full proposals a round at most, fixed: results may not depend on the number of workers."""

STALL = 1000
"""Rounds in a row with nothing new to pay for, after which a search has ended."""

_ROUNDING = 1e-9
"""Prices are sums of fractions: what a round may exceed its room by."""


def price(fidelity: Fidelity, short_price: float | None) -> float:
    """In full evaluations; StrategyError for a fidelity that is not on offer."""
    if fidelity == "full":
        return 1.0
    if short_price is None:
        raise StrategyError(
            'proposal of fidelity "short": the accuracy source has no short schedule; '
            "View.short_price is None then"
        )
    return short_price


def admit(
    proposals: Sequence[Proposal],
    known: Collection[Proposal],
    shape: tuple[int, int],
    room: float,
    short_price: float | None,
) -> list[bool]:
    """Which of a round's proposals are new; what is ``known`` already costs nothing.

    Raises
    ------
    StrategyError
        the round costs more than ``room``, has more than `BATCH` full proposals, asks for a pair
        outside of ``shape`` or for a fidelity that is not on offer: a fault of the strategy.
    """
    if sum(proposal.fidelity == "full" for proposal in proposals) > BATCH:
        raise StrategyError(f"a round of {len(proposals)} proposals: at most {BATCH} full ones")
    seen: set[Proposal] = set()
    new: list[bool] = []
    cost = 0.0
    for proposal in proposals:
        network, config = proposal.pair.network, proposal.pair.config
        if not (0 <= network < shape[0] and 0 <= config < shape[1]):
            raise StrategyError(f"proposal of {proposal.pair}: there are {shape} pairs")
        new.append(proposal not in known and proposal not in seen)
        seen.add(proposal)
        cost += new[-1] * price(proposal.fidelity, short_price)
    if cost > room + _ROUNDING:
        raise StrategyError(f"a round that costs {cost:g} evaluations: {room:g} are left")
    return new
