"""Uniformly random pairs, none twice: the floor that every strategy must beat."""

from __future__ import annotations

from collections.abc import Sequence

from codesign.search.evaluator import Evaluation, Pair
from codesign.search.strategies.base import BATCH, Setting


class RandomPairs:
    """Draws pairs without replacement."""

    def __init__(self, setting: Setting) -> None:
        self._shape = setting.evaluator.pairs.shape
        self._rng = setting.rng
        self._seen: set[Pair] = set()

    def ask(self, room: int) -> Sequence[Pair]:
        networks, configs = self._shape
        count = min(room, BATCH, networks * configs - len(self._seen))
        proposals: list[Pair] = []
        while len(proposals) < count:
            pair = Pair(int(self._rng.integers(networks)), int(self._rng.integers(configs)))
            if pair not in self._seen:
                self._seen.add(pair)
                proposals.append(pair)
        return proposals

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Random draws learn nothing."""
