"""The inner genetic search: finds optima with few evaluations, stops early, repeats itself."""

import numpy as np
import pytest

from codesign.search.strategies.genetic import Genes, GeneticRecipe, elitist_search

OPTIONS = (8, 8, 8, 8, 4)
BEST = np.array([5, 2, 7, 0, 3])


def bowl(genes: Genes) -> np.ndarray:
    return 1.0 + np.abs(genes - BEST).sum(axis=1).astype(float)


def test_finds_the_optimum_with_a_fraction_of_the_evaluations() -> None:
    for seed in range(5):
        found = elitist_search(OPTIONS, bowl, np.random.default_rng(seed))
        assert found.cost == 1.0
        assert found.evaluations < np.prod(OPTIONS) / 10
        assert bowl(np.array([found.genes]))[0] == found.cost


def test_the_best_never_gets_worse_and_a_flat_cost_ends_early() -> None:
    found = elitist_search(OPTIONS, bowl, np.random.default_rng(0))
    assert (np.diff(found.history) <= 0).all()
    recipe = GeneticRecipe(patience=2, growths=1, generations=50)
    flat = elitist_search(OPTIONS, lambda g: np.zeros(len(g)), np.random.default_rng(0), recipe)
    assert len(flat.history) == recipe.patience * (recipe.growths + 1)


def test_populations_grow_where_they_are_stuck() -> None:
    sizes: list[int] = []

    def counted(genes: Genes) -> np.ndarray:
        sizes.append(len(genes))
        return np.zeros(len(genes))

    one = GeneticRecipe(populations=1, growths=0)
    grown = GeneticRecipe(populations=1, growths=3)
    few = elitist_search(OPTIONS, counted, np.random.default_rng(0), one).evaluations
    assert elitist_search(OPTIONS, counted, np.random.default_rng(0), grown).evaluations > 2 * few


def test_repeats_itself_and_prices_nothing_twice() -> None:
    seen: list[bytes] = []

    def recorded(genes: Genes) -> np.ndarray:
        seen.extend(row.tobytes() for row in genes)
        return bowl(genes)

    first = elitist_search(OPTIONS, recorded, np.random.default_rng(3))
    assert len(seen) == len(set(seen)) == first.evaluations
    assert elitist_search(OPTIONS, bowl, np.random.default_rng(3)) == first


def test_goes_on_from_a_former_result_and_around_what_is_impossible() -> None:
    start = BEST[None].copy()
    recipe = GeneticRecipe(generations=1)
    found = elitist_search(OPTIONS, bowl, np.random.default_rng(0), recipe, start)
    assert found.cost == 1.0 and found.genes == tuple(BEST.tolist())

    def walled(genes: Genes) -> np.ndarray:
        return np.where(genes[:, 0] % 2 == 0, np.inf, bowl(genes))

    assert elitist_search(OPTIONS, walled, np.random.default_rng(1)).cost <= 2.0


@pytest.mark.parametrize("options", [(1,), (1, 1, 3)])
def test_tiny_spaces(options: tuple[int, ...]) -> None:
    found = elitist_search(options, lambda g: g.sum(axis=1).astype(float), np.random.default_rng(0))
    assert found.cost == 0.0 and found.evaluations <= np.prod(options)
