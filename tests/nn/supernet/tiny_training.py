"""A tiny space and its images; as a script, a training with a checkpoint that may be killed.

``python tiny_training.py one-shot|co-search CHECKPOINT`` prints a line for each step and at last
the digest of all that was trained.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from codesign.nn import Decision, GraphBuilder, NetworkSpace
from codesign.nn.datasets import DataSet, digits, shapes32
from codesign.nn.graph import Tensor
from codesign.nn.supernet import (
    CoSearchRecipe,
    Mixed,
    OneShotRecipe,
    co_search,
    table_cost,
    train_supernet,
)
from codesign.nn.training import seeded


@dataclass(frozen=True)
class Tiny(NetworkSpace):
    """Three layers with a kernel of 1 or 3 each, for images [3, 8, 8]."""

    resolution: int | None = 8

    @property
    def name(self) -> str:
        return "tiny"

    @property
    def decisions(self) -> tuple[Decision, ...]:
        return tuple(Decision(f"kernel{i}", (1, 3)) for i in range(3))

    def network(self, builder: GraphBuilder, x: int, choices: tuple[Any, ...]) -> Tensor:
        y: Tensor = x
        for index, kernel in enumerate(choices):
            name = f"layer{index}_{kernel}x{kernel}"
            y = builder.relu(builder.conv(y, 8, name, kernel=kernel, padding=kernel // 2))
        return builder.dense(builder.global_pool(y), self.num_classes, "classifier")


def tiny_data() -> DataSet:
    """160 and 40 drawn images, every fourth pixel."""
    drawn = shapes32(train=160, test=40)
    small = [images[:, :, ::4, ::4] for images in (drawn.train_images, drawn.test_images)]
    return replace(drawn, train_images=small[0], test_images=small[1])


def mixed_network() -> nn.Module:
    """One mixed layer, a batch norm and a classifier for `digits`."""
    options = {
        "narrow": nn.Conv2d(1, 4, 1, 2, bias=False),
        "wide": nn.Conv2d(1, 4, 5, 2, 2, bias=False),
    }
    head = (nn.AvgPool2d(4), nn.Flatten(), nn.Linear(4, 10))
    return nn.Sequential(Mixed(options), nn.BatchNorm2d(4), nn.ReLU(), *head)


def one_shot(checkpoint: str | None) -> str:
    """15 steps on the tiny space; digest of all shared weights."""
    recipe = OneShotRecipe(epochs=3, batch=32)
    shared = train_supernet(Tiny(), tiny_data(), recipe, checkpoint, every=2, progress=_say)
    return digest(shared.state(), "")


def search(checkpoint: str | None) -> str:
    """16 steps of network and hardware; digest of the weights and of all steps."""
    network = seeded(mixed_network, 0)
    cost = table_cost({"0": torch.tensor([[1.0, 2.0], [9.0, 12.0]])})
    recipe = CoSearchRecipe(target=2.0, epochs=4, frozen_epochs=1, batch=32, hardware_every=5)
    data = digits().first(train=256, test=20)
    found = co_search(
        network, data, cost, torch.zeros(2), recipe, checkpoint, every=2, progress=_say
    )
    return digest(network.state_dict(), repr(found))


TRAININGS = {"one-shot": one_shot, "co-search": search}


def digest(tensors: dict[str, torch.Tensor], text: str) -> str:
    """sha256 of tensors by name and a text."""
    found = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        found.update(name.encode() + tensors[name].detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def _say(step: int, steps: int, _: object) -> None:
    sys.stdout.write(f"step {step} of {steps}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.stdout.write(TRAININGS[sys.argv[1]](sys.argv[2]) + "\n")
