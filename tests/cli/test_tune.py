"""The verb tune, and compile with its records."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from codesign.cli import main
from tests.onnx_models import conv_net, samples


def test_tune_resumes_and_compile_uses_the_records(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, records = str(tmp_path / "net.onnx"), str(tmp_path / "records")
    onnx.save(conv_net(), model)
    np.savez(tmp_path / "c.npz", **samples())
    common = [model, "-c", "pynq", "--calibration", str(tmp_path / "c.npz")]
    tune = ["tune", *common, "-o", records, "--trials", "8", "--json"]
    assert main(tune) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["tuned"] > 0 and first["layers"]
    assert all(x["cycles"] <= 1.005 * x["cycles_untuned"] for x in first["layers"])
    assert main(tune) == 0
    assert json.loads(capsys.readouterr().out)["tuned"] == 0

    package = str(tmp_path / "module.tar")
    compile_it = ["compile", *common, "-o", package, "--tuning-records", records, "--json"]
    compile_it += ["--compose", "exact"]

    def searched(*_: object) -> None:
        raise AssertionError("a recorded layer was searched again")

    monkeypatch.setattr("codesign.kernels.tuner._search", searched)
    assert main(compile_it) == 0
    layers = json.loads(capsys.readouterr().out)["layers"]
    recorded = {x["name"]: x["cycles"] for x in first["layers"]}
    assert recorded.items() <= {x["name"]: x["cycles"] for x in layers}.items()


def test_a_foreign_records_file_is_a_user_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, records = tmp_path / "net.onnx", tmp_path / "records"
    onnx.save(conv_net(), str(model))
    records.write_bytes(b"\x7fELF")
    common = [str(model), "-c", "pynq"]
    assert main(["tune", *common, "-o", str(records)]) == 4
    assert "no records file" in capsys.readouterr().err
    assert main(["compile", *common, "--tuning-records", str(records)]) == 4
    assert "no records file" in capsys.readouterr().err
    assert records.read_bytes() == b"\x7fELF"
