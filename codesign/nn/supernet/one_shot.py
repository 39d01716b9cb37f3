# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# torch is only partly annotated.
"""Single-path one-shot training of shared weights (Guo et al., 2020), with the sandwich rule.

A training that is killed and started again ends with the same weights as one that ran through (on
the CPU).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from codesign.errors import DataError
from codesign.nn.datasets import DataSet
from codesign.nn.space import Genotype, NetworkSpace
from codesign.nn.supernet.checkpoint import Checkpoint, stream
from codesign.nn.supernet.shared import SharedWeights
from codesign.nn.trained import check_fit, data_facts
from codesign.nn.training import (
    Recipe,
    batches,
    best_device,
    one_thread,
    steps_per_epoch,
    to_device,
)

_WARM_UP = 0.05
_LARGEST_NORM = 5.0
Progress = Callable[[int, int, float], None]


@dataclass(frozen=True)
class OneShotRecipe:
    """SGD with momentum and a cosine learning rate after a short warm-up.

    Each batch trains one network drawn uniformly; with ``sandwich`` = n from 1 on, the one of most
    and the one of fewest multiply-accumulates and n drawn ones together (Yu and Huang, 2019).
    With ``origin``, a genotype's text, draws grow from that network to uniform ones in the first
    ``growth`` of the training (a share), so that a part is first trained among trained ones.
    """

    epochs: int = 30
    batch: int = 64
    learning_rate: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 4e-5
    sandwich: int = 0
    origin: str = ""
    growth: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        wrong = self.epochs < 1 or self.batch < 2  # batch norm needs two images
        wrong = wrong or not 0 < self.growth <= 1
        if wrong or self.learning_rate <= 0 or self.sandwich < 0:
            raise DataError(
                f"{self}: epochs from 1, batch from 2, learning_rate > 0, sandwich >= 0, "
                "growth above 0 up to 1"
            )


def train_supernet(
    space: NetworkSpace,
    data: DataSet,
    recipe: OneShotRecipe,
    checkpoint: str | Path | None = None,
    *,
    every: int = 100,
    progress: Progress | None = None,
) -> SharedWeights:
    """Shared weights after all steps; resumed from ``checkpoint`` where that exists.

    Parameters
    ----------
    checkpoint : file written after each ``every`` steps and at the end
    progress : called after each step with its number (from 1), the number of all and the loss

    Raises
    ------
    DataError
        the data set's classes or images are not the space's.
    StoreError
        the checkpoint is damaged or belongs to another training.
    """
    check_fit(space, data)
    ends = tuple(extreme(space, sign) for sign in (1, -1)) if recipe.sandwich else ()
    path = None if checkpoint is None else Path(checkpoint)
    key = _key(space, data, recipe)
    found = None if path is None else Checkpoint.load(path, key)
    done, tensors = (0, {}) if found is None else (found.step, found.tensors)
    weights = {n: t for n, t in tensors.items() if not n.startswith(_VELOCITY)}
    shared, optimiser = SharedWeights(space, recipe.seed, weights), _Sgd(recipe, tensors)
    order = Recipe(batch=recipe.batch)
    per_epoch = steps_per_epoch(data, order)
    steps = per_epoch * recipe.epochs
    with one_thread():
        for epoch in range(done // per_epoch, recipe.epochs):
            shuffled = batches(data, order, stream(recipe.seed, epoch))
            for number, (images, labels) in enumerate(shuffled):
                step = epoch * per_epoch + number
                if step < done:
                    continue
                chosen = (*ends, *_drawn(space, recipe, step, steps))
                loss = _step(shared, chosen, images, labels, optimiser, step / steps)
                if path is not None and ((step + 1) % every == 0 or step + 1 == steps):
                    Checkpoint(step + 1, key, shared.state() | optimiser.state()).save(path)
                if progress is not None:
                    progress(step + 1, steps, loss)
    return shared


def extreme(space: NetworkSpace, sign: int) -> Genotype:
    """The network of most (``sign`` 1) or fewest (-1) multiply-accumulates, one decision at a time.

    Decisions are settled in their order, those after at their first option.
    """
    choices = [decision.options[0] for decision in space.decisions]
    for place, decision in enumerate(space.decisions):

        def macs(option: str | int, place: int = place) -> int:
            trial = Genotype((*choices[:place], option, *choices[place + 1 :]))
            return sum(workload.macs * count for workload, count in space.layers(trial))

        choices[place] = max(decision.options, key=lambda option: sign * macs(option))
    return Genotype(tuple(choices))


class _Sgd:
    """SGD with momentum over parameters that are met step by step, by name."""

    def __init__(self, recipe: OneShotRecipe, kept: Mapping[str, torch.Tensor]) -> None:
        self._recipe = recipe
        device = best_device()
        self._velocity = {
            name.removeprefix(_VELOCITY): tensor.to(device)
            for name, tensor in kept.items()
            if name.startswith(_VELOCITY)
        }

    def state(self) -> dict[str, torch.Tensor]:
        return {_VELOCITY + name: tensor for name, tensor in self._velocity.items()}

    @torch.no_grad()
    def step(self, parameters: Mapping[str, torch.Tensor], passed: float) -> None:
        """Update what has a gradient; ``passed`` is the share of the training that is over."""
        recipe = self._recipe
        rate = recipe.learning_rate * min(1.0, (passed + 1e-3) / _WARM_UP)
        rate *= 0.5 * (1 + math.cos(math.pi * passed))
        for name, parameter in parameters.items():
            if parameter.grad is None:
                continue
            change = parameter.grad + recipe.weight_decay * parameter
            velocity = self._velocity.get(name)
            if velocity is not None:
                change = change + recipe.momentum * velocity
            self._velocity[name] = change
            parameter.sub_(rate * change)
            parameter.grad = None


_VELOCITY = "velocity:"


def _step(
    shared: SharedWeights,
    chosen: tuple[Genotype, ...],
    images: torch.Tensor,
    labels: torch.Tensor,
    optimiser: _Sgd,
    passed: float,
) -> float:
    device = best_device()
    images, labels, total = to_device(images, device), labels.to(device), 0.0
    for genotype in chosen:
        network = shared.network(genotype).train()
        loss = functional.cross_entropy(network(images), labels) / len(chosen)
        loss.backward()
        total += loss.item()
    trained = {n: t for n, t in shared.state().items() if t.requires_grad and t.grad is not None}
    torch.nn.utils.clip_grad_norm_(list(trained.values()), _LARGEST_NORM)
    optimiser.step(trained, passed)
    return total


def _drawn(
    space: NetworkSpace, recipe: OneShotRecipe, step: int, steps: int
) -> tuple[Genotype, ...]:
    """Uniform draws; each choice is taken with a probability that grows to 1, else the origin's."""
    rng = np.random.default_rng([recipe.seed, step])
    drawn = [space.sample(rng) for _ in range(max(1, recipe.sandwich))]
    if not recipe.origin:
        return tuple(drawn)
    share, origin = step / (recipe.growth * steps), space.from_json(recipe.origin).choices
    found: list[Genotype] = []
    for genotype in drawn:
        taken = rng.random(len(origin)) < share
        pairs = zip(genotype.choices, origin, taken, strict=True)
        found.append(Genotype(tuple(own if take else first for own, first, take in pairs)))
    return tuple(found)


def _key(space: NetworkSpace, data: DataSet, recipe: OneShotRecipe) -> str:
    facts = {
        "space": space.name,
        "image": space.input_shape,
        "data": data_facts(data),
        "recipe": asdict(recipe),
    }
    return json.dumps(facts, sort_keys=True)
