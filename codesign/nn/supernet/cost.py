# pyright: reportUnknownMemberType=false
# torch is only partly annotated.
"""What a network costs on an accelerator, as a differentiable figure for `co_search`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

Cost = Callable[[Mapping[str, torch.Tensor], torch.Tensor], torch.Tensor]
"""A differentiable figure above 0 of the probabilities of every mixed layer, by its name, and of
the hardware parameters."""


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
