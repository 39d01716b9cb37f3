# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# torch is only partly annotated.
"""Differentiable search of a network together with its hardware (NAF, Eq. 1 to 4).

Weights follow the loss on one half of the training images; architecture weights follow the loss on
the other half plus ``factor * cost / target``; hardware parameters follow the cost, once in so many
batches. The factor adapts: it grows while the cost is above its target and shrinks while below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn import functional

from codesign.errors import DataError
from codesign.nn.datasets import DataSet
from codesign.nn.supernet.mixed import mixed_layers
from codesign.nn.training import Recipe, batches, best_device, one_thread

Cost = Callable[[Mapping[str, torch.Tensor], torch.Tensor], torch.Tensor]
"""A differentiable figure above 0 of the probabilities of every mixed layer, by its name, and of
the hardware parameters."""

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
) -> CoSearched:
    """Train ``network``, which has `Mixed` layers, in place, and choose options and hardware.

    Parameters
    ----------
    hardware : initial hardware parameters, float [any]; a copy is trained
    """
    device = best_device()
    network.to(device)
    mixed = mixed_layers(network)
    alphas = [layer.alpha for layer in mixed.values()]
    named = {id(alpha) for alpha in alphas}
    weights = [p for p in network.parameters() if id(p) not in named]
    gamma = hardware.detach().clone().to(device).requires_grad_()
    by_weights = torch.optim.SGD(weights, recipe.learning_rate, momentum=0.9, weight_decay=1e-4)
    by_alphas = torch.optim.Adam(alphas, recipe.architecture_rate)
    by_gamma = torch.optim.Adam([gamma], recipe.hardware_rate)
    half = len(data.train_labels) // 2
    halves = [_part(data, slice(None, half)), _part(data, slice(half, None))]
    loading = Recipe(batch=recipe.batch)
    rng = torch.Generator().manual_seed(recipe.seed)
    per_epoch = half // recipe.batch
    if per_epoch == 0:
        raise DataError(
            f"{len(data.train_labels)} training images: each half must hold a batch of "
            f"{recipe.batch}"
        )
    factor, steps = recipe.factor, list[CoSearchStep]()

    def figure(fixed: bool) -> torch.Tensor:
        probabilities = {name: layer.probabilities for name, layer in mixed.items()}
        if fixed:
            probabilities = {name: p.detach() for name, p in probabilities.items()}
        return cost(probabilities, gamma if fixed else gamma.detach())

    with one_thread():
        for epoch in range(recipe.epochs):
            network.train()
            pairs = zip(*(batches(part, loading, rng) for part in halves), strict=False)
            for number, (ours, theirs) in zip(range(per_epoch), pairs, strict=False):
                passed = (epoch * per_epoch + number) / (recipe.epochs * per_epoch)
                hot, cold = recipe.temperatures
                for layer in mixed.values():
                    layer.draw(hot * (cold / hot) ** passed, rng)
                loss = _loss(network, ours, device)
                by_weights.zero_grad()
                loss.backward()
                by_weights.step()
                frozen = epoch < recipe.frozen_epochs
                found = None
                now = figure(fixed=False)
                before = factor
                if not frozen:
                    for layer in mixed.values():
                        layer.draw(hot * (cold / hot) ** passed, rng)
                    found = _loss(network, theirs, device)
                    by_alphas.zero_grad()
                    (found + factor * now / recipe.target).backward()
                    by_alphas.step()
                    factor = adapted(factor, now.item(), recipe)
                update = not frozen and (len(steps) + 1) % recipe.hardware_every == 0
                if update:
                    by_gamma.zero_grad()
                    (figure(fixed=True) / recipe.target).backward()
                    by_gamma.step()
                steps.append(
                    CoSearchStep(
                        loss.item(),
                        None if found is None else found.item(),
                        now.item(),
                        before,
                        update,
                    )
                )
    options = {name: layer.names[layer.chosen] for name, layer in mixed.items()}
    network.cpu().eval()
    return CoSearched(options, tuple(gamma.detach().cpu().flatten().tolist()), tuple(steps))


def adapted(factor: float, cost: float, recipe: CoSearchRecipe) -> float:
    """The factor after a step at ``cost``: larger above the target, smaller below it."""
    low, high = _FACTOR_RANGE
    return min(high, max(low, factor * (cost / recipe.target) ** recipe.factor_rate))


def table_cost(tables: Mapping[str, torch.Tensor]) -> Cost:
    """Expected cost from tables [options, configurations] of every mixed layer, as cycles of T0.

    Hardware parameters are one logit for each configuration.
    """

    def cost(probabilities: Mapping[str, torch.Tensor], hardware: torch.Tensor) -> torch.Tensor:
        share = torch.softmax(hardware, 0)
        return torch.stack([p @ tables[name] @ share for name, p in probabilities.items()]).sum()

    return cost


def weighted_cost(*terms: tuple[float, Cost]) -> Cost:
    """One scalar of several figures, as latency and energy, each with its weight."""

    def cost(probabilities: Mapping[str, torch.Tensor], hardware: torch.Tensor) -> torch.Tensor:
        return torch.stack([w * term(probabilities, hardware) for w, term in terms]).sum()

    return cost


def _part(data: DataSet, rows: slice) -> DataSet:
    return replace(data, train_images=data.train_images[rows], train_labels=data.train_labels[rows])


def _loss(
    network: nn.Module, batch: tuple[torch.Tensor, torch.Tensor], device: torch.device
) -> torch.Tensor:
    return functional.cross_entropy(network(batch[0].to(device)), batch[1].to(device))
