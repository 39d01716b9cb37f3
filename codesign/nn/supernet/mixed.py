# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# torch is only partly annotated.
"""Differentiable choices (DARTS, FBNet): layers that mix their options by Gumbel-softmax."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from codesign.errors import ModelError
from codesign.nn.quantization.quantizers import levels, naf_activation, naf_weight


class Mixed(nn.Module):
    """One of several options, all with the same input and output shapes.

    In training `forward` mixes the options by the weights of the last `draw`; with ``single`` it
    computes only the heaviest one and passes the gradient on to its weight (as GDAS does), which
    costs one path. In evaluation the most probable option alone is computed.
    """

    def __init__(self, options: Mapping[str, nn.Module], single: bool = False) -> None:
        super().__init__()
        if len(options) < 2:
            raise ModelError(f"a mixed layer needs two options or more, got {list(options)}")
        self.names = tuple(options)
        self.options = nn.ModuleList(options.values())
        self.alpha = nn.Parameter(torch.zeros(len(options)))
        self.single = single
        self._weights: torch.Tensor | None = None

    @property
    def probabilities(self) -> torch.Tensor:
        """softmax of the architecture weights, [options]."""
        return torch.softmax(self.alpha, 0)

    @property
    def chosen(self) -> int:
        """Index of the most probable option."""
        return int(self.alpha.detach().argmax())

    def draw(self, temperature: float, rng: torch.Generator) -> None:
        """Draw the weights of the next forward passes: Gumbel-softmax at ``temperature``."""
        noise = -torch.log(
            -torch.log(torch.rand(len(self.names), generator=rng).clamp(1e-9, 1 - 1e-6))
        )
        logits = torch.log_softmax(self.alpha, 0) + noise.to(self.alpha.device)
        self._weights = torch.softmax(logits / temperature, 0)

    def forget(self) -> None:
        """Without a draw, the probabilities are the weights; only so can a layer be copied."""
        self._weights = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return self.options[self.chosen](x)
        weights = self.probabilities if self._weights is None else self._weights
        if self.single:
            place = int(weights.detach().argmax())
            return self.options[place](x) * (1 + weights[place] - weights[place].detach())
        return torch.stack(
            [w * option(x) for w, option in zip(weights, self.options, strict=True)]
        ).sum(0)


def mixed_layers(network: nn.Module) -> dict[str, Mixed]:
    """The mixed layers of a network by name; ModelError if it has none."""
    found = {name: m for name, m in network.named_modules() if isinstance(m, Mixed)}
    if not found:
        raise ModelError("the network has no Mixed layer; nothing is there to choose")
    return found


def derive(network: nn.Module) -> nn.Module:
    """A copy of the network with the most probable option in the place of every mixed layer."""
    for layer in mixed_layers(network).values():
        layer.forget()
    result = copy.deepcopy(network)
    if isinstance(result, Mixed):
        return result.options[result.chosen]
    for name, layer in list(mixed_layers(result).items()):
        path, _, last = name.rpartition(".")
        setattr(result.get_submodule(path), last, layer.options[layer.chosen])
    return result


def bit_options(
    name: str, block: nn.Module, bits: tuple[int, ...] = (4, 6, 8), rectified: bool = False
) -> dict[str, nn.Module]:
    """The block once for each number of bits, as options of a `Mixed`: bits as a search variable.

    Every width has weights of its own, quantised as NAF does, and a learned clip of its output.
    """
    return {f"{name}, {n} bits": AtBits(copy.deepcopy(block), n, rectified) for n in bits}


class AtBits(nn.Module):
    """A block whose convolutions' and dense layers' weights and whose output have ``bits`` bits."""

    def __init__(self, block: nn.Module, bits: int, rectified: bool = False) -> None:
        super().__init__()
        levels(bits)
        self.block, self.bits, self.rectified = block, bits, rectified
        self.clip = nn.Parameter(torch.tensor(6.0))
        for module in block.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                parametrize.register_parametrization(module, "weight", _NafWeight(bits))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return naf_activation(self.block(x), self.clip.clamp_min(1e-4), self.bits, self.rectified)

    def plain(self) -> nn.Module:
        """The block with its float weights, for `codesign.nn.quantization`."""
        block: Any = copy.deepcopy(self.block)
        for module in block.modules():
            if parametrize.is_parametrized(module):
                parametrize.remove_parametrizations(module, "weight", leave_parametrized=False)
        return block


class _NafWeight(nn.Module):
    """Eq. 5, brought back to the layer's range."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return naf_weight(weight, self.bits) * torch.tanh(weight.detach()).abs().max()
