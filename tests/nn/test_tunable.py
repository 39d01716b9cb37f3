"""Spaces from torch modules with `choice`, and spaces that installed packages add."""

from collections import Counter
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import codesign
from codesign.compiler import DECISIONS
from codesign.costmodel import off_config
from codesign.errors import ModelError
from codesign.nn import (
    Decision,
    Genotype,
    TunableSpace,
    choice,
    load_network_space,
    registry,
    space_names,
)


class Net(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        width, kernel = choice("width", (8, 16)), choice("kernel", (1, 3, 5))
        self.stem = nn.Conv2d(3, width, kernel, stride=2, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(width)
        pool = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
        conv = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.body = choice("body", {"skip": nn.Identity(), "pool": pool, "conv": conv})
        self.dense = nn.Linear(2 * width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        x = torch.cat([x, self.body(x) + x], 1)
        return self.dense(torch.flatten(nn.functional.relu6(x).mean((2, 3)), 1))


@dataclass(frozen=True)
class Mine(TunableSpace):
    resolution: int | None = 16

    @property
    def name(self) -> str:
        return "mine"

    def module(self) -> nn.Module:
        return Net(self.num_classes)


@dataclass(frozen=True)
class Conditional(Mine):
    def module(self) -> nn.Module:
        if choice("deep", ("yes", "no")) == "yes":
            choice("width", (1, 2))
        return nn.Identity()


@dataclass(frozen=True)
class Unreadable(Mine):
    def module(self) -> nn.Module:
        choice("only", (1,))
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sigmoid())


def test_decisions_are_the_choices_met() -> None:
    space = Mine()
    assert space.decisions == (
        Decision("width", (8, 16)),
        Decision("kernel", (1, 3, 5)),
        Decision("body", ("skip", "pool", "conv")),
    )
    assert space.count() == 18
    genotype = space.from_json("16-5-pool")
    assert space.from_json(space.to_json(genotype)) == genotype
    module = space.build(genotype)
    assert isinstance(module, Net) and isinstance(module.body, nn.AvgPool2d)
    assert module.stem.weight.shape == (16, 3, 5, 5)
    assert module.train()(torch.zeros(2, 3, 16, 16)).shape == (2, 10)


@pytest.mark.parametrize("text", ["8-3-conv", "16-5-pool"])
def test_layers_are_those_of_the_compiled_network(text: str, tmp_path: Path) -> None:
    space, config = Mine(), codesign.load_config("pynq")
    genotype = space.from_json(text)
    path = space.to_onnx(genotype, tmp_path / "network.onnx")
    images = np.random.default_rng(0).standard_normal((2, 3, 16, 16)).astype(np.float32)
    package = codesign.compile(
        path, config, calibration={"x": images}, compose="exact", disabled=DECISIONS
    )
    units = Counter(off_config(unit.workload, config) for unit in package.units)
    assert units == Counter(dict(space.layers(genotype)))
    assert package.run({"x": images[:1]}).outputs_match


def test_misuse_is_explained() -> None:
    with pytest.raises(ModelError, match=r"choice\('width', ...\) outside of TunableSpace.module"):
        Net(10)
    with pytest.raises(ModelError, match="width not met with no-1; every choice must be met"):
        Conditional().build(Genotype(("no", 1)))
    with pytest.raises(ModelError, match=r"Sigmoid\(\) cannot be read; allowed are Conv2d, "):
        Unreadable().layers(Genotype((1,)))


def test_an_installed_package_adds_a_space(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("mine", f"{__name__}:Mine", registry.ENTRY_POINTS)
    monkeypatch.setattr(EntryPoint, "load", lambda _: Mine)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    assert space_names()[-1] == "mine"
    assert load_network_space("mine", resolution=32).input_shape == (3, 32, 32)
