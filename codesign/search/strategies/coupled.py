"""Fully coupled nested search, O(M N): every candidate of the outer side gets an inner search.

``coupled-nn-outer`` evolves networks, each with ``inner`` configurations; ``coupled-hw-outer``
evolves configurations, each with ``inner`` networks. An outer candidate is worth its best pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from codesign.search.accounting import BATCH
from codesign.search.evaluation import Evaluation, Pair, Proposal
from codesign.search.ranking import Key, order
from codesign.search.strategies.base import Setting, Strategy, option, read_options
from codesign.search.strategies.decoupled import Side
from codesign.search.strategies.evolution import Evolution, Row, check_tournament


@dataclass(frozen=True)
class CoupledOptions:
    """``inner`` pairs for each outer candidate, at most a round's; a quarter of them mutants of
    the best inner choice so far, the others random. `Evolution`'s population and tournament."""

    inner: int = option(4, 1, BATCH)
    population: int = option(24, 1, 10_000)
    tournament: int = option(6, 1, 10_000)

    def __post_init__(self) -> None:
        check_tournament(self.population, self.tournament)


class Coupled:
    """The strategies ``coupled-*``."""

    def __init__(self, setting: Setting, outer: Side) -> None:
        options = read_options(setting, CoupledOptions)
        view, rng = setting.view, setting.rng
        self._view = view
        self._outer = outer
        self._inner = options.inner
        sides = view.network_options, view.config_options
        outside, inside = sides if outer == "network" else sides[::-1]
        self._candidates = Evolution(outside, rng, options.population, options.tournament)
        # Its random half keeps the inner search from following the first good choice alone.
        self._choices = Evolution(inside, rng, options.population, options.tournament)
        self._random = Evolution(inside, rng, 1 << 62, 1)
        self._rows: list[tuple[Row, Row]] = []

    def ask(self, room: float) -> Sequence[Proposal]:
        left = min(BATCH, int(room))
        proposals: list[Proposal] = []
        self._rows = []
        while len(proposals) < left:
            candidate = self._candidates.ask()
            for place in range(min(self._inner, left - len(proposals))):
                choice = (self._choices if place % 4 == 0 else self._random).ask()
                self._rows.append((candidate, choice))
                proposals.append(Proposal(self._pair(candidate, choice)))
        return proposals

    def _pair(self, candidate: Row, choice: Row) -> Pair:
        network, config = candidate, choice
        if self._outer == "config":
            network, config = choice, candidate
        return Pair(self._view.network_at(network), self._view.config_at(config))

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        worth: dict[Row, tuple[Key, Row]] = {}
        for (candidate, choice), e in zip(self._rows, evaluations, strict=True):
            found = order(e, self._view.objectives), choice
            worth[candidate] = min(worth.get(candidate, found), found)
        for candidate, (key, choice) in worth.items():
            self._candidates.tell(candidate, key)
            self._choices.tell(choice, key)


def nn_outer(setting: Setting) -> Strategy:
    return Coupled(setting, "network")


def hw_outer(setting: Setting) -> Strategy:
    return Coupled(setting, "config")
