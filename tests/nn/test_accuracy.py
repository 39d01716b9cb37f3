"""Accuracy sources: what they measure, what they say about it, and what they keep."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

import codesign
from codesign.errors import ConfigError, DataError, StoreError
from codesign.hw.config import VtaConfig
from codesign.nn import (
    AccuracySource,
    Decision,
    GraphBuilder,
    NetworkSpace,
    PredictedAccuracy,
)
from codesign.nn.accuracy import CallableAccuracy
from codesign.nn.datasets import DataSet, digits, real, shapes32
from codesign.nn.evaluate import EvaluatedAccuracy, trained_models
from codesign.nn.graph import Tensor
from codesign.nn.measurements import Measurements
from codesign.nn.supernet import OneShotRecipe
from codesign.nn.trained import SupernetAccuracy, TrainedAccuracy
from codesign.nn.training import Recipe, top1
from codesign.search import Problem
from codesign.search.accuracy import accuracy_source

CONFIG: VtaConfig = codesign.load_config("pynq")


@dataclass(frozen=True)
class Small(NetworkSpace):
    """One convolution of 8 or 16 channels."""

    resolution: int | None = 16

    @property
    def name(self) -> str:
        return "small"

    @property
    def decisions(self) -> tuple[Decision, ...]:
        return (Decision("channels", (8, 16)),)

    def network(self, builder: GraphBuilder, x: int, choices: tuple[Any, ...]) -> Tensor:
        y = builder.relu(builder.conv(x, choices[0], "layer", kernel=3, stride=2, padding=1))
        return builder.dense(builder.global_pool(y), self.num_classes, "classifier")


def _data() -> DataSet:
    drawn = shapes32(train=300, test=60)
    small = [images[:, :, ::2, ::2] for images in (drawn.train_images, drawn.test_images)]
    return replace(drawn, train_images=small[0], test_images=small[1])


SPACE, DATA, RECIPE = Small(), _data(), Recipe(epochs=2)


def test_trained_accuracies_are_kept(tmp_path: Path) -> None:
    store = tmp_path / "trained.jsonl"
    asked: list[str] = []
    source = TrainedAccuracy(SPACE, DATA, RECIPE, (0, 1), store, asked.append)
    assert source.what.spread is None
    values = source.lookup(["8", "16"])
    assert len(asked) == 4
    assert ((values >= 0) & (values <= 100)).all()
    what = source.what
    assert (what.kind, what.dataset, what.seeds) == ("trained here", "shapes32", "0, 1")
    assert what.spread is not None
    again = TrainedAccuracy(SPACE, DATA, RECIPE, (0, 1), store, asked.append)
    assert (again.lookup(["8", "16"]) == values).all()
    assert len(asked) == 4
    with store.open("a") as file:
        file.write('{"ke')  # a kill while writing
    assert (TrainedAccuracy(SPACE, DATA, RECIPE, (0,), store).lookup(["8"]) >= 0).all()
    longer = TrainedAccuracy(SPACE, DATA, Recipe(epochs=1), (0,), store, asked.append)
    longer.lookup(["8"])
    assert len(asked) == 5
    assert len(store.read_text().splitlines()) == 6  # what the kill left is gone


def test_a_damaged_store_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "trained.jsonl"
    Measurements(file).put("a", 1.0)
    first = file.read_text().splitlines()[0]
    file.write_text(first + '\n{"version": 1}\n')
    with pytest.raises(StoreError, match=r"trained.jsonl: line 2 is no measurement"):
        Measurements(file)
    file.write_text('{"format": "codesign-measurements", "version": 0}\n')
    with pytest.raises(StoreError, match="is no store of measured accuracies of version 1; name"):
        Measurements(file)


@pytest.mark.parametrize(
    "content",
    [b'{"my": "only copy"}', b'{"my": "only copy"}\n', b"SQLite format 3\0\xff\xfe\n", b"\n\n"],
    ids=["text", "lines", "binary", "blank"],
)
def test_a_foreign_file_is_left_as_it_is(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "notes.json"
    before = Measurements(file)  # opened before the other file came
    file.write_bytes(content)
    with pytest.raises(StoreError, match=r"notes.json: is no store of measured accuracies"):
        Measurements(file)
    with pytest.raises(StoreError, match=r"notes.json: is no store of measured accuracies"):
        before.put("a", 1.0)
    assert file.read_bytes() == content
    with pytest.raises(DataError, match="is a folder; name a file"):
        Measurements(tmp_path)


def test_two_writers_of_one_store(tmp_path: Path) -> None:
    file = tmp_path / "trained.jsonl"
    one, two = Measurements(file), Measurements(file)
    one.put("a", 1.0)
    two.put("b", 2.0)
    both = Measurements(file)
    assert (both.get("a"), both.get("b")) == (1.0, 2.0)


def test_supernet_accuracies(tmp_path: Path) -> None:
    recipe = OneShotRecipe(epochs=2, seed=3)
    source = SupernetAccuracy(SPACE, DATA, recipe, tmp_path / "net.safetensors")
    values = source.lookup(["8", "16"])
    assert (source.what.kind, source.what.seeds) == ("supernet (inherited weights)", "3")
    again = SupernetAccuracy(SPACE, DATA, recipe, tmp_path / "net.safetensors")
    assert (again.lookup(["8", "16"]) == values).all()


def test_a_search_selects_on_images_that_no_final_figure_sees(tmp_path: Path) -> None:
    selection = DATA.validation()
    assert (len(selection.train_labels), len(selection.test_labels)) == (240, 60)
    asked: list[str] = []
    store = tmp_path / "trained.jsonl"
    trained = TrainedAccuracy(SPACE, selection, RECIPE, (0,), store, asked.append, DATA)
    supernet = SupernetAccuracy(SPACE, selection, OneShotRecipe(epochs=1), final=DATA)
    for source in (trained, supernet):
        assert source.what.split == "validation, 60 images"
        chosen, final = source.lookup(["16"])[0], source.tested(["16"])[0]
        assert 0 <= min(chosen, final) <= max(chosen, final) <= 100
    assert len(asked) == 1  # one training gave both figures
    network = trained.network("16", 0)
    judged = [top1(network, part.test_images, part.test_labels) for part in (selection, DATA)]
    assert judged == [trained.lookup(["16"])[0], trained.tested(["16"])[0]]


def test_predicted_accuracies_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "predicted.csv"
    file.write_text("network,accuracy\na,71.5\nb,69\n")
    source = _source(
        {"space": "alphanet"}, {"source": "predicted", "path": str(file), "dataset": "imagenet"}
    )
    assert isinstance(source, PredictedAccuracy)
    assert source.lookup(["b", "a"]).tolist() == [69.0, 71.5]
    what = source.what
    assert (what.kind, what.dataset) == ("predicted (not trained)", "imagenet")
    with pytest.raises(DataError, match="no prediction for 'c'; it has 2 networks"):
        source.lookup(["c"])
    for text, message in (
        ("network,accuracy\n", "no predicted accuracies; columns are network, accuracy"),
        ("network,top1\na,3\n", "line 2 has no network and accuracy"),
        ("network,accuracy\na,3\nb,much\n", "line 3 has no network and accuracy"),
        ("network,accuracy\na,0.7\nb,300\n", "line 3: accuracy 300; 0..100 percent"),
    ):
        file.write_text(text)
        with pytest.raises(DataError, match=message):
            PredictedAccuracy(file, "imagenet")
    with pytest.raises(DataError, match="cannot read predicted accuracies"):
        PredictedAccuracy(tmp_path / "none.csv", "imagenet")


def test_evaluation_runs_the_compiled_network(tmp_path: Path) -> None:
    trained = TrainedAccuracy(SPACE, DATA, Recipe(epochs=4))
    models = trained_models(trained, tmp_path)
    source = EvaluatedAccuracy(DATA, CONFIG, simulated=2, model_of=models)
    value = float(source.lookup(["16"])[0])
    session = ort.InferenceSession(str(models("16")))
    x = real(DATA.test_images)
    logits: Any = np.concatenate([np.asarray(session.run(None, {"x": row[None]})[0]) for row in x])
    in_float = 100.0 * float((logits.argmax(axis=1) == DATA.test_labels).mean())
    assert abs(value - in_float) <= 5.0  # three of 60 images
    assert source.what.kind == "evaluated (integer network)"
    assert "compiled for" in source.what.source


def test_a_stored_evaluation_is_of_the_same_product_and_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def outputs(self: EvaluatedAccuracy, path: Path) -> Any:
        asked.append(path)
        return np.eye(10)[np.zeros(len(self.data.test_labels), int)]

    monkeypatch.setattr(EvaluatedAccuracy, "_outputs", outputs)
    network, store = tmp_path / "net.onnx", tmp_path / "top1.jsonl"
    network.write_bytes(b"a network")

    def times(data: DataSet = DATA, simulated: int = 8) -> int:
        source = EvaluatedAccuracy(data, CONFIG, simulated=simulated, store=store)
        source.lookup([str(network)])
        return len(asked)

    assert [times(), times()] == [1, 1]
    assert [times(simulated=0), times(simulated=0)] == [2, 2]
    assert times(replace(DATA, test_labels=DATA.test_labels[::-1].copy())) == 3
    assert times(replace(DATA, test_images=DATA.test_images[::-1].copy())) == 4
    assert times(replace(DATA, train_images=DATA.train_images[::-1].copy())) == 5
    monkeypatch.setattr("codesign.store.compiler_version", lambda: "another")
    assert [times(), times()] == [6, 6]


def test_evaluation_of_a_network_for_other_images(tmp_path: Path) -> None:
    trained = TrainedAccuracy(SPACE, DATA, Recipe(epochs=1))
    path = trained_models(trained, tmp_path)("8")
    with pytest.raises(DataError, match=r"be \[samples, 3, 16, 16\], got \[128, 1, 8"):
        EvaluatedAccuracy(digits(), CONFIG).lookup([str(path)])


def test_spaces_and_data_sets_must_fit() -> None:
    with pytest.raises(DataError, match="space small is for 10 classes and images"):
        TrainedAccuracy(SPACE, digits(), RECIPE)
    with pytest.raises(DataError, match="no seeds"):
        TrainedAccuracy(SPACE, DATA, RECIPE, ())


def _source(network: dict[str, Any], accuracy: dict[str, Any]) -> AccuracySource:
    document = {"network": network, "hardware": {"configs": ["pynq"]}, "accuracy": accuracy}
    problem = Problem.from_dict(document)
    return accuracy_source(problem.network, problem.accuracy, CONFIG)


def test_sources_of_a_problem_file() -> None:
    space = {"space": "nasbench201", "dataset": "cifar10"}
    called = _source(space, {"source": "callable", "function": "builtins:len"})
    assert isinstance(called, CallableAccuracy)
    assert called.lookup(["abc"]).tolist() == [3.0]
    for function, said in (
        ("math:sqrt", "TypeError: must be real"),
        ("builtins:print", "TypeError: float"),
    ):
        with pytest.raises(DataError, match=f"accuracy function .* of 'abc': {said}"):
            _source(space, {"source": "callable", "function": function}).lookup(["abc"])
    with pytest.raises(DataError, match="101; percentages are allowed, 0 to 100"):
        called.lookup(["a" * 101])
    files = {"onnx": ["a.onnx"]}
    evaluated = _source(files, {"source": "evaluate", "dataset": "digits", "store": "s.jsonl"})
    assert isinstance(evaluated, EvaluatedAccuracy)
    assert (evaluated.data.name, str(evaluated.store)) == ("digits", "s.jsonl")


@pytest.mark.parametrize(
    ("network", "accuracy", "text"),
    [
        ({"space": "nasbench201", "resolution": 16}, {}, "cifar100 are of 32x32; give .* 32, or"),
        ({"space": "nbmacro", "resolution": 64}, {}, "built for 64x64 pixels.*nbmacro cifar10"),
        ({"space": "mnasnet", "resolution": 128}, {}, "of 224x224; give resolution = 224 or 64"),
        ({"space": "nasbench201"}, {"dataset": "imagenet16-120"}, "built for 32x32 .*of 16x16"),
    ],
)
def test_a_table_is_of_one_resolution(
    network: dict[str, Any], accuracy: dict[str, Any], text: str
) -> None:
    with pytest.raises(ConfigError, match=rf"\[network\] resolution: .*{text}"):
        _source(network, accuracy)


def test_a_table_says_where_the_networks_are_of_another_resolution() -> None:
    for resolution in ({}, {"resolution": 64}):
        own = _source({"space": "mnasnet", **resolution}, {}).what
        assert own.kind == "trained (table, at another resolution than 64x64)"
    same = [
        {"space": "mnasnet", "resolution": 224},
        {"space": "nasbench201", "resolution": 32},
        {"space": "nasbench201", "dataset": "imagenet16-120"},
        {"space": "nbmacro"},
    ]
    assert {_source(network, {}).what.kind for network in same} == {"trained (table)"}


def test_a_function_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_accuracies.py").write_text("def half(network):\n    return 50\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [folder for folder in sys.path if folder])
    before = list(sys.path)
    function = {"source": "callable", "function": "own_accuracies:half"}
    assert _source({"space": "nbmacro"}, function).lookup(["0"]).tolist() == [50.0]
    assert sys.path == before


@pytest.mark.parametrize(
    ("network", "accuracy", "text"),
    [
        ({"onnx": ["a"]}, {"source": "table"}, "needs .network. space"),
        ({"onnx": ["a"]}, {"source": "train", "dataset": "digits"}, 'use "evaluate" or "given"'),
        ({"onnx": ["a"]}, {"source": "evaluate"}, 'needs dataset = "NAME"'),
        ({"space": "mnasnet"}, {"source": "evaluate", "dataset": "digits"}, "needs .network. onnx"),
        ({"space": "mnasnet"}, {"source": "callable"}, '"callable" needs "module:function"'),
        ({"space": "mnasnet"}, {"source": "callable", "function": "no:x"}, "No module named 'no'"),
        ({"space": "mnasnet"}, {"source": "callable", "function": ".a:x"}, "'package' argument is"),
        ({"space": "mnasnet"}, {"source": "train", "split": "top1"}, "has no splits; leave it out"),
        ({"space": "mnasnet"}, {"source": "train", "seeds": [1, 1]}, "each may stand there once"),
        ({"space": "mnasnet"}, {"source": "supernet", "seeds": [1, 2]}, "give one seed"),
        ({"space": "mnasnet"}, {"source": "given", "values": [1]}, "needs .network. onnx"),
        ({"space": "mnasnet"}, {"source": "train", "epochs": 0}, "epochs = 0, seeds = .0.: at le"),
        ({"space": "mnasnet"}, {"source": "predicted"}, '"predicted" needs path = "FILE"'),
        ({"space": "mnasnet"}, {"checkpoint": "a"}, '"table" trains no supernet; "store" keeps'),
        ({"space": "mnasnet"}, {"source": "supernet", "store": "a"}, "keeps no measurements"),
        ({"space": "mnasnet"}, {"source": "train", "seeds": [-1]}, "seeds: -1 given; a number fr"),
    ],
)
def test_wrong_sources(network: dict[str, Any], accuracy: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        _source(network, accuracy)
