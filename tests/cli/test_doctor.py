"""`codesign doctor`."""

from __future__ import annotations

import json
import shutil

import pytest

from codesign.cli import doctor, main


def test_doctor_finds_this_installation_healthy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["healthy"]
    names = {found["name"] for found in report["findings"]}
    assert {"codesign", "apache-tvm", "cpp", "reference", "g++"} <= names


def test_doctor_tells_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def wanted(_: str) -> list[str]:
        return ["numpy", "surely-missing>=1", "rich==0.0.1"]

    def nowhere(_: str) -> None:
        return None

    monkeypatch.setattr(doctor, "requires", wanted)
    monkeypatch.setattr(shutil, "which", nowhere)
    assert main(["doctor"]) == 1
    text = capsys.readouterr().out
    assert "surely-missing" in text
    assert "not installed" in text
    assert "0.0.1 is needed" in text
    assert "not found; synthesis estimates" in text
    assert text.endswith("something needed is missing\n")
