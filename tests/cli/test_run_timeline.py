# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# onnx carries no usable annotations.
"""``codesign run --timeline``: one trace over all units, as long as the run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from codesign import cli


def test_the_timeline_spans_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    shape = [1, 16, 8, 8]
    weights = [
        numpy_helper.from_array(rng.normal(size=(16, 16, 3, 3)).astype(np.float32), name)
        for name in ("w", "v")
    ]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Conv", ["r", "v"], ["y"], pads=[1, 1, 1, 1]),
    ]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"]
    graph = helper.make_graph(nodes, "two", ports[:1], ports[1:], weights)
    opset = helper.make_opsetid("", 17)
    save(helper.make_model(graph, opset_imports=[opset], ir_version=9), str(tmp_path / "m.onnx"))
    samples = rng.normal(size=(4, *shape[1:])).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=samples)
    package, trace = str(tmp_path / "m.tar"), tmp_path / "t.json"
    compiling = ["compile", str(tmp_path / "m.onnx"), "-c", "pynq", "-o", package]
    compiling += ["--compose", "exact"]
    assert cli.main([*compiling, "--calibration", str(tmp_path / "data.npz")]) == 0
    capsys.readouterr()
    assert cli.main(["run", package, "--timeline", str(trace), "--json"]) == 0
    cycles = json.loads(capsys.readouterr().out)["cycles"]
    content = json.loads(trace.read_text())
    assert content["otherData"]["cycles"] == cycles
    slices = [event for event in content["traceEvents"] if event.get("cat") == "instruction"]
    assert len({event["args"]["program"] for event in slices}) == 2
    end = (
        max(event["ts"] + event["dur"] for event in slices) * content["otherData"]["frequency_mhz"]
    )
    assert cycles <= end <= cycles + 2
