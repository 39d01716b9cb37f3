"""Mutated streams under sanitizers: no crash, no read out of bounds, every refusal named."""

from __future__ import annotations

from pathlib import Path

from codesign.testing.fuzz import fuzz


def test_mutated_streams_run_or_are_refused(tmp_path: Path) -> None:
    report = fuzz(tmp_path, streams=3_000, seed=2, programs=100)
    assert report.streams == 3_000
    assert report.legal > 300
    assert report.refused > 300
