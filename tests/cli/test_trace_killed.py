"""`codesign trace` killed, run twice at once, out of disk: the store is whole and says so."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from codesign.cli import main
from codesign.store import TraceStore

SAMPLES = 60
TRACE = ["trace", "--network", "nasbench201", "--hardware", "neuhardco", "--seed", "3"]


def command(path: Path, *more: str) -> list[str]:
    return [*TRACE, "--samples", str(SAMPLES), "-o", str(path), *more]


def content(path: Path) -> list[object]:
    with TraceStore.open(path, readonly=True) as store:
        return list(store.rows())


def wait_for_rows(process: subprocess.Popen[bytes], path: Path, rows: int) -> None:
    deadline = time.monotonic() + 120
    while count(path) < rows:
        assert process.poll() is None and time.monotonic() < deadline


def count(path: Path) -> int:
    if not path.is_file() or not path.stat().st_size:
        return 0  # the store is being made
    with TraceStore.open(path, readonly=True) as store:
        return store.count()


@pytest.mark.parametrize(
    "more",
    [
        ("--schedules", "3"),
        pytest.param(("--sampling", "sobol"), marks=pytest.mark.long),
        pytest.param(("--sampling", "active", "--workers", "2"), marks=pytest.mark.long),
    ],
    ids=["schedules", "sobol", "active"],
)
def test_killed_and_started_again_the_store_is_equal(
    tmp_path: Path, more: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    whole, killed = tmp_path / "whole.db", tmp_path / "killed.db"
    cli = [sys.executable, "-m", "codesign.cli"]
    process = subprocess.Popen([*cli, *command(killed, *more)], stdout=subprocess.DEVNULL)
    wait_for_rows(process, killed, 20)
    process.send_signal(signal.SIGSTOP)
    assert main(command(killed, *more)) == 4
    assert "killed.db is locked by another writer; wait for it" in capsys.readouterr().err
    process.kill()
    process.wait()
    kept = len(content(killed))
    assert main(command(whole, *more)) == main(command(killed, *more)) == 0
    assert 20 <= kept < len(content(whole))
    assert content(killed) == content(whole)
    new = len(content(whole)) - kept
    assert f"{new} simulated in" in capsys.readouterr().out.splitlines()[-1]


def test_a_full_disk_is_an_error_and_keeps_what_was_stored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "full.db"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (96 << 10, hard))
    try:
        assert main(command(path)) == 4
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    captured = capsys.readouterr()
    assert "full.db: " in captured.err and "free some disk space and run the" in captured.err
    assert "Traceback" not in captured.err and captured.out == ""
    assert 0 < len(content(path)) < SAMPLES
    assert main(command(path)) == 0
    assert len(content(path)) == SAMPLES


@pytest.mark.long
def test_more_samples_of_a_large_space_take_the_earlier_ones_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["trace", "--network", "nasbench201", "--hardware", "portable", "--seed", "1"]
    output = ["-o", str(tmp_path / "t.db")]
    assert main([*arguments, "--samples", "4", *output]) == 0
    assert main([*arguments, "--samples", "9", *output]) == 0
    assert "5 simulated in" in capsys.readouterr().out.splitlines()[-1]
