"""A user's own ONNX files as the network space, with a labelled .npz for their accuracy."""

import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from codesign.cli import main
from codesign.errors import CodesignError, ConfigError
from codesign.hw.loader import load_config
from codesign.search import AccuracyChoice, HardwareChoice, NetworkChoice, Problem, search
from codesign.search.accuracy import accuracy_source
from codesign.search.networks import OnnxNetworks
from tests.onnx_models import conv_net

WIDTHS = {"narrow": 4, "medium": 8, "wide": 16}
PROBLEM = """
[network]
onnx = ["narrow.onnx", "medium.onnx", "wide.onnx"]
calibration = "labelled.npz"
[hardware]
space = "neuhardco"
samples = 3
[accuracy]
source = "evaluate"
path = "labelled.npz"
[search]
strategy = "random"
budget = 9
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three networks trained a little on digits, and labelled digits."""
    made = tmp_path_factory.mktemp("candidates")
    data: Any = load_digits()
    images = (data.images[:, None] / 16).astype(np.float32)
    x, y = torch.from_numpy(images[:600]), torch.from_numpy(data.target[:600].astype(np.int64))
    torch.manual_seed(0)
    for name, width in WIDTHS.items():
        network = nn.Sequential(
            nn.Conv2d(1, width, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(16 * width, 10)
        )
        optimiser = torch.optim.Adam(network.parameters(), 0.01)
        for _ in range(30):
            loss = nn.functional.cross_entropy(network(x), y)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the fast exporter is an old one
            torch.onnx.export(
                network.eval(), (x[:1],), made / f"{name}.onnx", input_names=["image"], dynamo=False
            )
    np.savez(made / "labelled.npz", image=images[600:700], labels=data.target[600:700])
    (made / "problem.toml").write_text(PROBLEM)
    return made


def test_three_files_are_searched_end_to_end(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = str(folder / "run.db")
    assert main(["search", str(folder / "problem.toml"), "--store", store, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"best", "front", "certificate"} <= set(found)
    proof = found["certificate"]["proof"]
    assert proof["outputs_match"] and proof["inputs"] == 10 and proof["weights"] == "the file's"
    assert found["certificate"]["cycles"]["package_equals_t2"]
    kind = found["certificate"]["accuracy"]
    assert kind["dataset"] == "labelled.npz" and kind["split"].startswith("100 labelled samples")
    assert found["best"]["accuracy"] > 60
    winner = Path(found["folder"], "winner.onnx")
    assert winner.read_bytes() == Path(found["best"]["network"]).read_bytes()
    page = folder / "report.html"
    assert main(["report", store, "-o", str(page)]) == 0
    text = page.read_text()
    assert Path(found["best"]["network"]).name in text
    assert "<svg viewBox" in text and "The costliest layer" in text and "Roofline" in text
    assert not re.findall(r"https?://(?!www\.w3\.org/)", text)


def labelled(folder: Path, **arrays: Any) -> str:
    path = folder / "wrong.npz"
    np.savez(path, **arrays)
    return str(path)


IMAGES = np.zeros((4, 1, 8, 8), np.float32)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"image": IMAGES}, "holds image; .*'labels', one class for each sample"),
        ({"labels": np.arange(4)}, "holds labels; one array for each network input"),
        ({"image": IMAGES, "labels": np.arange(3)}, "'image' has 4 samples, 'labels' 3"),
        ({"image": IMAGES, "labels": np.ones(4)}, "'labels' is float64"),
        ({"image": IMAGES, "labels": -np.arange(4)}, "counted from 0"),
        ({"image": IMAGES, "labels": np.full(4, 2**64 - 1, np.uint64)}, "counted from 0"),
        ({"image": IMAGES * np.nan, "labels": np.arange(4)}, "'image' holds nan in sample 0"),
        ({"picture": IMAGES, "labels": np.arange(4)}, "narrow.onnx: .*inputs are image"),
        ({"image": IMAGES[:, :, 1:], "labels": np.arange(4)}, "narrow.onnx: .*must be .samples, 1"),
        ({"image": IMAGES, "labels": np.full(4, 12)}, "narrow.onnx: scores for 10 classes"),
    ],
)
def test_wrong_labelled_files_are_named(
    folder: Path, tmp_path: Path, arrays: dict[str, Any], message: str
) -> None:
    text = PROBLEM.replace('path = "labelled.npz"', f'path = "{labelled(tmp_path, **arrays)}"')
    assert "wrong.npz" in wrong(folder, tmp_path, text, message)


