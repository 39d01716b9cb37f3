"""Records of tuned schedules: what is written is found, whatever interrupted the writing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from codesign.errors import Infeasible, StoreError
from codesign.hw.config import VtaConfig
from codesign.kernels import ConvWorkload, best_schedule, known_schedules
from codesign.store import records
from codesign.store.records import Record

CFG = VtaConfig(name="pynq")
LAYER = ConvWorkload(16, 16, 8, 8)
OTHER = ConvWorkload(16, 32, 8, 8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "records"
    records.append(file, LAYER, CFG, Record(best_schedule(LAYER, CFG), 3))
    return file


def test_what_is_recorded_is_found_for_equal_content_only(path: Path) -> None:
    known = records.load(path)
    found = known.find(LAYER, replace(CFG, name="other name"))
    assert found is not None and found.trials == 3
    assert found.outcome == best_schedule(LAYER, CFG)
    assert known.find(OTHER, CFG) is None
    assert known.find(LAYER, replace(CFG, dataflow="ws")) is None


def test_best_schedule_takes_what_is_known(path: Path) -> None:
    slow = best_schedule(LAYER, CFG)
    assert not isinstance(slow, Infeasible)
    marked = replace(slow, cycles=slow.cycles - 1)
    records.append(path, LAYER, CFG, Record(marked, 9))
    with known_schedules(records.load(path).lookup):
        assert best_schedule(LAYER, CFG) == marked
        assert best_schedule(OTHER, CFG) != marked
    assert best_schedule(LAYER, CFG) == slow


def test_infeasible_pairs_are_recorded(path: Path) -> None:
    reason = Infeasible("wgt_depth", "needs 9 elements")
    records.append(path, OTHER, CFG, Record(reason, 3))
    found = records.load(path).find(OTHER, CFG)
    assert found is not None and found.outcome == reason


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_record_chosen_in_a_stream_counts_before_faster_ones(
    path: Path, order: tuple[int, int]
) -> None:
    alone = best_schedule(OTHER, CFG)
    assert not isinstance(alone, Infeasible)
    slower = Record(replace(alone, cycles=alone.cycles + 1), 3, in_stream=True)
    made = (slower, Record(alone, 9))
    for place in order:
        records.append(path, OTHER, CFG, made[place])
    assert records.load(path).find(OTHER, CFG) == slower


def test_the_faster_of_two_records_counts(path: Path) -> None:
    first = best_schedule(LAYER, CFG)
    assert not isinstance(first, Infeasible)
    records.append(path, LAYER, CFG, Record(replace(first, cycles=first.cycles + 5), 50))
    found = records.load(path).find(LAYER, CFG)
    assert found == Record(first, 50)


def test_a_torn_last_line_is_dropped_and_written_over(path: Path) -> None:
    whole = path.read_bytes()
    for cut in (1, 40, len(whole.split(b"\n")[1]) // 2):
        path.write_bytes(whole + whole.split(b"\n")[1][:cut])
        assert len(records.load(path)) == 1
    records.append(path, OTHER, CFG, Record(best_schedule(OTHER, CFG), 3))
    assert len(records.load(path)) == 2


def test_records_of_another_simulator_are_counted_and_not_used(path: Path) -> None:
    text = path.read_text().replace('"simulator":"t2-', '"simulator":"t2-old')
    path.write_text(text)
    known = records.load(path)
    assert len(known) == 0 and known.other_versions == 1


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"SQLite format 3\0" * 20, "no records file"),
        (b'{"format":"codesign-records","version":2}\n', "no records file"),
        (b'{"format":"codesign-records","version":1}\n{"a":1}\n', "line 2"),
        (b'{"format":"codesign-records","version":1}\nnonsense\n', "line 2"),
    ],
)
def test_foreign_and_damaged_files_are_refused(tmp_path: Path, content: bytes, text: str) -> None:
    file = tmp_path / "records"
    file.write_bytes(content)
    with pytest.raises(StoreError, match=text):
        records.load(file)


@pytest.mark.parametrize("kept", [0, 1, 20, 41, 42])
def test_a_file_without_records_resumes(path: Path, kept: int) -> None:
    """A process may be killed before its header, or its first record, is whole."""
    whole = path.read_bytes()
    path.write_bytes(whole[:kept])
    assert len(records.load(path)) == 0
    records.append(path, LAYER, CFG, Record(best_schedule(LAYER, CFG), 3))
    assert path.read_bytes() == whole


def test_long_torn_lines_are_written_over(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole + b"x" * 200_000)
    records.append(path, LAYER, CFG, Record(best_schedule(LAYER, CFG), 3))
    assert path.read_bytes() == whole + whole.split(b"\n", 1)[1]


_WRITER = """
import sys
from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.kernels import ConvWorkload
from codesign.store import records
sys.stdin.readline()
for n in range(150):
    layer = ConvWorkload(1 + 2 * n + int(sys.argv[2]), 1, 1, 1)
    records.append(sys.argv[1], layer, VtaConfig(), records.Record(Infeasible("a", "b" * n), 1))
"""


def test_two_processes_append_to_one_file(tmp_path: Path) -> None:
    file = tmp_path / "records"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(file), str(odd)], stdin=subprocess.PIPE
        )
        for odd in range(2)
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"start\n")
        writer.stdin.close()
    assert [writer.wait() for writer in writers] == [0, 0]
    assert len(records.load(file)) == 300


@pytest.mark.parametrize("content", [b"my notes\n", b"my notes"])
def test_nothing_is_appended_to_a_foreign_file(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "records"
    file.write_bytes(content)
    with pytest.raises(StoreError, match="no records file"):
        records.append(file, LAYER, CFG, Record(Infeasible("x", "y"), 1))
    assert file.read_bytes() == content


def test_malformed_values_name_the_line(path: Path) -> None:
    path.write_text(path.read_text().replace('"cycles":', '"circles":'))
    with pytest.raises(StoreError, match="line 2"):
        records.load(path)
    with pytest.raises(StoreError, match="cannot be read"):
        records.load(path.parent)


def test_a_killed_writer_leaves_a_file_that_loads(tmp_path: Path) -> None:
    file = tmp_path / "records"
    script = (
        "from codesign.errors import Infeasible\nfrom codesign.hw.config import VtaConfig\n"
        "from codesign.kernels import ConvWorkload\nfrom codesign.store import records\n"
        "for n in range(1, 100000):\n"
        f"    records.append({str(file)!r}, ConvWorkload(n, 1, 1, 1), VtaConfig(),"
        " records.Record(Infeasible('a', 'b'), 1))\n"
        "    print(n, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        for _ in range(20):
            last = int(writer.stdout.readline())
        os.kill(writer.pid, signal.SIGKILL)
    assert len(records.load(file)) >= last
