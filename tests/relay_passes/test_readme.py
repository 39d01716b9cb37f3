"""The README's Python snippet runs as it stands."""

import re
from pathlib import Path

import pytest

import relay_passes
from tests.onnx_models import conv_net, samples


def test_snippet_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(relay_passes.__file__).parent / "README.md").read_text()
    (snippet,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(snippet, "README.md", "exec"), {"model": conv_net(), "batch": samples()})
    assert "vta" in capsys.readouterr().out
