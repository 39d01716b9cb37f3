# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# onnx's protobuf classes carry no usable annotations.
"""Wrong inputs of compile, run, check and the rest: exit code 4 and one line that helps."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import codesign
from codesign.cli import main
from tests.onnx_models import conv_net, qdq_conv, samples

SHAPE = (2, 3, 8, 8)
COMPILE = "compile {model} -c {config} -o {out} --calibration {data}"
WRONG_MODELS = {
    "absent.onnx": r"absent\.onnx: no such file; give the path",
    "folder": r"folder: is a folder; give the path of an ONNX model",
    "empty.onnx": "the ONNX graph has no nodes",
    "text.onnx": "not an ONNX file, or truncated",
    "half.onnx": "not an ONNX file, or truncated",
    "operator.onnx": "not a valid ONNX model: No Op registered for Foo",
    "domain.onnx": "No opset import for domain 'com.example'",
    "opset.onnx": r"opset 99; onnx [\d.]+ knows 1 to \d+; export the model again",
    "dangling.onnx": "input 'absent' of node:.* Conv",
    "channels.onnx": "an unnamed Conv cannot be imported: .*channel size",
    "dynamic.onnx": "input 'x' has the dynamic shape .*--input-shapes",
}
WRONG_DATA = {
    "absent.npz": r"no such file; make one with numpy\.savez",
    "text.onnx": "not an .npz file of plain arrays",
    "one.npy": r"one array without a name; numpy\.savez",
    "object.npz": "not an .npz file of plain arrays",
    "name.npz": r"inputs are x: \[samples, 3, 8, 8\]; got z: \[2, 3, 8, 8\]",
    "shape.npz": r"input 'x' must be \[samples, 3, 8, 8\], got \[2, 3, 9, 8\]",
    "scalar.npz": r"input 'x' must be \[samples, 3, 8, 8\], got \[\]",
    "complex.npz": "input 'x' must be float32, got complex64",
    "nothing.npz": "at least one; got",
    "nan.npz": r"input 'x' holds nan in sample 1 \(1 such elements\); every number must be finite",
    "infinite.npz": "input 'x' holds inf in sample 0",
}
WRONG_CONFIGS: dict[str, tuple[dict[str, Any] | None, str]] = {
    "pink": (None, r"'pink' is not one of the presets \(de10nano, pynq"),
    "neuhardco:7x7": (None, "space neuhardco has no point '7x7'"),
    "key.json": ({"LOG_BLOK": 3}, "unknown key .*did you mean LOG_BLOCK"),
    "negative.json": ({"LOG_BLOCK": -1}, "LOG_BLOCK is -1; allowed: 0 to 8"),
    "burst.json": ({"BUS_BITS": 512, "MAX_BURST_BEATS": 256}, "MAX_BURST_BEATS at most 64"),
    "uops.json": ({"LOG_UOP_BUFF_SIZE": 2}, "LOG_UOP_BUFF_SIZE is 2; allowed: 3 to 30"),
    "text.onnx": (None, "is not one of the presets"),
}
WRONG_REST = {
    "compile net.onnx -c pynq -o no/m.tar": "the folder no does not exist; create it first",
    "compile net.onnx -c pynq -o folder": "folder: is a folder; name a file to write",
    "compile net.onnx -c pynq -o pipe": "is a device or a pipe, which no file may replace",
    "compile net.onnx -c pynq": "a float model needs calibration data: make an .npz",
    "compile net.onnx -c pynq --tuning-records text.onnx": "is no records file of version 1",
    "compile net.onnx -c pynq --disabled-pass foo": "foo cannot be disabled; allowed: fold_",
    "compile net.onnx -c pynq --input-shapes x=1,2": "write it like",
    "compile net.onnx -c pynq --input-shapes x:[1,3,8]": "has 4 axes, got the shape",
    "run absent.tar": "no such file; codesign compile writes packages",
    "run net.onnx": "truncated, or not a tar file",
    "run half.tar": "truncated, or not a tar file",
    "run flipped.tar": "is missing, truncated or altered; compile again",
    "run q.tar -i name.npz": "run: the model's inputs are x",
    "run q.tar -o out.txt": "outputs are written as .npz",
    "run q.tar -o no/out.npz": "the folder no does not exist",
    "run q.tar --timeline folder": "is a folder; name a file to write",
    "check raw.bin": "a raw stream needs its configuration: add -c CONFIG",
    "disasm raw.bin -c pynq": "field opcode is 7; allowed: 0 to 4; check that this is a stream",
    "export q.tar --base 0x7 -o new": "must be a multiple of 0x1000; the next one is 0x1000",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that the command lines name."""
    made = tmp_path_factory.mktemp("wrong")
    (made / "folder").mkdir()
    os.mkfifo(made / "pipe")
    _write_models(made)
    _write_data(made)
    for name, (content, _) in WRONG_CONFIGS.items():
        if content is not None:
            (made / name).write_text(json.dumps(content))
    codesign.compile(qdq_conv(), codesign.load_config("pynq")).save(made / "q.tar")
    package = (made / "q.tar").read_bytes()
    (made / "half.tar").write_bytes(package[: len(package) // 2])
    middle = len(package) // 3
    changed = bytes([package[middle] ^ 255])
    (made / "flipped.tar").write_bytes(package[:middle] + changed + package[middle + 1 :])
    (made / "raw.bin").write_bytes(b"\x07" * 160)
    return made


def _write_models(folder: Path) -> None:
    models = {name: conv_net() for name in ("net", "operator", "domain", "opset", "dangling")}
    models["operator"].graph.node[0].op_type = "Foo"
    models["domain"].graph.node[0].domain = "com.example"
    models["opset"].opset_import[0].version = 99
    models["dangling"].graph.node[0].input[1] = "absent"
    models["channels"] = conv_net()
    models["channels"].graph.input[0].type.tensor_type.shape.dim[1].dim_value = 4
    models["dynamic"] = conv_net(shape=("n", 3, 8, 8))
    for name, model in models.items():
        onnx.save(model, str(folder / f"{name}.onnx"))
    (folder / "half.onnx").write_bytes((folder / "net.onnx").read_bytes()[:700])
    (folder / "empty.onnx").touch()
    (folder / "text.onnx").write_text("hello")


def _write_data(folder: Path) -> None:
    good = samples(2)["x"]
    nan, infinite = good.copy(), good.copy()
    nan[1, 0, 0, 0], infinite[0, 0, 0, 0] = np.nan, np.inf
    arrays: dict[str, Any] = {
        "good": good,
        "object": np.array([{}]),
        "shape": np.zeros((2, 3, 9, 8), np.float32),
        "scalar": np.float32(1),
        "complex": good.astype(np.complex64),
        "nothing": good[:0],
        "nan": nan,
        "infinite": infinite,
    }
    for name, array in arrays.items():
        np.savez(folder / f"{name}.npz", x=array)
    np.savez(folder / "name.npz", z=good)
    np.save(folder / "one.npy", good)


def _lines() -> list[tuple[str, str]]:
    right = {"model": "net.onnx", "config": "pynq", "out": "new.tar", "data": "good.npz"}
    wrong = [
        *(("model", model, text) for model, text in WRONG_MODELS.items()),
        *(("data", data, text) for data, text in WRONG_DATA.items()),
        *(("config", config, text) for config, (_, text) in WRONG_CONFIGS.items()),
    ]
    compiles = [(COMPILE.format(**{**right, what: value}), text) for what, value, text in wrong]
    return [*compiles, *WRONG_REST.items()]


@pytest.mark.parametrize(("line", "text"), _lines(), ids=lambda value: str(value)[:60])
def test_a_wrong_input_is_named_with_the_mend(
    line: str,
    text: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    assert main(line.split()) == 4
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    said = " ".join(captured.err.partition("codesign: error: ")[2].split())
    assert re.search(text, said), captured.err
    assert sorted(folder.iterdir()) == before
