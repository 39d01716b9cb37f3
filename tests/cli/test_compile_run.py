"""The verbs compile and run."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import codesign
from codesign.cli import main
from codesign.cli.compile import parse_shapes
from codesign.compiler.verify import PhaseCheck
from codesign.errors import ModelError
from tests.onnx_models import conv_net, qdq_conv, samples


def test_compile_and_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, package = str(tmp_path / "net.onnx"), str(tmp_path / "module.tar")
    onnx.save(conv_net(), model)
    np.savez(tmp_path / "c.npz", **samples())
    calibration = str(tmp_path / "c.npz")
    arguments = ["compile", model, "-c", "pynq", "-o", package, "--calibration", calibration]
    assert main([*arguments, "--print-pass-times", "--dump-code", "relax,schedule,isa"]) == 0
    assert "100.0% of the MACs offloaded" in capsys.readouterr().out
    for suffix in ("relax.py", "schedule.txt", "isa.txt"):
        assert (tmp_path / f"module.{suffix}").stat().st_size > 100
    out = str(tmp_path / "out.npz")
    assert main(["run", package, "-i", calibration, "-o", out, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    wanted = {"model", "config", "cycles", "latency_ms", "energy_mj", "macs", "offloaded_macs"}
    wanted |= {"utilization", "dram_bytes", "outputs_match", "layers", "host_ops"}
    assert wanted <= set(result)
    assert result["outputs_match"] is True
    assert result["model"] == "net.onnx"
    assert np.load(out)["y"].shape == (4, 8, 1, 1)
    assert sum(layer["cycles"] for layer in result["layers"]) == result["cycles"]
    assert result["peak_dram_bytes"] > max(layer["dram_bytes"] for layer in result["layers"]) / 2
    assert main(["run", package, "--profile", "--print-time", "--fill-mode", "ones"]) == 0
    shown = capsys.readouterr().out
    assert "outputs match  yes" in shown
    for column in ("lower bound", "÷ bound", "ceiling", "DRAM bytes", "host operator"):
        assert column in shown
    assert f"{result['peak_dram_bytes']} taken" in shown
    assert main(["run", package, "-i", calibration, "--engine", "reference", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == result


def test_user_errors_have_no_traceback_and_leave_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, package = tmp_path / "net.onnx", tmp_path / "module.tar"
    arguments = ["compile", str(model), "-c", "pynq", "-o", str(package)]
    model.write_bytes(b"nothing")
    assert main(arguments) == 4
    assert "not an ONNX file" in capsys.readouterr().err
    onnx.save(conv_net(), str(model))
    assert main(arguments) == 4
    assert "--calibration" in capsys.readouterr().err
    onnx.save(conv_net(shape=("n", 3, 8, 8)), str(model))
    assert main(arguments) == 4
    assert "--input-shapes" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]
    package.write_bytes(b"half a tar")
    assert main(["run", str(package)]) == 4
    assert "module.tar" in capsys.readouterr().err


def test_compile_verifies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, package = str(tmp_path / "net.onnx"), str(tmp_path / "module.tar")
    onnx.save(conv_net(), model)
    np.savez(tmp_path / "c.npz", **samples())
    calibration = str(tmp_path / "c.npz")
    arguments = ["compile", model, "-c", "pynq", "-o", package, "--calibration", calibration]
    assert main([*arguments, "--verify", calibration, "--json"]) == 0
    checks = {check["phase"]: check for check in json.loads(capsys.readouterr().out)["verified"]}
    assert checks["partition"]["largest"] < 1e-5
    assert checks["lower"]["cosine"] > 0.9
    assert main([*arguments, "--verify", str(tmp_path / "absent.npz")]) == 4
    assert "absent.npz" in capsys.readouterr().err


def test_what_verify_asks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cosine of 0.7 is too little on data, and said to be enough on random numbers."""
    onnx.save(qdq_conv(), str(tmp_path / "net.onnx"))
    np.savez(tmp_path / "c.npz", **samples(2, (5, 9, 7)))

    def poor(phase: str, *_: Any) -> PhaseCheck:
        return PhaseCheck(phase, 0.0, 0.7)

    monkeypatch.setattr("codesign.compiler.verify.compare", poor)
    arguments = ["compile", str(tmp_path / "net.onnx"), "-c", "pynq"]
    arguments += ["-o", str(tmp_path / "module.tar")]
    assert main([*arguments, "--verify", str(tmp_path / "c.npz")]) == 1
    assert "cosine 0.70000, wanted 0.8 or more" in capsys.readouterr().err
    assert main([*arguments, "--verify"]) == 0
    assert "random numbers: phases that round must reach a cosine of 0.5" in capsys.readouterr().err


def test_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package, folder = str(tmp_path / "module.tar"), str(tmp_path / "out")
    codesign.compile(qdq_conv(), codesign.load_config("pynq")).save(package)
    assert main(["export", package, "--base", "0x10000000", "-o", folder]) == 0
    assert "bytes of memory at 0x10000000, 1 instruction stream(s)" in capsys.readouterr().out
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert names == {"memory.bin", "streams", "symbols.json"}
    assert main(["export", package, "--base", "0x10000000", "-o", folder]) == 4
    assert "no empty folder" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["export", package, "--base", "here", "-o", folder])


def test_print_quantization(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(conv_net(), str(tmp_path / "net.onnx"))
    np.savez(tmp_path / "c.npz", **samples(8))
    arguments = ["compile", str(tmp_path / "net.onnx"), "-c", "pynq", "--print-quantization"]
    arguments += ["-o", str(tmp_path / "m.tar"), "--calibration", str(tmp_path / "c.npz")]
    assert main([*arguments, "--calibration-method", "mse"]) == 0
    assert "requantization" in capsys.readouterr().out
    assert main([*arguments, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    layers = summary["quantization"]
    assert [x["name"] for x in layers] == [x["name"] for x in summary["layers"]]
    assert all(x["output_sqnr_db"] > 25 and x["cosine"] > 0.99 for x in layers)
    onnx.save(qdq_conv(), str(tmp_path / "net.onnx"))
    assert main([*arguments[:5], "-o", str(tmp_path / "m.tar"), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["quantization"]) == 1


def test_host_fallback_is_a_notice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "net.onnx"
    onnx.save(qdq_conv(weight_zero=3), str(model))
    assert main(["compile", str(model), "-c", "pynq", "-o", str(tmp_path / "m.tar")]) == 0
    assert "conv2d_1 stays on the host" in capsys.readouterr().err


def test_shapes() -> None:
    assert parse_shapes("x:[1,3,224,224],y:[1, 10]") == {"x": [1, 3, 224, 224], "y": [1, 10]}
    with pytest.raises(ModelError, match="write it like"):
        parse_shapes("x=1,2")
