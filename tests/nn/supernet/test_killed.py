"""A training whose process is killed and started again ends as one that ran through."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import tiny_training

_SCRIPT = Path(tiny_training.__file__)


@pytest.mark.parametrize("training", tiny_training.TRAININGS)
def test_a_killed_process_goes_on_to_the_same_weights(training: str, tmp_path: Path) -> None:
    file = tmp_path / "state.safetensors"
    command = [sys.executable, str(_SCRIPT), training, str(file)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("step 7 "):
                process.kill()
                break
    assert process.returncode == -9
    assert file.is_file()
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny_training, "_say", lambda step, *_: said.append(step))
        resumed = tiny_training.TRAININGS[training](str(file))
        first, said[:] = said[0], []
        whole = tiny_training.TRAININGS[training](None)
    assert 6 < first <= 16
    assert said[0] == 1
    assert resumed == whole
