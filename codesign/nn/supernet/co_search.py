# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# torch is only partly annotated.
"""Differentiable search of a network together with its hardware (NAF, Eq. 1 to 4).

Weights follow the loss on one half of the training images; architecture weights follow the loss on
the other half plus ``factor * cost / target``; hardware parameters follow the cost, once in so many
batches. The factor adapts: it grows while the cost is above its target and shrinks while below.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from codesign.errors import DataError
from codesign.nn.datasets import DataSet
from codesign.nn.supernet.checkpoint import Checkpoint, stream
from codesign.nn.supernet.cost import Cost
from codesign.nn.supernet.mixed import mixed_layers
from codesign.nn.trained import data_facts
from codesign.nn.training import Recipe, batches, best_device, one_thread

_Batch = tuple[torch.Tensor, torch.Tensor]
_FACTOR_RANGE = (1e-4, 1e4)


@dataclass(frozen=True)
class CoSearchRecipe:
    """``target`` is what the cost should come down to, in the cost's unit.

    In the first ``frozen_epochs`` only weights are trained. ``factor`` is where the factor of the
    cost starts, ``factor_rate`` how fast it follows cost / target: each architecture step
    multiplies it by ``(cost / target) ** factor_rate``. The temperature of the draws falls
    geometrically over all steps.
    """

    target: float
    epochs: int = 20
    frozen_epochs: int = 5
    batch: int = 64
    learning_rate: float = 0.05
    architecture_rate: float = 0.02
    hardware_rate: float = 0.05
    hardware_every: int = 20
    factor: float = 0.1
    factor_rate: float = 0.1
    temperatures: tuple[float, float] = (5.0, 0.5)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.target <= 0 or self.factor <= 0 or min(self.temperatures) <= 0:
            raise DataError(f"{self}: target, factor and temperatures must be above 0")
        if min(self.epochs, self.hardware_every) < 1 or self.batch < 2:
            raise DataError(f"{self}: epochs and hardware_every from 1, batch from 2")
        if not 0 <= self.frozen_epochs < self.epochs:
            raise DataError(f"{self}: frozen_epochs must be from 0 and less than epochs")


@dataclass(frozen=True)
class CoSearchStep:
    """One batch: losses of weights and architecture (None while frozen), cost and factor before
    the update, and whether the hardware was updated."""

    loss: float
    architecture_loss: float | None
    cost: float
    factor: float
    hardware_updated: bool


@dataclass(frozen=True)
class CoSearched:
    """The most probable option of every mixed layer, the hardware parameters, and every step."""

    options: Mapping[str, str]
    hardware: tuple[float, ...]
    steps: tuple[CoSearchStep, ...]


def co_search(
    network: nn.Module,
    data: DataSet,
    cost: Cost,
    hardware: torch.Tensor,
    recipe: CoSearchRecipe,
    checkpoint: str | Path | None = None,
    *,
    every: int = 100,
    progress: Callable[[int, int, CoSearchStep], None] | None = None,
) -> CoSearched:
    """Train ``network``, which has `Mixed` layers, in place, and choose options and hardware.

    A search that is killed and started again from its checkpoint, with the same arguments, ends
    with the same result as one that ran through (on the CPU).

    Parameters
    ----------
    hardware : initial hardware parameters, float [any]; a copy is trained
    checkpoint : file written after each ``every`` steps and at the end; the cost is not part of it
    progress : called after each step with its number (from 1), the number of all and the step

    Raises
    ------
    DataError
        fewer training images than two batches.
    StoreError
        the checkpoint is damaged or belongs to another search.
    """
    half = len(data.train_labels) // 2
    halves = [_part(data, slice(None, half)), _part(data, slice(half, None))]
    loading, per_epoch = Recipe(batch=recipe.batch), half // recipe.batch
    if per_epoch == 0:
        raise DataError(
            f"{len(data.train_labels)} training images: each half must hold a batch of "
            f"{recipe.batch}"
        )
    key = _key(network, data, hardware, recipe)
    search, steps = _Search(network, cost, hardware, recipe), per_epoch * recipe.epochs
    path = None if checkpoint is None else Path(checkpoint)
    found = None if path is None else Checkpoint.load(path, key)
    if found is not None:
        search.restore(found.tensors)
    done = len(search.steps)
    with one_thread():
        for epoch in range(done // per_epoch, recipe.epochs):
            network.train()
            pairs = zip(
                *(
                    batches(part, loading, stream(recipe.seed, epoch, place))
                    for place, part in enumerate(halves)
                ),
                strict=False,
            )
            for number, (ours, theirs) in zip(range(per_epoch), pairs, strict=False):
                step = epoch * per_epoch + number
                if step < done:
                    continue
                search.step(ours, theirs, epoch < recipe.frozen_epochs, step / steps)
                if path is not None and ((step + 1) % every == 0 or step + 1 == steps):
                    Checkpoint(step + 1, key, search.state()).save(path)
                if progress is not None:
                    progress(step + 1, steps, search.steps[-1])
    return search.result()


class _Search:
    """All that a step changes."""

    def __init__(
        self, network: nn.Module, cost: Cost, hardware: torch.Tensor, recipe: CoSearchRecipe
    ) -> None:
        self._device = best_device()
        self._network = network.to(self._device)
        self._cost, self._recipe = cost, recipe
        self._mixed = mixed_layers(network)
        alphas = [layer.alpha for layer in self._mixed.values()]
        named = {id(alpha) for alpha in alphas}
        weights = [p for p in network.parameters() if id(p) not in named]
        self._gamma = hardware.detach().clone().to(self._device).requires_grad_()
        self._optimisers = {
            "weights": torch.optim.SGD(
                weights, recipe.learning_rate, momentum=0.9, weight_decay=1e-4
            ),
            "alphas": torch.optim.Adam(alphas, recipe.architecture_rate),
            "hardware": torch.optim.Adam([self._gamma], recipe.hardware_rate),
        }
        self._factor = recipe.factor
        self.steps: list[CoSearchStep] = []

    def step(self, ours: _Batch, theirs: _Batch, frozen: bool, passed: float) -> None:
        """One batch for the weights and, unless ``frozen``, one for the architecture."""
        recipe, number = self._recipe, len(self.steps)
        hot, cold = recipe.temperatures
        temperature, rng = hot * (cold / hot) ** passed, stream(recipe.seed, number)
        self._draw(temperature, rng)
        loss = self._loss(ours)
        self._descend("weights", loss)
        now, before, found = self._figure(fixed=False), self._factor, None
        if not frozen:
            self._draw(temperature, rng)
            found = self._loss(theirs)
            self._descend("alphas", found + before * now / recipe.target)
            self._factor = adapted(before, now.item(), recipe)
        update = not frozen and (number + 1) % recipe.hardware_every == 0
        if update:
            self._descend("hardware", self._figure(fixed=True) / recipe.target)
        judged = None if found is None else found.item()
        self.steps.append(CoSearchStep(loss.item(), judged, now.item(), before, update))

    def result(self) -> CoSearched:
        options = {name: layer.names[layer.chosen] for name, layer in self._mixed.items()}
        self._network.cpu().eval()
        hardware = self._gamma.detach().cpu().flatten().tolist()
        return CoSearched(options, tuple(hardware), tuple(self.steps))

    def state(self) -> dict[str, torch.Tensor]:
        """Weights, choices, hardware, factor, optimisers and the steps taken, as tensors."""
        rows = [[math.nan if v is None else float(v) for v in astuple(s)] for s in self.steps]
        kept = {f"network:{name}": t for name, t in self._network.state_dict().items()}
        for name, optimiser in self._optimisers.items():
            for index, values in optimiser.state_dict()["state"].items():
                kept |= {f"{name}:{index}:{key}": t for key, t in values.items() if t is not None}
        return {
            **kept,
            "gamma": self._gamma,
            "factor": torch.tensor(self._factor, dtype=torch.float64),
            "steps": torch.tensor(rows, dtype=torch.float64),
        }

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Go on from a `state`."""
        self._network.load_state_dict(_under("network", tensors))
        for name, optimiser in self._optimisers.items():
            state: dict[int, dict[str, torch.Tensor]] = {}
            for place, tensor in _under(name, tensors).items():
                index, _, key = place.partition(":")
                state.setdefault(int(index), {})[key] = tensor
            optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
        self._gamma.copy_(tensors["gamma"])
        self._factor = float(tensors["factor"])
        self.steps = [
            CoSearchStep(row[0], None if math.isnan(row[1]) else row[1], row[2], row[3], row[4] > 0)
            for row in tensors["steps"].tolist()
        ]

    def _draw(self, temperature: float, rng: torch.Generator) -> None:
        for layer in self._mixed.values():
            layer.draw(temperature, rng)

    def _loss(self, batch: _Batch) -> torch.Tensor:
        logits = self._network(batch[0].to(self._device))
        return functional.cross_entropy(logits, batch[1].to(self._device))

    def _figure(self, fixed: bool) -> torch.Tensor:
        """The cost, with a gradient for the hardware (``fixed`` network) or for the network."""
        probabilities = {name: layer.probabilities for name, layer in self._mixed.items()}
        if fixed:
            probabilities = {name: p.detach() for name, p in probabilities.items()}
        return self._cost(probabilities, self._gamma if fixed else self._gamma.detach())

    def _descend(self, name: str, loss: torch.Tensor) -> None:
        optimiser = self._optimisers[name]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def adapted(factor: float, cost: float, recipe: CoSearchRecipe) -> float:
    """The factor after a step at ``cost``: larger above the target, smaller below it."""
    low, high = _FACTOR_RANGE
    return min(high, max(low, factor * (cost / recipe.target) ** recipe.factor_rate))


def _part(data: DataSet, rows: slice) -> DataSet:
    return replace(data, train_images=data.train_images[rows], train_labels=data.train_labels[rows])


def _under(name: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    prefix = f"{name}:"
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def _key(network: nn.Module, data: DataSet, hardware: torch.Tensor, recipe: CoSearchRecipe) -> str:
    facts = {
        "network": {name: list(t.shape) for name, t in network.state_dict().items()},
        "data": data_facts(data),
        "hardware": hardware.flatten().tolist(),
        "recipe": asdict(recipe),
    }
    return json.dumps(facts, sort_keys=True)
