"""`codesign configs`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from codesign.cli import main
from codesign.hw.loader import load_config


def _json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main(["configs", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_list_names_presets_and_spaces(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["configs", "list"]) == 0
    text = capsys.readouterr().out
    for name in ("pynq", "de10nano", "ultra96", "zcu104", "neuhardco", "edge", "portable"):
        assert name in text
    listed = _json(capsys, "list")
    assert {space["name"] for space in listed["spaces"]} >= {"neuhardco", "edge", "portable"}
    assert {preset["name"] for preset in listed["presets"]} >= {"pynq", "de10nano"}


def test_list_of_a_space(capsys: pytest.CaptureFixture[str]) -> None:
    points = _json(capsys, "list", "neuhardco")["configs"]
    assert len(points) == 192
    assert points[0]["name"] == "8x8_256k_ws"
    assert (points[0]["array"], points[0]["sram_kib"]) == ("1x8x8", 256)


@pytest.mark.parametrize(("space", "count"), [("neuhardco", 192), ("edge", 1296)])
def test_count(capsys: pytest.CaptureFixture[str], space: str, count: int) -> None:
    assert main(["configs", "count", space]) == 0
    assert capsys.readouterr().out == f"{count}\n"
    assert _json(capsys, "count", space)["count"] == count


def test_show(capsys: pytest.CaptureFixture[str]) -> None:
    shown = _json(capsys, "show", "pynq")
    assert shown["config"]["LOG_BLOCK"] == 4
    assert shown["derived"]["wgt_depth"] == 1024
    assert shown["estimated"] == {"dsp": 256, "bram36": 122, "lut": 18914, "ff": 7275}
    assert main(["configs", "show", "neuhardco:8x64_2m_os"]) == 0
    assert "instruction_encoding" in capsys.readouterr().out


def test_check_of_a_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["configs", "check", "pynq"]) == 0
    assert capsys.readouterr().out == "pynq: every rule holds\n"
    bad = tmp_path / "bad.json"
    bad.write_text('{"BUS_BITS": 512, "LOG_WGT_BUFF_SIZE": 3}')
    assert main(["configs", "check", str(bad)]) == 4
    text = capsys.readouterr().err
    assert text.startswith(
        f"codesign: error: {bad}: 2 problems\n  wgt_depth: LOG_WGT_BUFF_SIZE is 3"
    )
    assert "axi_burst" in text
    assert "Traceback" not in text


def test_check_of_a_space_tells_which_rules_its_points_break(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["configs", "check", "neuhardco"]) == 0
    assert capsys.readouterr().out == "neuhardco: 192 of 192 points are feasible\n"
    space = {
        "description": "wide buses",
        "axes": [{"name": "bus", "key": "BUS_BITS", "values": [64, 256, 512]}],
        "names": "bus{bus}",
    }
    path = tmp_path / "wide.json"
    path.write_text(json.dumps(space))
    assert main(["configs", "check", str(path)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("wide: 1 of 3 points are feasible")
    assert "axi_burst" in text
    path.write_text(json.dumps(space | {"fixed": {"LOG_BLOCK": 7}}))
    assert main(["configs", "check", str(path)]) == 1


def test_new_writes_a_file_that_loads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.json"
    arguments = ["configs", "new", "-o", str(path), "--base", "ultra96"]
    assert main([*arguments, "--set", "LOG_BLOCK=5", "--set", "DATAFLOW=os"]) == 0
    assert capsys.readouterr().err == f"codesign: wrote {path}\n"
    cfg = load_config(path)
    assert (cfg.name, cfg.block_in, cfg.dataflow, cfg.bus_bits) == ("mine", 32, "os", 128)
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine.json"]


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ("BUS_BITS", "give KEY=VALUE"),
        ("BUS_BITS=9", "bus_bits: BUS_BITS is 9 bits; allowed: a power of two in 64 to 512 bits"),
        ("BUS=9", "BUS: unknown key (value 9)"),
    ],
)
def test_new_writes_nothing_half(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str, part: str
) -> None:
    path = tmp_path / "mine.json"
    assert main(["configs", "new", "-o", str(path), "--set", change]) == 4
    assert part in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_new_into_a_missing_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["configs", "new", "-o", str(tmp_path / "no" / "mine.json")]) == 4
    assert "the folder" in capsys.readouterr().err
