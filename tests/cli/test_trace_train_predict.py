"""`codesign trace`, `train` and `predict` in one chain, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from codesign.cli import main
from codesign.cli.layers import network_layers
from codesign.costmodel import read
from codesign.costmodel.splits import Split, make_splits
from codesign.store import TraceStore

TRACE = ["trace", "--network", "nasbench201", "--hardware", "neuhardco", "--seed", "7"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("traces") / "traces.db"
    assert main([*TRACE, "--samples", "60", "-o", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def model(store: Path) -> Path:
    path = store.with_name("model.ubj")
    assert main(["train", str(store), "-o", str(path)]) == 0
    return path


def test_trace_adds_only_what_is_missing(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TRACE, "--samples", "60", "-o", str(store), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["samples"], facts["simulated"], facts["known"]) == (60, 0, 60)
    assert (facts["layers"], facts["configs"], facts["infeasible"]) == (24, 192, 0)


def test_trace_exports_its_store(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "traces.csv"
    assert main(["trace", "-o", str(store), "--export", str(table), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 60
    assert len(table.read_text().splitlines()) == 61
    assert main(["trace", "-o", str(tmp_path / "no.db"), "--export", str(table)]) == 4
    assert "no.db does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("given", [[], ["--network", "nasbench201"], ["--hardware", "edge"]])
def test_trace_needs_something_to_do(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["trace", *given, "-o", "x.db"])
    assert stopped.value.code == 2
    assert "give --network and --hardware, or --export FILE" in capsys.readouterr().err
    assert not Path("x.db").exists()


def test_a_foreign_store_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    foreign = tmp_path / "foreign.db"
    foreign.write_bytes(b"not a database" * 100)
    assert main([*TRACE, "--samples", "5", "-o", str(foreign)]) == 4
    assert "corrupt or not a codesign store" in capsys.readouterr().err
    assert foreign.read_bytes() == b"not a database" * 100


def test_train_prints_errors_by_group(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", str(store), "-o", str(tmp_path / "m.ubj"), "--network", "nasbench201"]
    assert main([*arguments, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert set(facts["errors"]["by_split"]) == {"unseen_layers", "unseen_configs", "unseen_block"}
    assert "fewer than two families" in facts["errors"]["missing"]["unseen_networks"]
    assert facts["rows"] == 60
    heads = {"m.json", "m.ubj", "m.energy.ubj", "m.spread.ubj"}
    assert {p.name for p in tmp_path.iterdir()} == heads


def test_train_holds_a_family_out_with_all_its_layers(
    store: Path,
) -> None:
    with TraceStore.open(store, readonly=True) as opened:
        rows = read(opened)
    families = network_layers(["nasbench201"], 0, rows.configs[0])
    assert set(families) == {"nasbench201"}
    (layers,) = families.values()
    assert len(layers) == len(set(layers)) == 24
    halves = {"first": layers[:12], "second": layers[12:]}
    split = make_splits(rows, 0, halves, 0.2)["unseen_networks"]
    assert isinstance(split, Split)
    assert set(rows.layer_ids[split.train]).isdisjoint(rows.layer_ids[split.test])


def test_train_overwrites_nothing_foreign(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    assert main(["train", str(store), "-o", str(path)]) == 4
    assert "is there already and is no cost model" in capsys.readouterr().err
    assert path.read_text() == "mine"


def test_train_explains_a_missing_split(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(store), "-o", str(tmp_path / "m.ubj")]) == 0
    captured = capsys.readouterr()
    assert "unseen configs" in captured.out
    assert "unseen networks: no families of networks were named" in captured.err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["trace", "--network", "nothing", "--hardware", "neuhardco", "-o", "{t}"], "nasbench201"),
        (["trace", "--network", "nasbench201", "--hardware", "nothing", "-o", "{t}"], "neuhardco"),
        (["train", "{t}/missing.db", "-o", "{t}/m.ubj"], "does not exist"),
        (["train", "{t}/missing.db", "-o", "."], ".: is a folder; name a file to write"),
        (["train", "{t}/missing.db", "-o", "{t}/no/m.ubj"], "no does not exist; create it first"),
        (["predict", "{t}/no.onnx", "-c", "pynq", "-m", "{t}/m.ubj"], "codesign train"),
    ],
    ids=["network", "hardware", "store", "folder", "no folder", "model"],
)
def test_user_errors(
    arguments: list[str], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([a.format(t=tmp_path) for a in arguments]) == 4
    captured = capsys.readouterr()
    assert text in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_a_store_without_traces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "foreign.db").write_bytes(b"not a database" * 100)
    assert main(["train", str(tmp_path / "foreign.db"), "-o", str(tmp_path / "m.ubj")]) == 4
    assert "foreign.db" in capsys.readouterr().err
    assert not (tmp_path / "m.ubj").exists()


def test_samples_must_be_positive(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*TRACE, "--samples", "0", "-o", "x.db"])
    assert stopped.value.code == 2
    assert "--samples: '0': a whole number from 1 on is allowed" in capsys.readouterr().err


def small_network(path: Path) -> Path:
    """Convolution, ReLU, convolution: two units."""
    weights = [
        numpy_helper.from_array(np.full((16, c, 3, 3), 0.1, np.float32), f"w{i}")
        for i, c in enumerate((3, 16))
    ]
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "w1"], ["y"], pads=[1, 1, 1, 1]),
    ]
    shapes = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, 8, 8])
        for name, channels in (("x", 3), ("y", 16))
    ]
    graph = helper.make_graph(nodes, "small", shapes[:1], shapes[1:], weights)
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(network, path)
    return path


def test_predict_lists_layers_and_their_sum(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = small_network(tmp_path / "small.onnx")
    arguments = ["predict", str(network), "-c", "neuhardco:16x16_1m_os", "-m", str(model)]
    assert main([*arguments, "--json"]) == 0
    captured = capsys.readouterr()
    facts = json.loads(captured.out)
    assert (facts["level"], facts["config"]) == ("T1", "16x16_1m_os")
    assert [layer["op"] for layer in facts["layers"]] == ["conv2d", "conv2d"]
    assert facts["cycles"] == sum(layer["cycles"] for layer in facts["layers"])
    assert all(layer["cycles"] >= layer["bound"] for layer in facts["layers"])
    assert facts["latency_ms"] == pytest.approx(facts["cycles"] / 1e5)
    assert "random inputs" in captured.err
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert "sum; limits" in captured.out
    assert "limits hold 90% of the pairs of layers like those traced" in captured.err


def test_predict_flags_what_the_traces_did_not_cover(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cell = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|"
    arguments = ["predict", f"nasbench201:{cell}", "-m", str(model), "--json", "-c"]
    assert main([*arguments, "neuhardco:16x16_1m_os"]) == 0
    facts = json.loads(capsys.readouterr().out)
    total = sum(layer["count"] * layer["cycles"] for layer in facts["layers"])
    assert facts["cycles"] == total > 0
    assert facts["sum_of_low"] <= facts["cycles"] <= facts["sum_of_high"]
    assert facts["sum_of_low"] == sum(layer["count"] * layer["low"] for layer in facts["layers"])
    assert facts["energy_mj"] > 0
    assert facts["config_extrapolation"] == []
    assert main([*arguments, "edge:4x4_64k-wgt_bus64_lat120_ws"]) == 0
    captured = capsys.readouterr()
    flags = json.loads(captured.out)["config_extrapolation"]
    assert "read_latency 120 outside 18..18" in flags
    assert "extrapolation: 4x4_64k-wgt_bus64_lat120_ws has block_in 4 outside" in captured.err


def test_trace_of_an_onnx_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = small_network(tmp_path / "small.onnx")
    store = str(tmp_path / "traces.db")
    arguments = ["trace", "--network", str(network), "--hardware", "neuhardco", "-o", store]
    assert main([*arguments, "--samples", "10", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["layers"], facts["simulated"]) == (2, 10)
