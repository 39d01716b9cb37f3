"""Collecting traces: the store's content depends on the seed alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from samples import small_layers, square_configs, synthetic_rows

from codesign.costmodel import collect, off_config, on_config, read
from codesign.costmodel.sampling import random_pairs
from codesign.errors import StoreError
from codesign.kernels import ConvWorkload, best_schedule
from codesign.store import TraceStore

LAYERS, CONFIGS = small_layers()[:6], square_configs()


def content(path: Path) -> list[object]:
    with TraceStore.open(path, readonly=True) as store:
        return list(store.rows())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TraceStore]:
    with TraceStore.open(tmp_path / "traces.db") as opened:
        yield opened


def test_pairs_are_distinct_and_seeded() -> None:
    for layers, configs, samples in ((5, 7, 20), (4000, 3000, 500), (3, 2, 100)):
        pairs = random_pairs(layers, configs, samples, 1)
        assert len(np.unique(pairs, axis=0)) == len(pairs) == min(samples, layers * configs)
        assert (pairs >= 0).all()
        assert (pairs < [layers, configs]).all()
        np.testing.assert_array_equal(pairs, random_pairs(layers, configs, samples, 1))
    assert (random_pairs(50, 50, 20, 1) != random_pairs(50, 50, 20, 2)).any()


@pytest.mark.parametrize("layers", [5, 4000])
def test_more_samples_begin_with_fewer(layers: int) -> None:
    many = random_pairs(layers, 3000, 2000, 1)
    for samples in (1, 7, 100, 1999):
        np.testing.assert_array_equal(random_pairs(layers, 3000, samples, 1), many[:samples])


def test_rows_hold_the_best_schedule(store: TraceStore) -> None:
    seen: list[tuple[int, int]] = []
    done = collect(LAYERS, CONFIGS, 20, 0, store, progress=lambda d, total: seen.append((d, total)))
    assert (done.simulated, done.known, done.infeasible) == (20, 0, 0)
    assert seen == [(0, 20), (16, 20), (20, 20)]
    for row in store.rows():
        best = best_schedule(row.workload, row.config)
        assert (row.cycles, row.counters) == (best.cycles, best.counters)
    rows = read(store)
    assert len(rows.cycles) == 20
    assert set(rows.workloads) <= set(LAYERS)


def test_workers_and_resuming_change_nothing(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("one.db", "two.db", "resumed.db")]
    for path, workers in zip(paths, (1, 2, 1), strict=True):
        with TraceStore.open(path) as store:
            if path.name == "resumed.db":
                collect(LAYERS, CONFIGS, 18, 4, store)
            collect(LAYERS, CONFIGS, 30, 4, store, workers)
            again = collect(LAYERS, CONFIGS, 30, 4, store)
            assert (again.simulated, again.known) == (0, 30)
    assert content(paths[0]) == content(paths[1]) == content(paths[2])


def test_infeasible_pairs_are_rows_with_a_reason(store: TraceStore) -> None:
    rectangular = replace(CONFIGS[0], log_batch=1, log_block_in=3, log_block_out=4)
    done = collect(LAYERS[:2], [rectangular, CONFIGS[0]], 4, 0, store)
    assert done.infeasible == 2
    reasons = [row.infeasible for row in store.rows() if row.infeasible is not None]
    assert {reason.constraint for reason in reasons} == {"batch_layout"}
    rows = read(store)
    assert (len(rows.cycles), rows.infeasible) == (2, 2)
    assert collect(LAYERS[:2], [rectangular, CONFIGS[0]], 4, 0, store).infeasible == 2


def test_an_empty_or_infeasible_store_is_an_error(store: TraceStore) -> None:
    with pytest.raises(StoreError, match="no traces; collect some"):
        read(store)
    rectangular = replace(CONFIGS[0], log_batch=1, log_block_in=3, log_block_out=4)
    collect(LAYERS[:2], [rectangular], 2, 0, store)
    with pytest.raises(StoreError, match="all 2 traces are infeasible"):
        read(store)


def test_digest_ignores_the_order(store: TraceStore) -> None:
    collect(LAYERS, CONFIGS, 12, 0, store)
    rows = read(store)
    assert rows.digest() == rows.select(np.arange(12)[::-1].copy()).digest()
    assert rows.digest() != rows.select(np.arange(11)).digest()


def test_layers_and_units_convert_into_each_other() -> None:
    layer, narrow = ConvWorkload(16, 16, 8, 8), replace(CONFIGS[0], log_block=3)
    unit = on_config(layer, narrow)
    assert unit == replace(layer, bias_tiles=2)
    assert off_config(unit, narrow) == layer
    forced = replace(layer, bias_tiles=3)
    assert on_config(forced, narrow) == off_config(forced, narrow) == forced


def test_only_the_pairs_asked_for() -> None:
    rows = synthetic_rows()
    layers, (first, *_, tiny) = rows.workloads[:3], rows.configs
    some = rows.only([(layer, config) for layer in layers for config in (first, tiny)])
    assert (some.workloads, some.configs) == (layers, (first, tiny))
    assert (len(some.cycles), some.infeasible, some.simulator) == (3, 3, rows.simulator)
    wanted = np.isin(rows.layer_ids, [0, 1, 2]) & (rows.config_ids == 0)
    np.testing.assert_array_equal(some.cycles, rows.cycles[wanted])
    np.testing.assert_array_equal(some.energy_mj, rows.energy_mj[wanted])
    everything = [(w, c) for w in rows.workloads for c in rows.configs]
    assert rows.only(everything).digest() == rows.digest()
