"""Fully decoupled search, O(M + N): one side on a fixed other side, then the other side.

``decoupled-nn-first`` evolves networks on a reference accelerator, then accelerators for the best
of them; ``decoupled-hw-first`` evolves accelerators for a reference network, then networks on the
best of them. What the first half decided is not questioned again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from codesign.search.accounting import BATCH
from codesign.search.evaluation import Evaluation, Pair, Proposal
from codesign.search.ranking import Key, order
from codesign.search.strategies.base import Setting, Strategy, option, read_options
from codesign.search.strategies.evolution import Evolution, Row, check_tournament
from codesign.search.view import View

Side = Literal["network", "config"]

_TRIES = 100
"""Draws for a pair that was not proposed yet."""


@dataclass(frozen=True)
class DecoupledOptions:
    """``share`` of the budget for the first half; `Evolution`'s population and tournament."""

    share: float = option(0.7, 0.0, 1.0)
    population: int = option(32, 1, 10_000)
    tournament: int = option(8, 1, 10_000)

    def __post_init__(self) -> None:
        check_tournament(self.population, self.tournament)


class Decoupled:
    """The strategies ``decoupled-*``; ``first`` is the side that is searched first."""

    def __init__(self, setting: Setting, first: Side) -> None:
        self._options = read_options(setting, DecoupledOptions)
        self._setting = setting
        self._view = view = setting.view
        self._side: Side = first
        self._first = first
        self._fixed = reference_config(view) if first == "network" else reference_network(view)
        self._switch = self._options.share * setting.budget
        self._evolution = self._evolve(first)
        self._seen: set[Pair] = set()
        self._rows: list[Row] = []
        self._best: tuple[Key, Pair] | None = None

    def _evolve(self, side: Side) -> Evolution:
        view, options = self._view, self._options
        counts = view.network_options if side == "network" else view.config_options
        return Evolution(counts, self._setting.rng, options.population, options.tournament)

    def ask(self, room: float) -> Sequence[Proposal]:
        spent = self._setting.budget - room
        if self._side == self._first and self._best is not None and spent >= self._switch:
            self._turn()
        proposals = self._round(min(BATCH, int(room)))
        if not proposals and self._side == self._first and self._best is not None:
            self._turn()
            proposals = self._round(min(BATCH, int(room)))
        return proposals

    def _turn(self) -> None:
        """Fix what the first half found and search the other side."""
        assert self._best is not None
        pair = self._best[1]
        self._fixed = pair.network if self._first == "network" else pair.config
        self._side = "config" if self._first == "network" else "network"
        self._evolution = self._evolve(self._side)

    def _round(self, count: int) -> list[Proposal]:
        proposals: list[Proposal] = []
        self._rows = []
        for _ in range(count * _TRIES):
            if len(proposals) == count:
                break
            row = self._evolution.ask()
            if self._side == "network":
                pair = Pair(self._view.network_at(row), self._fixed)
            else:
                pair = Pair(self._fixed, self._view.config_at(row))
            if pair not in self._seen:
                self._seen.add(pair)
                self._rows.append(row)
                proposals.append(Proposal(pair))
        return proposals

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        for row, e in zip(self._rows, evaluations, strict=True):
            key = order(e, self._view.objectives)
            self._evolution.tell(row, key)
            if self._best is None or key < self._best[0]:
                self._best = key, e.pair


def reference_config(view: View) -> int:
    """The middle one of the allowed configurations (of all, if none is), by processing elements
    and memory: an accelerator that was designed for no network in particular."""
    allowed = np.flatnonzero(view.allowed_configs)
    listed = allowed if len(allowed) else np.arange(view.shape[1])
    size = [(view.configs[int(c)].pes, view.configs[int(c)].sram_bytes, int(c)) for c in listed]
    return sorted(size)[len(size) // 2][2]


def reference_network(view: View) -> int:
    """The connected network with the median number of multiply-accumulates."""
    connected = np.flatnonzero(view.connected)
    listed = connected if len(connected) else np.arange(view.shape[0])
    return int(listed[np.argsort(view.macs[listed], kind="stable")[len(listed) // 2]])


def nn_first(setting: Setting) -> Strategy:
    return Decoupled(setting, "network")


def hw_first(setting: Setting) -> Strategy:
    return Decoupled(setting, "config")
