"""Reading networks into steps, bits of blocks."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from codesign.errors import ModelError
from codesign.nn import Genotype, MnasNet, NasBench201, NasBenchMacro
from codesign.nn.darts import Darts
from codesign.nn.quantization import Scheme, plan
from codesign.nn.quantization.joined import clip_owners
from tests.small_networks import MobileNet, ResidualNet

IMAGE = (1, 8, 8)


def test_a_residual_network_becomes_fused_steps() -> None:
    steps = plan(ResidualNet(), IMAGE)
    assert [(s.kind, s.rectified) for s in steps] == [
        ("conv", True),
        ("conv", True),
        ("conv", False),
        ("conv", False),
        ("add", True),
        ("max_pool", False),
        ("avg_pool", False),
        ("flatten", False),
        ("dense", False),
    ]
    assert [s.norm for s in steps[:2]] == ["stem.1", "first.1"]
    assert steps[4].inputs == (steps[2].name, steps[3].name)
    assert (steps[6].kernel, steps[6].shape) == ((4, 4), (16, 1, 1))


def test_a_batch_norm_behind_a_sum_is_a_convolution() -> None:
    steps = plan(MobileNet(), IMAGE)
    norm = next(s for s in steps if s.norm == "last_norm")
    assert (norm.kind, norm.layer, norm.groups, norm.rectified) == ("conv", "", 8, True)
    assert [s.high for s in steps if s.high < float("inf")] == [6.0, 6.0]


def test_planning_changes_nothing() -> None:
    network = MobileNet().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    plan(network, IMAGE)
    assert network.training
    assert all(torch.equal(before[n], v) for n, v in network.state_dict().items())


def test_networks_of_spaces_are_read() -> None:
    small = partial(Darts, cells=3, channels=4)
    for kind in (NasBench201, NasBenchMacro, partial(MnasNet, excitation=False), small):
        space = kind(dataset="cifar10", resolution=32)
        genotype = space.sample(np.random.default_rng(1))
        steps = plan(space.build(genotype), space.input_shape)
        assert (steps[-1].kind, steps[-1].shape) == ("dense", (10,))


class _Reused(nn.Module):
    """A ReLU whose operand is read twice is a step of its own."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x + x
        return torch.relu(y) + y


class _Scaled(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


class _Branching(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


def test_a_rectification_of_its_own() -> None:
    assert [s.kind for s in plan(_Reused(), IMAGE)] == ["add", "activation", "add"]


class _Joined(nn.Module):
    """The image and its convolution, one after the other."""

    def __init__(self, axis: int, *, rectified: bool = True) -> None:
        super().__init__()
        self.axis, self.rectified = axis, rectified
        self.conv = nn.Conv2d(1, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = torch.relu(x) if self.rectified else x
        return torch.cat([first, self.conv(x)], self.axis)


class _Gated(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(x)


class _Cut(nn.Module):
    def __init__(self, key: tuple[slice, ...]) -> None:
        super().__init__()
        self.key = key

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[self.key]


def test_a_crop_and_what_a_concatenation_joins() -> None:
    (crop,) = plan(_Cut((slice(None), slice(None), slice(1, None), slice(2, None))), IMAGE)
    assert (crop.kind, crop.first, crop.shape) == ("crop", (1, 2), (1, 7, 6))
    steps = plan(_Joined(1), IMAGE)
    assert [(s.kind, s.keeps_scale) for s in steps] == [
        ("activation", False),
        ("conv", False),
        ("concat", True),
    ]
    owners = clip_owners(steps, Scheme(bits=4, ends=4).bits_of(steps))
    assert owners == {"relu": "relu", "conv": "relu"}
    with pytest.raises(ModelError, match=r"different bits \(relu has 4, conv has 8\)"):
        clip_owners(steps, Scheme(bits=4).bits_of(steps))
    alone = plan(_Joined(1, rectified=False), IMAGE)
    with pytest.raises(ModelError, match="cat joins the network's input, whose scale is fixed"):
        clip_owners(alone, Scheme().bits_of(alone))


@pytest.mark.parametrize(
    ("network", "text"),
    [
        (_Gated(), "no step for sigmoid .* the host's"),
        (_Scaled(), r"no step for mul \(mul\); allowed are Conv2d"),
        (_Branching(), "torch.fx cannot trace the network: symbolically traced variables"),
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.GELU()), r"no step for GELU"),
        (nn.Sequential(nn.Conv2d(1, 2, 3, padding="same")), "padding that is not given in zeros"),
        (nn.Conv2d(2, 2, 3), "cannot trace the network"),
        (_Joined(axis=2), "no step for cat along axis 2"),
        (_Cut((slice(None), slice(1))), "no step for an index that is no crop"),
        (NasBench201().build(Genotype(("none",) * 6)), "output does not depend on its image"),
    ],
)
def test_what_has_no_step_is_named(network: nn.Module, text: str) -> None:
    with pytest.raises(ModelError, match=text):
        plan(network, IMAGE)


def test_bits_are_given_by_block() -> None:
    steps = plan(ResidualNet(), IMAGE)
    bits = Scheme(bits=6, blocks=(("second", 4), ("short", 5))).bits_of(steps)
    by_layer = {step.layer: bits[step.name] for step in steps if step.layer}
    assert by_layer == {
        "stem.0": (8, 6),
        "first.0": (6, 6),
        "second.0": (4, 4),
        "shortcut.0": (5, 5),
        "head.2": (8, 8),
    }
    with pytest.raises(ModelError, match="bits are given for third; no step starts so"):
        Scheme(blocks=(("third", 4),)).bits_of(steps)
    with pytest.raises(ModelError, match="unknown quantiser 'lsq'; allowed: naf, dorefa, pact"):
        Scheme("lsq")
