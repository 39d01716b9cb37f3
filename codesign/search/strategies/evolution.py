"""Regularised evolution (Real et al., AAAI 2019) over rows of integer decisions."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from codesign.errors import ConfigError

Row = tuple[int, ...]
Key = tuple[float, ...]


def check_tournament(population: int, tournament: int) -> None:
    """ConfigError where a tournament has more entrants than there are members."""
    if tournament > population:
        raise ConfigError(
            f"[search.options] tournament = {tournament}: must be at most population = {population}"
        )


class Evolution:
    """Random rows until ``population`` are told; then mutants of the best of ``tournament``
    members. The oldest member dies. Keys are told, smaller is better."""

    def __init__(
        self,
        options: Sequence[int],
        rng: np.random.Generator,
        population: int,
        tournament: int,
        mutations: int = 1,
    ) -> None:
        self._options = tuple(options)
        self._free = [d for d, count in enumerate(options) if count > 1]
        self._rng = rng
        self._population = population
        self._tournament = tournament
        self._mutations = mutations
        self._members: deque[tuple[Key, Row]] = deque(maxlen=population)
        self._asked = 0

    def ask(self) -> Row:
        """A new row."""
        self._asked += 1
        if self._asked <= self._population or not self._members:
            return tuple(int(self._rng.integers(count)) for count in self._options)
        size = min(self._tournament, len(self._members))
        entrants = self._rng.choice(len(self._members), size, replace=False)
        row = list(min(self._members[int(place)] for place in entrants)[1])
        for _ in range(self._mutations if self._free else 0):
            place = self._free[int(self._rng.integers(len(self._free)))]
            step = 1 + int(self._rng.integers(self._options[place] - 1))
            row[place] = (row[place] + step) % self._options[place]
        return tuple(row)

    def tell(self, row: Row, key: Key) -> None:
        """What the row, or one near it, was worth."""
        self._members.append((key, row))
