"""Uniformly random pairs, none twice: the floor that every strategy must beat."""

from __future__ import annotations

from collections.abc import Sequence

from codesign.search.accounting import BATCH
from codesign.search.evaluation import Evaluation, Pair, Proposal
from codesign.search.strategies.base import NoOptions, Setting, read_options


class RandomPairs:
    """Draws pairs without replacement."""

    def __init__(self, setting: Setting) -> None:
        read_options(setting, NoOptions)
        self._shape = setting.view.shape
        self._rng = setting.rng
        self._seen: set[Pair] = set()

    def ask(self, room: float) -> Sequence[Proposal]:
        networks, configs = self._shape
        count = min(int(room), BATCH, networks * configs - len(self._seen))
        proposals: list[Proposal] = []
        while len(proposals) < count:
            pair = Pair(int(self._rng.integers(networks)), int(self._rng.integers(configs)))
            if pair not in self._seen:
                self._seen.add(pair)
                proposals.append(Proposal(pair))
        return proposals

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Random draws learn nothing."""
