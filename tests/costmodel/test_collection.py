"""Trace runs that run out of disk, or ask for schedules."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from samples import small_layers, square_configs

from codesign.costmodel import collect, read
from codesign.errors import StoreError
from codesign.kernels import candidates, measure
from codesign.store import TraceStore, to_plain, trace_key

LAYERS, CONFIGS = small_layers(), square_configs()


def content(path: Path) -> list[object]:
    with TraceStore.open(path, readonly=True) as store:
        return list(store.rows())


def test_a_full_disk_is_named_and_loses_nothing(tmp_path: Path) -> None:
    full, whole = tmp_path / "full.db", tmp_path / "whole.db"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with TraceStore.open(full) as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (full.stat().st_size + (96 << 10), hard))
        try:
            with pytest.raises(StoreError, match=r"full\.db: .*; free some disk space and run"):
                collect(LAYERS, CONFIGS, 60, 5, store)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        kept = store.count()
        assert 0 < kept < 60
    with TraceStore.open(full) as store:
        assert collect(LAYERS, CONFIGS, 60, 5, store).known == kept
    with TraceStore.open(whole) as store:
        collect(LAYERS, CONFIGS, 60, 5, store)
    assert content(full) == content(whole)


def test_schedules_are_rows_of_their_own(tmp_path: Path) -> None:
    with TraceStore.open(tmp_path / "t.db") as store:
        done = collect(LAYERS, CONFIGS, 10, 0, store, schedules=3)
        assert done.simulated == store.count() > 20
        again = collect(LAYERS, CONFIGS, 10, 0, store, workers=2, schedules=3)
        assert (again.simulated, again.known) == (0, done.simulated)
        assert len(read(store).cycles) == 10
        for row in store.rows():
            if row.key == trace_key(row.workload, row.config, None, row.simulator):
                best = row
                continue
            assert row.cycles is not None and best.cycles is not None
            assert (row.workload, row.config) == (best.workload, best.config)
            (schedule,) = (
                s for s in candidates(row.workload, row.config) if to_plain(s) == row.schedule
            )
            assert measure(row.workload, row.config, schedule).cycles == row.cycles


def test_stored_schedules_are_not_drawn_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TraceStore.open(tmp_path / "t.db") as store:
        first = collect(LAYERS, CONFIGS, 10, 0, store, schedules=2)
        assert (first.simulated, first.known) == (30, 0)
        # Best schedules alone are known of the pairs that a longer run adds.
        collect(LAYERS, CONFIGS, 12, 0, store)
        more = collect(LAYERS, CONFIGS, 12, 0, store, schedules=2)
        assert (more.simulated, more.known) == (4, 32)
        with monkeypatch.context() as patch:
            patch.setattr("codesign.kernels.candidates", None)
            again = collect(LAYERS, CONFIGS, 12, 0, store, schedules=2)
        assert (again.simulated, again.known, store.count()) == (0, 36, 36)
