"""The README cannot rot: its shell and Python snippets run, in order, in one empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _snippets(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    # `codesign` and `python` of the snippets are those of this environment.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=600,
        env={**os.environ, "PATH": path},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all snippets: later ones read what earlier ones wrote."""
    return tmp_path_factory.mktemp("readme")


def test_shell_snippets(folder: Path) -> None:
    snippets = _snippets("sh")
    assert len(snippets) == 3
    (problem,) = _snippets("toml")
    (folder / "problem.toml").write_text(problem)
    for snippet in snippets:
        result = _run(["bash", "-euo", "pipefail", "-c", snippet], folder)
        assert result.returncode == 0, f"{snippet}\n{result.stdout}\n{result.stderr}"
        assert "Traceback" not in result.stderr
    assert (folder / "module.tar").exists()
    assert (folder / "report.html").exists()
    assert "FINISH" in (folder / "listing.txt").read_text()


@pytest.mark.parametrize("index", range(3))
def test_python_snippets(folder: Path, index: int) -> None:
    snippets = _snippets("python")
    assert len(snippets) == 3
    result = _run([sys.executable, "-c", snippets[index]], folder)
    assert result.returncode == 0, f"{snippets[index]}\n{result.stdout}\n{result.stderr}"
    if index == 0:
        cycles, matches = result.stdout.split()[-2:]
        assert int(cycles) > 0
        assert matches == "True"


def test_links_lead_somewhere() -> None:
    for document in ("README.md", "CONTRIBUTING.md", "vta_configs/README.md"):
        path = ROOT / document
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{document}: {target}"


def test_documented_fields_and_rules_are_those_that_exist() -> None:
    from codesign.hw.feasibility import FIELD_NAMES, RULES
    from codesign.hw.loader import KEYS
    from codesign.hw.space import load_space, spaces

    text = (ROOT / "vta_configs" / "README.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| `([A-Z_0-9]+)` \|", text, re.MULTILINE))
    assert rows == set(KEYS)
    for rule in RULES:
        assert rule.name in FIELD_NAMES or f"`{rule.name}`" in text
    for name in spaces():
        count = f"{load_space(name).count():,}".replace(",", " ")
        assert f"| `{name}` | {count} |" in text
