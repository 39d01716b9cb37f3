import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from codesign.errors import Infeasible, StoreError
from codesign.hw.config import VtaConfig
from codesign.kernels.workload import ConvWorkload, ElementwiseWorkload, PoolWorkload
from codesign.store import EvaluationRow, RunStore, TraceStore, make_row, trace_key

CONV = ConvWorkload(16, 32, 8, 8, (3, 3), padding=(1, 1, 1, 1))
ROWS = [
    make_row(
        workload,
        VtaConfig(name="a"),
        SimpleNamespace(schedule={"tile": (1, 2)}, cycles=100 + i, counters={"gemm": i}),
        "v1",
    )
    for i, workload in enumerate(
        [CONV, PoolWorkload("avg", 16, 8, 8, (3, 3)), ElementwiseWorkload(2, 16, 8, 8)]
    )
]


def test_traces_come_back_equal_and_in_order(tmp_path: Path) -> None:
    infeasible = make_row(CONV, VtaConfig(log_block=3), Infeasible("acc_depth", "too deep"), "v1")
    with TraceStore.open(tmp_path / "t.db") as store:
        store.add(ROWS)
        store.add([infeasible, ROWS[0]])
        assert store.count() == 4
    with TraceStore.open(tmp_path / "t.db", readonly=True) as store:
        rows = list(store.rows())
        assert [row.cycles for row in rows] == [100, 101, 102, None]
        assert [row.workload for row in rows[:3]] == [row.workload for row in ROWS]
        assert rows[0].config == VtaConfig() and rows[0].config.name == "a"
        assert rows[0].schedule == {"tile": [1, 2]} and rows[1].counters == {"gemm": 1}
        assert rows[3] == infeasible
        assert store.get(ROWS[2].key) == rows[2]
        assert store.get("0" * 64) is None


def test_key_depends_on_content_and_not_on_names() -> None:
    key = trace_key(CONV, VtaConfig(name="a"), None, "v1")
    assert key == trace_key(CONV, VtaConfig(name="b"), None, "v1")
    others = {
        trace_key(ConvWorkload(16, 32, 8, 8), VtaConfig(), None, "v1"),
        trace_key(CONV, VtaConfig(bus_bits=128), None, "v1"),
        trace_key(CONV, VtaConfig(), {"tile": 1}, "v1"),
        trace_key(CONV, VtaConfig(), None, "v2"),
    }
    assert len(others | {key}) == 5


def test_rows_cannot_be_changed_or_removed(tmp_path: Path) -> None:
    with TraceStore.open(tmp_path / "t.db") as store:
        store.add(ROWS)
    connection = sqlite3.connect(tmp_path / "t.db")
    for statement in ("UPDATE unit SET cycles = 1", "DELETE FROM unit"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute(statement)
    connection.close()


def test_second_writer_is_refused_and_readers_are_not(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    with TraceStore.open(path) as store:
        store.add(ROWS)
        with pytest.raises(StoreError, match=r"t\.db is locked by another writer; wait"):
            TraceStore.open(path)
        script = (
            "import sys\nfrom codesign.store import TraceStore\nfrom codesign.errors import *\n"
            "try:\n    TraceStore.open(sys.argv[1])\nexcept StoreError as e:\n    print(e)\n"
        )
        out = subprocess.run(
            [sys.executable, "-c", script, str(path)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert "locked by another writer" in out.stdout
        with TraceStore.open(path, readonly=True) as reader:
            assert reader.count() == 3
        with pytest.raises(StoreError, match="opened for reading"):
            TraceStore.open(path, readonly=True).add(ROWS)
    TraceStore.open(path).close()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda p: p.write_bytes(b"hello, this is no database" * 100),
            "corrupt or not a codesign",
        ),
        (lambda p: _foreign(p), "not a codesign store"),
        (lambda p: _newer(p), "schema version 99"),
        (lambda p: p.mkdir(), "is a directory"),
    ],
)
def test_foreign_files_are_refused_and_untouched(tmp_path: Path, make, text: str) -> None:
    path = tmp_path / "x.db"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StoreError, match=text):
        TraceStore.open(path)
    assert before is None or path.read_bytes() == before


