"""Configuration files: what loads, and how every problem is told at once."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

import codesign
from codesign.errors import ConfigError
from codesign.hw.config import VtaConfig
from codesign.hw.loader import load_config, presets, to_document

UPSTREAM = {
    "TARGET": "sim", "HW_VER": "0.0.2", "LOG_INP_WIDTH": 3, "LOG_WGT_WIDTH": 3,
    "LOG_ACC_WIDTH": 5, "LOG_BATCH": 0, "LOG_BLOCK": 4, "LOG_UOP_BUFF_SIZE": 15,
    "LOG_INP_BUFF_SIZE": 15, "LOG_WGT_BUFF_SIZE": 18, "LOG_ACC_BUFF_SIZE": 17,
}  # fmt: skip


def _file(folder: Path, document: object, name: str = "vta_config.json") -> Path:
    path = folder / name
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def _message(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    return str(caught.value)


def test_upstream_file_loads_unchanged(tmp_path: Path) -> None:
    cfg = load_config(_file(tmp_path, UPSTREAM))
    assert cfg == VtaConfig()
    assert (cfg.name, cfg.target, cfg.pes) == ("vta_config", "sim", 256)


def test_narrow_upstream_file_loads(tmp_path: Path) -> None:
    narrow = UPSTREAM | {
        "LOG_INP_WIDTH": 2, "LOG_WGT_WIDTH": 1, "LOG_INP_BUFF_SIZE": 14, "LOG_WGT_BUFF_SIZE": 16,
        "ENCODING": "vta",
    }  # fmt: skip
    assert load_config(_file(tmp_path, narrow)).inp_bits == 4


@pytest.mark.parametrize(
    ("name", "bus", "beats", "mhz"),
    [
        ("pynq", 64, 256, 100),
        ("de10nano", 64, 16, 100),
        ("ultra96", 128, 256, 333),
        ("zcu104", 128, 256, 333),
    ],
)
def test_presets(name: str, bus: int, beats: int, mhz: int) -> None:
    cfg = codesign.load_config(name)
    assert (cfg.bus_bits, cfg.max_burst_beats, cfg.frequency_mhz) == (bus, beats, mhz)
    core = dataclasses.replace(VtaConfig(), bus_bits=bus, max_burst_beats=beats, frequency_mhz=mhz)
    assert cfg == core
    assert cfg.name == cfg.target == name
    assert cfg.instruction_encoding == "vta"


def test_presets_are_listed() -> None:
    assert {"pynq", "de10nano", "ultra96", "zcu104"} <= set(presets())


def test_document_round_trip(tmp_path: Path) -> None:
    for name in presets():
        cfg = load_config(name)
        assert load_config(_file(tmp_path, to_document(cfg))) == cfg


def test_point_of_a_space_by_name() -> None:
    cfg = load_config("neuhardco:16x32_256k_ws")
    assert (cfg.block_in, cfg.block_out, cfg.dataflow) == (16, 32, "ws")
    with pytest.raises(ConfigError, match="names look like '8x8_256k_ws'"):
        load_config("neuhardco:16x31_256k_ws")


def test_all_problems_at_once(tmp_path: Path) -> None:
    message = _message(
        _file(
            tmp_path,
            {
                "LOG_BLOKC": 4, "LOG_BATCH": -1, "BUS_BITS": 100, "MAX_BURST_BEATS": "16",
                "DATAFLOW": "xs", "LOG_BLOCK_IN": 4.5, "READ_LATENCY": -3, "HAS_MUL": 1,
                "FREQUENCY_MHZ": 0, "WRITE_RESPONSE_LATENCY": 0,
            },
        )
    )  # fmt: skip
    for part in (
        "10 problems",
        "LOG_BLOKC: unknown key (value 4); did you mean LOG_BLOCK?",
        "MAX_BURST_BEATS: input should be a valid integer, given '16'",
        "DATAFLOW: input should be 'auto', 'ws', 'os', 'is' or 'rs', given 'xs'",
        "LOG_BLOCK_IN: input should be a valid integer, given 4.5",
        "HAS_MUL: input should be a valid boolean, given 1",
        "log_batch: LOG_BATCH is -1; allowed: 0 to 8",
        "bus_bits: BUS_BITS is 100 bits; allowed: a power of two in 64 to 512 bits",
        "read_latency: READ_LATENCY is -3 cycles; allowed: 0 to 65535 cycles",
        "frequency_mhz: FREQUENCY_MHZ is 0",
        "write_response_latency: WRITE_RESPONSE_LATENCY is 0 cycles; allowed: 1 to 65535",
    ):
        assert part in message


def test_related_rules_with_their_numbers(tmp_path: Path) -> None:
    message = _message(
        _file(
            tmp_path,
            {
                "LOG_WGT_BUFF_SIZE": 3, "LOG_ACC_BUFF_SIZE": 25, "BUS_BITS": 512,
                "LOG_UOP_BUFF_SIZE": 20,
            },
        )
    )  # fmt: skip
    assert (
        "wgt_depth: LOG_WGT_BUFF_SIZE is 3 (2^3 bytes), less than one WGT element; at least 8"
        in (message)
    )
    assert "acc_depth: LOG_ACC_BUFF_SIZE is 25: a depth of 2^19 ACC elements" in message
    assert "uop_depth: LOG_UOP_BUFF_SIZE is 20" in message
    assert "64 x 256 = 16384 bytes; an AXI4 burst never crosses 4096 bytes" in message
    assert "4 problems" in message


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{", "not JSON"),
        ("[]", "a JSON object is needed, found list"),
        ('{"LOG_BATCH": 0, "LOG_BATCH": 1}', "'LOG_BATCH' is given twice"),
        ('{"FREQUENCY_MHZ": NaN}', "FREQUENCY_MHZ: input should be a finite number, given nan"),
        ('{"LOG_BATCH": true}', "LOG_BATCH: input should be a valid integer, given True"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_malformed_files(tmp_path: Path, text: str, part: str) -> None:
    assert part in _message(_file(tmp_path, text))


def test_missing_and_binary_files(tmp_path: Path) -> None:
    assert "No such file or directory" in _message(tmp_path / "none.json")
    binary = tmp_path / "binary.json"
    binary.write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in _message(binary)
    assert "Is a directory" in _message(tmp_path)


def test_unknown_preset_lists_the_known() -> None:
    with pytest.raises(
        ConfigError, match=r"'pinq' is not one of the presets .*did you mean pynq\?"
    ):
        load_config("pinq")


@pytest.mark.parametrize("key", list(UPSTREAM)[2:])
def test_every_size_is_checked_on_both_sides(tmp_path: Path, key: str) -> None:
    bad: dict[str, Any] = {"low": -1, "high": 99}
    for value in bad.values():
        assert f"{key} is {value}; allowed:" in _message(_file(tmp_path, UPSTREAM | {key: value}))
