"""``codesign nn accuracy``: where a network's accuracy comes from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from codesign.cli import main


def _cifar10(folder: Path) -> None:
    rng = np.random.default_rng(0)
    files = [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]
    for file in files:
        rows = [
            bytes([label]) + rng.integers(256, size=3072, dtype=np.uint8).tobytes()
            for label in (1, 2)
        ]
        (folder / file).write_bytes(b"".join(rows))


def test_training_needs_files_and_keeps_what_it_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from codesign.nn import load_network_space

    space = load_network_space("nbmacro", "cifar10")
    text = space.to_json(space.sample(np.random.default_rng(0)))
    command = ["nn", "accuracy", "nbmacro", text, "--dataset", "cifar10", "--source", "train"]
    assert main(command) == 4
    assert "cifar10 is read from files; give its path" in capsys.readouterr().err
    _cifar10(tmp_path)
    store = tmp_path / "trained.jsonl"
    options = ["--path", str(tmp_path), "--epochs", "1", "--store", str(store), "--json"]
    assert main([*command, *options, "--seeds", "0", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["kind"], found["dataset"], found["seeds"]) == ("trained here", "cifar10", "0, 1")
    assert found["split"] == "validation, 2 images"
    assert found["accuracy"] in (0.0, 25.0, 50.0, 75.0, 100.0)
    assert found["test"] in (0.0, 25.0, 50.0, 75.0, 100.0)
    assert found["spread"] is not None
    # what the file is, and validation and test of two trainings
    assert len(store.read_text().splitlines()) == 5
    with pytest.raises(SystemExit) as stopped:
        main([*command, *options, "--epochs", "0"])
    assert stopped.value.code == 2
    assert "--epochs: '0': a whole number from 1 on is allowed" in capsys.readouterr().err


def test_the_spread_of_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    from codesign.nn import TableAccuracy

    for space, known in (("nbmacro", True), ("nasbench201", False)):
        text = TableAccuracy(space).networks()[0]
        assert main(["nn", "accuracy", space, text, "--json"]) == 0
        spread = json.loads(capsys.readouterr().out)["spread"]
        assert spread is not None if known else spread is None


@pytest.mark.parametrize(
    ("flag", "value"), [("--path", "data"), ("--epochs", "3"), ("--seeds", "0")]
)
def test_flags_of_training_are_refused_for_a_table(
    flag: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["nn", "accuracy", "nbmacro", "0", flag, value])
    assert stopped.value.code == 2
    assert f"argument {flag}: --source table trains nothing" in capsys.readouterr().err


def test_a_supernet_keeps_its_weights_in_a_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from codesign.nn import load_network_space

    space = load_network_space("nbmacro", "cifar10")
    text = space.to_json(space.sample(np.random.default_rng(0)))
    _cifar10(tmp_path)
    file = tmp_path / "net.safetensors"
    command = ["nn", "accuracy", "nbmacro", text, "--dataset", "cifar10", "--source", "supernet"]
    command += ["--path", str(tmp_path), "--epochs", "1", "--json"]
    assert main([*command, "--store", str(file)]) == 4
    assert 'source = "supernet" keeps no measurements; "checkpoint"' in capsys.readouterr().err
    found: list[str] = []
    for _ in range(2):
        assert main([*command, "--checkpoint", str(file)]) == 0
        found.append(capsys.readouterr().out)
    assert found[0] == found[1]
    assert json.loads(found[0])["kind"] == "supernet (inherited weights)"
    assert file.is_file()
