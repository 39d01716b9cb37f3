"""Mutated ONNX files compile or are refused; what goes wrong in a worker becomes a finding."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from codesign.testing.isolation import Fault, Isolated
from codesign.testing.onnx_fuzz import COMPILED, REFUSED, fuzz, mutated_file, run_case


def test_mutated_files_compile_or_are_refused(tmp_path: Path) -> None:
    progress = tmp_path / "progress.jsonl"
    outcomes = list(fuzz(100, seed=1, progress=progress))
    assert [outcome for outcome in outcomes if outcome.is_finding] == []
    assert {outcome.kind for outcome in outcomes} == {"compiled", "refused"}
    assert list(fuzz(100, seed=1, progress=progress)) == outcomes
    whole = progress.read_text()
    progress.write_text(whole[:-9])  # killed while it wrote the last line
    for _ in range(2):
        assert list(fuzz(100, seed=1, progress=progress)) == outcomes
        assert progress.read_text() == whole


@pytest.mark.long
def test_many_mutated_files_compile_or_are_refused(tmp_path: Path) -> None:
    """10 000 others: benchmarks/robustness.py."""
    outcomes = fuzz(1_000, seed=2, progress=tmp_path / "progress.jsonl")
    assert [outcome for outcome in outcomes if outcome.is_finding] == []


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")  # NaN times NaN
@pytest.mark.parametrize("case", [1085, 1287, 1927, 2343, 3643, 7318])
def test_what_once_raised(case: int) -> None:
    """Empty tensors, axes beyond int32, dequantised floats, names that are no text, NaN."""
    assert run_case([0, case])["kind"] in (COMPILED, REFUSED)


def test_a_case_is_always_the_same_file() -> None:
    files = [mutated_file(0, case) for case in range(20)]
    assert files == [mutated_file(0, case) for case in range(20)]
    assert len(set(files)) == 20


def behave(kind: str) -> Any:
    """What the tests below call in another process."""
    if kind == "crash":
        os.abort()
    if kind == "process":
        return os.getpid()
    while kind == "hang":
        pass
    return kind


def test_crashes_and_hangs_are_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    with Isolated("tests.testing.test_onnx_fuzz:behave", seconds=20) as worker:
        assert worker.call("answer") == "answer"
        assert worker.call("crash") == Fault("crash -6", "")
        assert worker.call("again") == "again"
        assert worker.call("hang", seconds=0.5) == Fault("timeout", "0.5 s")
        assert worker.call("back") == "back"


def test_a_process_that_died_between_calls_is_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    with Isolated("tests.testing.test_onnx_fuzz:behave", seconds=20) as worker:
        process = worker.call("process")
        os.kill(process, signal.SIGKILL)
        os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
        assert worker.call("answer") == Fault("crash -9", "")
        assert worker.call("answer") == "answer"
