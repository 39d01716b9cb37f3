"""The network that is trained, the exported file and the accelerator: equal on every element."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import nn

import codesign
from codesign.errors import ModelError
from codesign.nn import MnasNet, load_network_space, space_names
from codesign.nn.darts import Darts
from codesign.nn.datasets import DataSet, digits, real
from codesign.nn.graph_module import GraphModule, initialise
from codesign.nn.quantization import (
    HardwareFit,
    QuantizedNetwork,
    Scheme,
    export_qdq,
    qdq_model,
)
from codesign.nn.training import Recipe, predictions, seeded, train
from tests.small_networks import MobileNet, ResidualNet

IMAGE = (1, 8, 8)
DATA = digits().first(train=256, test=24)


def _trained(build: type[nn.Module], epochs: int = 2) -> nn.Module:
    return train(seeded(build, 0), DATA, Recipe(epochs=epochs))


def _config(has_mul: bool) -> Any:
    return replace(codesign.load_config("pynq"), has_mul=has_mul)


def _on_accelerator(network: QuantizedNetwork, cfg: Any, path: Path, data: DataSet) -> Any:
    package = codesign.compile(
        export_qdq(network.freeze(), path), cfg, disabled=("fuse_additions",)
    )
    assert {op.op for op in package.host_ops} <= {"quantize", "dequantize"}
    run = package.run({"x": real(data.test_images)})
    assert run.outputs_match
    return next(iter(run.outputs.values()))


@pytest.mark.parametrize("has_mul", [False, True], ids=["shifts", "multipliers"])
@pytest.mark.parametrize("build", [ResidualNet, MobileNet])
def test_the_trained_network_is_the_one_on_the_accelerator(
    build: type[nn.Module], has_mul: bool, tmp_path: Path
) -> None:
    cfg = _config(has_mul)
    block = "first" if build is ResidualNet else "expand"
    network = QuantizedNetwork(_trained(build), IMAGE, Scheme(bits=6, blocks=((block, 4),)))
    network.calibrate(DATA.train_images[:128]).harden(HardwareFit(cfg))
    before = [p.detach().clone() for p in network.parameters()]
    train(network, DATA.first(train=128), Recipe(epochs=1, learning_rate=1e-3))
    changed = [not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True)]
    assert all(changed)
    ours = predictions(network, DATA.test_images).numpy()
    assert len(np.unique(ours)) > 20
    assert np.array_equal(ours, _on_accelerator(network, cfg, tmp_path / "net.onnx", DATA))


class _Moves(nn.Module):
    """A crop, two concatenations that share a part, and 7x7 taps beyond images of 2x2."""

    def __init__(self) -> None:
        super().__init__()
        self.even, self.odd = (nn.Conv2d(1, 4, 1, 4, bias=False) for _ in range(2))
        self.deep = nn.Conv2d(8, 8, 7, 1, 3, groups=8, bias=False)
        self.head = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rectified = torch.relu(x)
        both = torch.cat([self.even(rectified), self.odd(rectified[:, :, 1:, 1:])], 1)
        deep = torch.relu(self.deep(both))
        return self.head(torch.cat([both, deep], 1))


@pytest.mark.parametrize("has_mul", [False, True], ids=["shifts", "multipliers"])
def test_moves_and_taps_that_read_padding_only(has_mul: bool, tmp_path: Path) -> None:
    cfg = _config(has_mul)
    network = QuantizedNetwork(seeded(_Moves, 0), IMAGE).calibrate(DATA.train_images[:64])
    assert set(network.clips) == {"relu", "even", "head_0", "head_2"}
    network.harden(HardwareFit(cfg))
    train(network, DATA.first(train=128), Recipe(epochs=1, learning_rate=1e-3))
    ours = predictions(network, DATA.test_images).numpy()
    assert len(np.unique(ours)) > 20
    assert np.array_equal(ours, _on_accelerator(network, cfg, tmp_path / "net.onnx", DATA))


@pytest.mark.long
@pytest.mark.parametrize("has_mul", [False, True], ids=["shifts", "multipliers"])
@pytest.mark.parametrize("name", space_names())
def test_networks_of_every_space(name: str, has_mul: bool, tmp_path: Path) -> None:
    space = load_network_space(name, "cifar10", 32)
    if name in ("darts", "mnasnet"):
        space = {"darts": Darts(cells=3, channels=4), "mnasnet": MnasNet("cifar10", 32, False)}[
            name
        ]
    genotype = space.sample(np.random.default_rng(0))
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, *space.input_shape)).astype(np.uint8)
    labels = rng.integers(0, 10, 40)
    data = DataSet("noise", 10, images[:32], labels[:32], images[32:], labels[32:])
    module = space.build(genotype)
    assert isinstance(module, GraphModule)
    network = QuantizedNetwork(initialise(module, 0), space.input_shape)
    network.calibrate(data.train_images).harden(HardwareFit(_config(has_mul)))
    train(network, data, Recipe(epochs=1, batch=16, learning_rate=1e-4))
    ours = predictions(network, data.test_images).numpy()
    path = tmp_path / "net.onnx"
    assert np.array_equal(ours, _on_accelerator(network, _config(has_mul), path, data))


@pytest.mark.long
@pytest.mark.parametrize("has_mul", [False, True], ids=["shifts", "multipliers"])
@pytest.mark.parametrize("bits", [4, 6, 8])
@pytest.mark.parametrize("config", ["pynq", "de10nano"])
@pytest.mark.parametrize("build", [ResidualNet, MobileNet])
def test_equality_at_every_width(
    build: type[nn.Module], config: str, bits: int, has_mul: bool, tmp_path: Path
) -> None:
    cfg = replace(codesign.load_config(config), has_mul=has_mul)
    data = digits(1).first(train=600, test=100)
    network = QuantizedNetwork(_trained(build, 4), IMAGE, Scheme(bits=bits))
    network.calibrate(data.train_images[:128]).harden(HardwareFit(cfg))
    train(network, data, Recipe(epochs=3, learning_rate=3e-3, move_pixels=1))
    ours = predictions(network, data.test_images).numpy()
    assert np.array_equal(ours, _on_accelerator(network, cfg, tmp_path / "net.onnx", data))


def test_folding_and_planning_keep_the_function() -> None:
    for build in (ResidualNet, MobileNet):
        network = _trained(build, 1)
        wanted = predictions(network, DATA.test_images)
        quantized = QuantizedNetwork(network, IMAGE)
        quantized.mode = "float"
        assert torch.allclose(predictions(quantized, DATA.test_images), wanted, atol=1e-4)
        quantized.fold_norms()
        assert torch.allclose(predictions(quantized, DATA.test_images), wanted, atol=1e-4)


def test_an_exported_file_computes_what_was_trained() -> None:
    network = QuantizedNetwork(_trained(ResidualNet), IMAGE, Scheme(bits=6))
    network.calibrate(DATA.train_images[:128])
    train(network, DATA.first(train=128), Recipe(epochs=1, learning_rate=1e-3))
    model = qdq_model(network.freeze())
    session = ort.InferenceSession(model.SerializeToString())
    x = real(DATA.test_images)
    theirs: Any = np.concatenate([np.asarray(session.run(None, {"x": row[None]})[0]) for row in x])
    ours = predictions(network, DATA.test_images).numpy()
    step = network.clips[network.steps[-1].name].item() / 127
    # onnxruntime rounds halves to even, which averages of 16 numbers often are; one step of a
    # 6-bit tensor is several of the outputs' 8-bit ones.
    apart = np.rint(np.abs(ours - theirs) / step)
    assert apart.max() <= 4
    assert apart.mean() < 1


def test_nothing_between_steps_is_float() -> None:
    network = QuantizedNetwork(ResidualNet(), IMAGE).calibrate(DATA.train_images[:16])
    graph = qdq_model(network.freeze()).graph
    made = {output: node.op_type for node in graph.node for output in node.output}
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm", "Add", "MaxPool", "AveragePool", "Flatten"):
            activations = node.input[:2] if node.op_type == "Add" else node.input[:1]
            assert all(made[name] == "DequantizeLinear" for name in activations), node.name
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    weights = [value for name, value in constants.items() if name.endswith("_weight_int8")]
    assert len(weights) == 5
    assert all(value.dtype == np.int8 and np.abs(value).max() <= 127 for value in weights)


def test_what_cannot_be_exported_or_fitted_is_named() -> None:
    rival = QuantizedNetwork(ResidualNet(), IMAGE, Scheme("pact"))
    with pytest.raises(ModelError, match="'pact' has no symmetric integers to export"):
        rival.freeze()
    network = QuantizedNetwork(ResidualNet(), IMAGE).calibrate(DATA.train_images[:16])
    with torch.no_grad():
        network.clips["first_0"].fill_(1e-3)
    network.harden(HardwareFit(_config(False)))
    with pytest.raises(ModelError, match=r"first_0: weights reach .* a shift allows 63"):
        predictions(network, DATA.test_images)
