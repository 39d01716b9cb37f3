# pyright: reportUnknownMemberType=false
"""Exported files, loaded by hand into the simulator, compute what the package computes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

import codesign
from codesign.compiler import Package
from codesign.compiler.execute import Session
from codesign.compiler.export import export, relocate
from codesign.errors import DataError
from codesign.isa import check, decode
from codesign.kernels import PatchFold, TensorLayout, fold_input, pack, unpack
from codesign.sim import Simulator
from tests.onnx_models import conv_net, model, qdq_conv, samples

CFG = codesign.load_config("pynq")
WIDE = dataclasses.replace(CFG, log_batch=1)


def layout(symbol: dict[str, Any]) -> TensorLayout:
    return TensorLayout(*symbol["shape"].values(), symbol["border"])


def two_regions() -> Any:
    """An operator of the host between two convolutions."""
    rng = np.random.default_rng(0)
    weights = {
        "w": rng.standard_normal((16, 3, 3, 3)).astype(np.float32),
        "v": rng.standard_normal((5, 16, 1, 1)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("Sigmoid", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "v"], ["y"]),
    ]
    return model(nodes, weights, [1, 3, 8, 8])


@pytest.mark.parametrize("compose", ["exact", "overlap"])
@pytest.mark.parametrize("cfg", [CFG, WIDE])
@pytest.mark.parametrize(("net", "base"), [(conv_net, 0), (two_regions, 0x10000000)])
def test_files_run_by_hand(
    net: Any, base: int, cfg: codesign.VtaConfig, compose: Any, tmp_path: Path
) -> None:
    package = codesign.compile(net(), cfg, calibration=samples(), compose=compose)
    export(package, tmp_path / "out", base)
    table = json.loads((tmp_path / "out" / "symbols.json").read_text())
    session = Session(package.executable, package.programs)
    session.run({"x": samples(1)["x"]})
    memory = np.fromfile(tmp_path / "out" / table["memory"]["file"], np.uint8)
    assert memory.size == table["memory"]["bytes"]
    symbols = {s["name"]: s for s in table["symbols"]}
    assert len(package.graphs) == (2 if net is two_regions else 1)
    for graph in package.graphs:  # the host's part in between is the package's
        inputs, outputs = session.region_io(graph.name)
        for name, array in zip(graph.inputs, inputs, strict=True):
            symbol = symbols[f"{graph.name}.{name}"]
            values = (array ^ 128).view(np.int8) if symbol["outside"]["dtype"] == "uint8" else array
            lanes = np.zeros((cfg.batch, *symbol["shape"].values()), np.int8)
            fold = symbol["outside"]["fold"]
            if fold:
                size = (symbol["shape"]["height"], symbol["shape"]["width"])
                values = fold_input(values, PatchFold(**fold), *size, symbol["zero_point"])
            lanes[:1] = values.reshape(1, *lanes.shape[1:])
            packed = pack(lanes, layout(symbol), cfg, symbol["zero_point"])
            start = symbol["address"] - base
            memory[start : start + packed.size] = packed
        for run in (run for run in table["runs"] if run["region"] == graph.name):
            stream = np.fromfile(tmp_path / "out" / run["file"], np.uint8)
            assert stream.size == run["bytes"] == run["instructions"] * table["instruction_bytes"]
            assert check(stream, cfg, memory=memory, base_address=base) == []
            Simulator(cfg).run(stream, memory, base, instruction_address=run["address"])
        for name, wanted in zip(graph.outputs, outputs, strict=True):
            symbol = symbols[f"{graph.name}.{name}"]
            got = unpack(memory[symbol["address"] - base :], layout(symbol), cfg)[:1]
            got = got.reshape(wanted.shape)
            got = got.view(np.uint8) ^ 128 if symbol["outside"]["dtype"] == "uint8" else got
            np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize(("cfg", "passes"), [(CFG, 3), (WIDE, 2)])
def test_larger_batches_take_more_passes(
    cfg: codesign.VtaConfig, passes: int, tmp_path: Path
) -> None:
    package = codesign.compile(conv_net(shape=(3, 3, 8, 8)), cfg, calibration=samples(6))
    table = export(package, tmp_path / "out", 0)
    (region,) = table["regions"]
    assert region == {"name": package.graphs[0].name, "images": 3, "passes": passes}
    assert package.cycles == passes * sum(unit.cycles for unit in package.units)
    assert {run["region"] for run in table["runs"]} == {region["name"]}


def test_symbols_do_not_overlap_what_they_must_not(tmp_path: Path) -> None:
    package = codesign.compile(conv_net(), CFG, calibration=samples())
    table = export(package, tmp_path / "out", 0x4000)
    end = table["memory"]["address"] + table["memory"]["bytes"]
    for run in table["runs"]:
        assert run["address"] >= end
        assert run["address"] % 4096 == 0
        end = run["address"] + run["bytes"]
    assert end <= 0x4000 + package.peak_dram_bytes
    for symbol in table["symbols"]:
        assert symbol["address"] >= 0x4000
        assert symbol["address"] + symbol["bytes"] <= 0x4000 + table["memory"]["bytes"]
    kinds = {symbol["kind"] for symbol in table["symbols"]}
    assert kinds == {"input", "output", "activation", "constants"}


def test_relocation_moves_addresses_only() -> None:
    package = codesign.compile(conv_net(), CFG, calibration=samples())
    stream = package.streams[0][2].instructions
    moved = relocate(stream, CFG, 0x8000)
    before, after = decode(stream, CFG), decode(moved, CFG)
    names = [name for name in before.dtype.names or () if name != "dram_base"]
    assert (before[names] == after[names]).all()
    np.testing.assert_array_equal(relocate(moved, CFG, -0x8000), stream)


def test_errors_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = codesign.compile(conv_net(), CFG, calibration=samples())
    with pytest.raises(DataError, match=r"0x1001: must be a multiple of 0x1000.*0x2000"):
        export(package, tmp_path / "out", 0x1001)
    with pytest.raises(DataError, match=r"4 GiB; take 0x"):
        export(package, tmp_path / "out", 0xFFFFF000)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("kept")
    for wrong in ("full", "full/file"):
        with pytest.raises(DataError, match="no empty folder"):
            export(package, tmp_path / wrong, 0)
    with pytest.raises(DataError, match="does not exist"):
        export(package, tmp_path / "absent" / "out", 0)
    monkeypatch.setattr(Path, "write_text", _disk_full)
    with pytest.raises(DataError, match=r"out: cannot be written: No space"):
        export(package, tmp_path / "out", 0)
    assert [p.name for p in tmp_path.rglob("*")] == ["full", "file"]


def _disk_full(*_: Any, **__: Any) -> None:
    raise OSError(28, "No space left on device", "symbols.json")


def test_a_network_without_regions_is_refused(tmp_path: Path) -> None:
    package: Package = codesign.compile(qdq_conv(weight_zero=3), CFG)
    with pytest.raises(DataError, match="nothing runs on the accelerator"):
        export(package, tmp_path / "out", 0)
