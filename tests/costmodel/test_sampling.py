"""Which pairs are drawn: distinct, seeded, evenly spread, and where models disagree."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from samples import small_layers, square_configs

from codesign.costmodel import collect
from codesign.costmodel.closed_form import bound
from codesign.costmodel.columns import config_columns, grid, workload_columns
from codesign.costmodel.sampling import IndexPairs, Sampling, sampler, sobol_pairs
from codesign.hw.space import load_space
from codesign.store import TraceStore

LAYERS, CONFIGS = small_layers(), square_configs()
T0 = bound(*grid(workload_columns(LAYERS), config_columns(CONFIGS))).cycles
ERRATIC = np.random.default_rng(0).normal(0, 0.5, T0.shape)


def drawn(sampling: Sampling, samples: int, seed: int) -> list[IndexPairs]:
    """Batches, answered with cycles that only depend on the pair."""
    source = sampler(sampling, LAYERS, CONFIGS, samples, seed)
    batches = [next(source)]
    while True:
        u, c = batches[-1].T
        cycles = T0[u, c] * np.exp(np.where(c % 3 == 0, ERRATIC[u, c], 0.0))
        cycles[u == 7] = np.nan
        try:
            batches.append(source.send(cycles))
        except StopIteration:
            return batches


@pytest.mark.parametrize(
    ("sampling", "samples"),
    [*product(("random", "sobol"), (1, 5, 50, 192, 500)), ("active", 3), ("active", 50)],
)
def test_pairs_are_distinct_and_repeat(sampling: Sampling, samples: int) -> None:
    pairs = np.concatenate(drawn(sampling, samples, 3))
    assert len(pairs) == len(np.unique(pairs, axis=0)) == min(samples, 192)
    assert (pairs >= 0).all() and (pairs < [16, 12]).all()
    np.testing.assert_array_equal(pairs, np.concatenate(drawn(sampling, samples, 3)))
    if samples == 50 and sampling != "active":
        assert (pairs != np.concatenate(drawn(sampling, samples, 4))).any()


def test_sobol_spreads_evenly_over_every_axis() -> None:
    configs = load_space("neuhardco").configs()
    pairs = sobol_pairs(LAYERS, configs, 96, 0)
    for name in ("block_in", "block_out", "sram_bytes", "dataflow"):
        values = [getattr(configs[c], name) for c in map(int, pairs[:, 1])]
        counts = [values.count(value) for value in set(values)]
        expected = len(values) / len({getattr(config, name) for config in configs})
        assert all(0.7 * expected <= count <= 1.3 * expected for count in counts)
    layers = np.bincount(pairs[:, 0], minlength=len(LAYERS))
    assert layers.min() >= 3 and layers.max() <= 9


def test_active_batches_go_where_models_disagree() -> None:
    first, *later = drawn("active", 120, 0)
    assert [len(first), len(later)] == [15, 7]
    # A third of the configurations follows no law: it is asked for more than its share.
    odd = np.concatenate(later)[:, 1] % 3 == 0
    assert odd.mean() > 0.45


@pytest.mark.long
def test_active_stores_equal_rows_whatever_the_workers(tmp_path) -> None:
    rows = []
    for workers in (1, 2):
        with TraceStore.open(tmp_path / f"{workers}.db") as store:
            done = collect(LAYERS, CONFIGS, 24, 0, store, workers, sampling="active")
            assert (done.simulated, store.count()) == (24, 24)
            rows.append(list(store.rows()))
    assert rows[0] == rows[1]
