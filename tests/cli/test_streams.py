"""`codesign disasm` and `codesign check` on raw streams."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from codesign.cli import main
from codesign.hw.config import VtaConfig
from codesign.isa import INSTRUCTION, Memory, Opcode, encode
from tests.onnx_models import conv_net, samples


def _stream(path: Path, cfg: VtaConfig | None = None, *, illegal: bool = False) -> Path:
    """LOAD one input element, then FINISH; ``illegal``: the LOAD pops a token nobody pushes."""
    table = np.zeros(2, INSTRUCTION)
    table["opcode"] = [Opcode.LOAD, Opcode.FINISH]
    table["memory_type"][0] = Memory.INP
    for name in ("y_size", "x_size", "x_stride", "push_next"):
        table[name][0] = 1
    table["dram_base"][0] = 16
    table["pop_prev"][1] = 1
    table["pop_prev"][0] = int(illegal)
    encode(table, cfg or VtaConfig()).tofile(path)
    return path


def test_disasm_of_a_raw_stream(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _stream(tmp_path / "s.bin")
    assert main(["disasm", str(path), "-c", "pynq"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "; s.bin: 2 instructions"
    assert "LOAD INP" in lines[1]
    assert "FINISH" in lines[2]
    assert main(["disasm", str(path), "-c", "pynq", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == {"streams": [{"name": "s.bin", "lines": lines[1:]}]}


def test_disasm_of_the_wide_encoding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cfg = tmp_path / "wide.json"
    cfg.write_text('{"ENCODING": "wide"}')
    path = _stream(tmp_path / "s.bin", replace(VtaConfig(), encoding="wide"))
    assert path.stat().st_size == 64
    assert main(["disasm", str(path), "-c", str(cfg)]) == 0
    assert "FINISH" in capsys.readouterr().out


def test_check_tells_findings_by_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(_stream(tmp_path / "good.bin")), "-c", "pynq"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "streams: 1, instructions: 2, findings: 0\n"
    assert "good.bin holds no memory image" in captured.err
    bad = _stream(tmp_path / "bad.bin", illegal=True)
    assert main(["check", str(bad), "-c", "pynq"]) == 1
    text = capsys.readouterr().out
    assert text.startswith("bad.bin: ")
    assert "instruction 0: token_bits: a token bit for a module that does not exist" in text
    assert text.endswith("streams: 1, instructions: 2, findings: 1\n")
    assert main(["check", str(bad), "-c", "pynq", "--json", "--portable"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert not shown["legal"]
    assert shown["streams"][0]["findings"]


@pytest.mark.parametrize("verb", ["check", "disasm"])
def test_what_is_no_stream(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "s.bin"
    assert main([verb, str(path), "-c", "pynq"]) == 4
    assert capsys.readouterr().err == f"codesign: error: {path}: no such file\n"
    path.write_bytes(bytes(17))
    assert main([verb, str(path)]) == 4
    assert "a raw stream needs its configuration: add -c CONFIG" in capsys.readouterr().err
    assert main([verb, str(path), "-c", "pynq"]) == 4
    assert "17 bytes; a stream for pynq is a positive multiple of 16 bytes (vta" in (
        capsys.readouterr().err
    )


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A convolutional network and its calibration data."""
    folder = tmp_path_factory.mktemp("network")
    onnx.save(conv_net(), str(folder / "net.onnx"))
    np.savez(folder / "c.npz", **samples())
    return folder


@pytest.mark.parametrize("preset", ["pynq", "de10nano"])
def test_packages_for_stock_machines_are_portable(
    preset: str, network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = str(tmp_path / "module.tar")
    compiling = ["compile", str(network / "net.onnx"), "-c", preset, "-o", module]
    assert main([*compiling, "--calibration", str(network / "c.npz")]) == 0
    capsys.readouterr()
    assert main(["check", module, "--portable", "--json"]) == 0
    captured = capsys.readouterr()
    shown = json.loads(captured.out)
    assert shown["legal"] and shown["streams"]
    # Micro-ops and DRAM were there to be checked.
    assert "no memory image" not in captured.err