def _foreign(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE other (x)")
    connection.close()


def _newer(path: Path) -> None:
    TraceStore.open(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=99")
    connection.close()


def test_missing_paths(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="does not exist"):
        TraceStore.open(tmp_path / "no.db", readonly=True)
    with pytest.raises(StoreError, match=r"folder .* does not exist"):
        TraceStore.open(tmp_path / "no" / "t.db")


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    with TraceStore.open(tmp_path / "t.db") as store:
        store.add(ROWS[:1])
        pages = store._database.connection.execute("PRAGMA page_count").fetchone()[0]
        store._database.connection.execute(f"PRAGMA max_page_count={pages}")
        many = [
            make_row(
                ConvWorkload(16, 32, 8, 8 + i),
                VtaConfig(),
                SimpleNamespace(schedule={}, cycles=1, counters={}),
                "v1",
            )
            for i in range(200)
        ]
        with pytest.raises(StoreError, match="free some disk space"):
            store.add(many)
        assert store.count() == 1
        store._database.connection.execute("PRAGMA max_page_count=1000000")
        store.add(many)
        assert store.count() == 201


def test_a_killed_writer_leaves_whole_transactions(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    script = """
import sys
from types import SimpleNamespace
from codesign.hw.config import VtaConfig
from codesign.kernels.workload import ConvWorkload
from codesign.store import TraceStore, make_row
store = TraceStore.open(sys.argv[1])
n = 0
while True:
    out = SimpleNamespace(schedule={}, cycles=1, counters={})
    layers = [ConvWorkload(1, 1, 8, 8 + n * 10 + i) for i in range(10)]
    store.add([make_row(layer, VtaConfig(), out, "v") for layer in layers])
    n += 1
    print(n, flush=True)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for _ in range(20):
        done = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with TraceStore.open(path) as store:
        assert store.count() >= done * 10
        assert store.count() % 10 == 0
        assert len(list(store.rows())) == store.count()


def test_runs_replay_and_refuse_a_different_replay(tmp_path: Path) -> None:
    rows = [EvaluationRow(i, f"n{i}", "c", "t2", {"latency_ms": 1.5 * i}) for i in range(3)]
    with RunStore.open(tmp_path / "r.db") as store:
        store.add_run("k1", {"network": "x"}, {"seed": 0})
        store.add_run("k1", {"network": "x"}, {"seed": 0})
        store.add_evaluations("k1", rows[:2])
        store.add_evaluations("k1", rows)
        assert store.evaluations("k1") == rows
        with pytest.raises(StoreError, match="replay differs"):
            store.add_evaluations("k1", [EvaluationRow(1, "other", "c", "t2", {})])
        with pytest.raises(StoreError, match="has not ended"):
            store.run()
        store.add_result("k1", {"best": 1})
        store.add_result("k1", {"best": 1})
        with pytest.raises(StoreError, match="differs from the stored one"):
            store.add_result("k1", {"best": 2})
        assert store.run("k").result == {"best": 1}
        with pytest.raises(StoreError, match="no run 'zz'"):
            store.run("zz")
        store.traces.add(ROWS)
    with TraceStore.open(tmp_path / "r.db") as traces:
        assert traces.count() == 3


def test_a_reader_rolls_back_what_a_killed_writer_left(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    with TraceStore.open(path) as store:
        store.add(ROWS)
    script = """
import os, signal, sys
from codesign.store import TraceStore
connection = TraceStore.open(sys.argv[1])._database.connection
connection.execute("PRAGMA cache_size=1")  # so that the transaction reaches the file early
connection.execute("BEGIN IMMEDIATE")
for i in range(2000):
    connection.execute("INSERT INTO run VALUES (?,?,?)", (str(i), "{}" * 100, "{}"))
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", script, str(path)]).returncode == -signal.SIGKILL
    assert path.with_name("t.db-journal").is_file()
    with RunStore.open(path, readonly=True) as reader:
        assert list(reader.traces.rows()) == ROWS
        assert list(reader.runs()) == []