def wrong(folder: Path, tmp_path: Path, text: str, message: str) -> str:
    path = folder / f"{tmp_path.name}.toml"
    path.write_text(text)
    with pytest.raises(CodesignError, match=message) as caught:
        search(Problem.load(path), store=tmp_path / "run.db")
    return str(caught.value)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def other_input(path: Path) -> None:
    onnx.save(conv_net(), path)


def of_four(path: Path) -> None:
    network = onnx.load(path)
    for value in (network.graph.input[0], network.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 4
    onnx.save(network, path)


def a_map(path: Path) -> None:
    """Convolution and ReLU alone."""
    network = onnx.load(path)
    graph = network.graph
    del graph.node[2:]
    graph.node[1].output[0] = graph.output[0].name
    shape = [onnx.TensorShapeProto.Dimension(dim_value=size) for size in (1, 4, 4, 4)]
    graph.output[0].type.tensor_type.shape.CopyFrom(onnx.TensorShapeProto(dim=shape))
    onnx.save(network, path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (Path.unlink, "second.onnx: no such file"),
        (truncated, "second.onnx: not an ONNX file, or truncated"),
        (other_input, r"second.onnx: .*inputs are x: \[samples, 3, 8, 8\]"),
        (of_four, "second.onnx: declares a batch of 4 images; .* export it with batch 1"),
        (a_map, r"second.onnx: output .* is \[samples, 4, 4, 4\]; one score for each class"),
    ],
)
def test_wrong_networks_are_named(
    folder: Path, tmp_path: Path, change: Callable[[Path], None], message: str
) -> None:
    second = folder / "second.onnx"
    second.write_bytes((folder / "narrow.onnx").read_bytes())
    change(second)
    text = PROBLEM.replace('"medium.onnx", "wide.onnx"', '"second.onnx"')
    wrong(folder, tmp_path, text, message)


def test_missing_data_and_doubled_files_are_named(folder: Path, tmp_path: Path) -> None:
    text = PROBLEM.replace('calibration = "labelled.npz"', 'calibration = "none.npz"')
    wrong(folder, tmp_path, text, "none.npz: no such file")
    text = PROBLEM.replace('path = "labelled.npz"', 'path = "none.npz"')
    wrong(folder, tmp_path, text, "none.npz: no such file")
    wrong(folder, tmp_path, PROBLEM.replace("medium", "narrow"), "narrow.onnx twice")
    wrong(folder, tmp_path, PROBLEM.replace('calibration = "labelled.npz"', ""), "narrow.onnx")


def test_given_accuracies_are_percentages() -> None:
    network = NetworkChoice(onnx=("a.onnx", "b.onnx"))
    for values, message in (((50.0,), "1 given for 2"), ((50.0, 101.0), "101; percentages")):
        with pytest.raises(ConfigError, match=message):
            accuracy_source(network, AccuracyChoice("given", values=values))
    with pytest.raises(ConfigError, match=r'or path = "LABELLED.npz"'):
        accuracy_source(network, AccuracyChoice("evaluate"))
    assert Problem(network, HardwareChoice("neuhardco")).network.onnx == network.onnx


def test_weights_outside_the_file_are_in_the_winner_and_in_its_key(
    folder: Path, tmp_path: Path
) -> None:
    network, file = onnx.load(folder / "wide.onnx"), tmp_path / "outside.onnx"
    onnx.save(network, file, save_as_external_data=True, location="weights", size_threshold=64)
    networks = OnnxNetworks((str(file),), load_config("pynq"))
    networks.export(0, tmp_path / "winner.onnx", 0)
    before = networks.identity()
    weights = tmp_path / "weights"
    weights.write_bytes(bytes(weights.stat().st_size))
    assert networks.identity() != before
    weights.unlink()
    winner = [
        [
            onnx.numpy_helper.to_array(tensor).tolist()
            for tensor in onnx.load(path).graph.initializer
        ]
        for path in (tmp_path / "winner.onnx", folder / "wide.onnx")
    ]
    assert winner[0] == winner[1]
