"""Trace runs that are killed, run twice at once, run out of disk, or ask for schedules."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from samples import small_layers, square_configs

from codesign.costmodel import collect, read
from codesign.errors import StoreError
from codesign.kernels import candidates, measure
from codesign.store import TraceStore, to_plain, trace_key

LAYERS, CONFIGS = small_layers(), square_configs()
SAMPLES = 100

RUN = """
import sys
sys.path.insert(0, sys.argv[1])
if __name__ == "__main__":
    from samples import small_layers, square_configs
    from codesign.costmodel import collect
    from codesign.store import TraceStore
    with TraceStore.open(sys.argv[2]) as store:
        collect(small_layers(), square_configs(), int(sys.argv[3]), 5, store, 2,
                lambda done, total: print(done, flush=True), sampling=sys.argv[4])
"""


def content(path: Path) -> list[object]:
    with TraceStore.open(path, readonly=True) as store:
        return list(store.rows())


@pytest.mark.parametrize("sampling", ["random", pytest.param("active", marks=pytest.mark.long)])
def test_killed_and_started_again_the_store_is_equal(tmp_path: Path, sampling: str) -> None:
    whole, killed, script = (tmp_path / name for name in ("whole.db", "killed.db", "run.py"))
    script.write_text(RUN)
    arguments = [str(Path(__file__).parent), str(killed), str(SAMPLES), sampling]
    command = [sys.executable, str(script), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    while int(process.stdout.readline()) < SAMPLES // 3:
        pass
    # While it runs, nobody else writes.
    with pytest.raises(StoreError, match=r"killed\.db is locked by another writer"):
        TraceStore.open(killed)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    kept = len(content(killed))
    assert SAMPLES // 3 <= kept < SAMPLES
    with TraceStore.open(killed) as store:
        done = collect(LAYERS, CONFIGS, SAMPLES, 5, store, sampling=sampling)
    assert (done.known, done.simulated) == (kept, SAMPLES - kept)
    with TraceStore.open(whole) as store:
        collect(LAYERS, CONFIGS, SAMPLES, 5, store, sampling=sampling)
    assert content(killed) == content(whole)


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
