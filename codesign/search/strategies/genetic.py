"""NAF's elitist genetic search (e-GA): parallel populations that grow, and an early stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.search.pairs import Floats

Genes = NDArray[np.int64]
Cost = Callable[[Genes], Floats]
"""Costs float64 [B], smaller is better and inf impossible, of genes int64 [B, K]."""


@dataclass(frozen=True)
class GeneticRecipe:
    """``populations`` of ``size`` evolve apart, each generation keeping its ``elites``.

    A population whose best has not improved for ``patience`` generations grows by ``growth_size``
    (delta 1) random individuals and its mutation rate by ``growth_rate`` (delta 2); after
    ``growths`` of them without improvement it stops. ``generations`` is the most there are. The
    published algorithm names elitism, parallel populations, early stop and growth; the numbers,
    and what exactly grows, are ours (unverified).
    """

    populations: int = 2
    size: int = 12
    elites: int = 3
    mutation: float = 0.15
    patience: int = 3
    growth_size: int = 6
    growth_rate: float = 0.1
    growths: int = 2
    generations: int = 60


@dataclass(frozen=True)
class Found:
    """The best genes and their cost, distinct genes priced, and the best cost after each
    generation."""

    genes: tuple[int, ...]
    cost: float
    evaluations: int
    history: tuple[float, ...]


def elitist_search(
    options: tuple[int, ...],
    cost: Cost,
    rng: np.random.Generator,
    recipe: GeneticRecipe = GeneticRecipe(),
    start: Genes | None = None,
) -> Found:
    """The cheapest genes found; ``options`` are the values of each gene.

    ``start`` int64 [M, K], where given, joins the first population: a former result to go on from.
    Genes priced once are not priced again.
    """
    memory = _Memory(cost)
    populations = [_Population(options, memory, rng, recipe) for _ in range(recipe.populations)]
    if start is not None:
        populations[0].add(start)
    history: list[float] = []
    for _ in range(recipe.generations):
        alive = [population for population in populations if not population.stopped]
        if not alive:
            break
        for population in alive:
            population.step()
        history.append(min(population.best for population in populations))
    best = min(populations, key=lambda population: population.best)
    genes = tuple(int(gene) for gene in best.genes[0])
    return Found(genes, best.best, memory.count, tuple(history))


class _Memory:
    def __init__(self, cost: Cost) -> None:
        self._cost = cost
        self._known: dict[bytes, float] = {}

    @property
    def count(self) -> int:
        return len(self._known)

    def __call__(self, genes: Genes) -> Floats:
        keys = [row.tobytes() for row in genes]
        fresh = {key: row for row, key in enumerate(keys) if key not in self._known}
        if fresh:
            costs = self._cost(genes[list(fresh.values())])
            self._known.update(zip(fresh, costs.tolist(), strict=True))
        return np.array([self._known[key] for key in keys])


class _Population:
    """Individuals, cheapest first."""

    def __init__(
        self,
        options: tuple[int, ...],
        memory: _Memory,
        rng: np.random.Generator,
        recipe: GeneticRecipe,
    ) -> None:
        self._options = np.array(options, np.int64)
        self._memory, self._rng, self._recipe = memory, rng, recipe
        self._size, self._mutation = recipe.size, recipe.mutation
        self._stale = self._growths = 0
        self.stopped = False
        self.genes: Genes = np.zeros((0, len(options)), np.int64)
        self.costs: Floats = np.zeros(0)
        self.add(self._random(self._size))

    @property
    def best(self) -> float:
        return float(self.costs[0])

    def add(self, genes: Genes) -> None:
        """Take individuals in; the cheapest ones stay, none twice."""
        genes = np.unique(np.concatenate([self.genes, genes.astype(np.int64)]), axis=0)
        costs = self._memory(genes)
        order = np.argsort(costs, kind="stable")[: self._size]
        self.genes, self.costs = genes[order], costs[order]

    def step(self) -> None:
        """One generation; the elite lives on, children take the others' places."""
        before = self.best
        children = self._children(self._size - self._recipe.elites)
        elite = slice(self._recipe.elites)
        self.genes, self.costs = self.genes[elite], self.costs[elite]
        self.add(children)
        self._stale = 0 if self.best < before else self._stale + 1
        if self.best < before:
            self._growths = 0
        if self._stale >= self._recipe.patience:
            self._grow()

    def _grow(self) -> None:
        if self._growths >= self._recipe.growths:
            self.stopped = True
            return
        self._growths, self._stale = self._growths + 1, 0
        self._size += self._recipe.growth_size
        self._mutation = min(1.0, self._mutation + self._recipe.growth_rate)
        self.add(self._random(self._recipe.growth_size))

    def _children(self, count: int) -> Genes:
        """Uniform crossover of parents won in tournaments of two, then mutation."""
        rng, genes = self._rng, self.genes
        places = rng.integers(len(genes), size=(2, 2, count)).min(axis=1)
        mixed = np.where(
            rng.random((count, genes.shape[1])) < 0.5, genes[places[0]], genes[places[1]]
        )
        mutated = rng.random(mixed.shape) < max(self._mutation, 1.0 / mixed.shape[1])
        # Half of the mutations go to a neighbouring value, as options are ordered mostly.
        steps = mixed + rng.choice([-1, 1], mixed.shape)
        near = np.minimum(np.maximum(steps, 0), self._options - 1)
        moved = np.where(rng.random(mixed.shape) < 0.5, near, self._random(count))
        return np.where(mutated, moved, mixed)

    def _random(self, count: int) -> Genes:
        return self._rng.integers(self._options, size=(count, len(self._options)))
