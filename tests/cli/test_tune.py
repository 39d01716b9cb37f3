"""The verb tune, and compile with its records."""

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import codesign
from codesign.cli import main
from codesign.store import records as records_module
from tests.onnx_models import conv_net, samples
from tests.onnx_models import model as onnx_model


def residual_net() -> Any:
    """A stem of 3 channels and stride 2, which is folded, and a residual, which is fused."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Conv", ["x", "stem"], ["s"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["s"], ["a"]),
        helper.make_node("Conv", ["a", "w1"], ["b"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["b"], ["c"]),
        helper.make_node("Conv", ["c", "w2"], ["d"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["d", "a"], ["e"]),
        helper.make_node("Relu", ["e"], ["y"]),
    ]
    shapes = {"stem": (16, 3, 3, 3), "w1": (16, 16, 3, 3), "w2": (16, 16, 3, 3)}
    weights = {n: rng.standard_normal(s).astype(np.float32) / 8 for n, s in shapes.items()}
    return onnx_model(nodes, weights, [1, 3, 16, 16])


@pytest.mark.parametrize(
    ("net", "size", "units"),
    [(conv_net, 8, ["conv2d_1"]), (residual_net, 16, ["conv2d_1", "conv2d_3+add_1"])],
)
def test_tune_resumes_and_compile_uses_the_records(
    net: Any,
    size: int,
    units: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, records = str(tmp_path / "net.onnx"), str(tmp_path / "records")
    onnx.save(net(), model)
    np.savez(tmp_path / "c.npz", **samples(shape=(3, size, size)))
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
    assert recorded.keys() >= {*units}
    assert recorded.items() <= {x["name"]: x["cycles"] for x in layers}.items()


def test_tuning_in_the_stream_shortens_it_and_resumes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, records = str(tmp_path / "net.onnx"), str(tmp_path / "records")
    onnx.save(residual_net(), model)
    np.savez(tmp_path / "c.npz", **samples(shape=(3, 16, 16)))
    common = [model, "-c", "pynq", "--calibration", str(tmp_path / "c.npz")]
    tune = ["tune", *common, "-o", records, "--trials", "8", "--compose", "overlap", "--json"]
    killed = records_module.append

    def once(*given: Any) -> None:
        killed(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(records_module, "append", once)
    with contextlib.suppress(KeyboardInterrupt):
        main(tune)
    monkeypatch.undo()
    capsys.readouterr()
    assert len(records_module.load(records)) == 1

    assert main(tune) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["tuned"] == len(found["layers"]) - 1
    assert found["cycles"] <= found["cycles_before"]
    assert main(tune) == 0
    assert json.loads(capsys.readouterr().out)["tuned"] == 0

    untuned = codesign.compile(model, codesign.load_config("pynq"), calibration=tmp_path / "c.npz")
    package = codesign.compile(
        model,
        codesign.load_config("pynq"),
        calibration=tmp_path / "c.npz",
        records=records,
    )
    assert package.cycles == found["cycles"] < untuned.cycles
    result = package.run(samples(shape=(3, 16, 16)))
    assert result.outputs_match and result.cycles == package.cycles


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
