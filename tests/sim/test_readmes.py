"""The READMEs' Python snippets run, one after another as they stand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import codesign

ROOT = Path(codesign.__file__).parent


@pytest.mark.parametrize("folder", ["isa", "sim"])
def test_snippets_run(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / folder / "README.md").read_text()
    snippets = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert snippets
    names: dict[str, Any] = {}
    for snippet in snippets:
        exec(compile(snippet, f"{folder}/README.md", "exec"), names)
    assert capsys.readouterr().out
