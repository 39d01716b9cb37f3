# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# torch is only partly annotated.
"""Weights that all networks of a space share: one part for each name, whatever network has it."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from codesign.nn.datasets import DataSet, real
from codesign.nn.space import Genotype, NetworkSpace
from codesign.nn.training import best_device, one_thread, to_device, top1

_CALIBRATION, _BATCH = 512, 128
_NETWORKS = 256
"""Assembled networks that are remembered; assembling one again costs milliseconds."""


class SharedWeights:
    """Parts of a space's networks by name; a part is made when the first network asks for it.

    Its weights are those in ``kept`` (of `state`), or follow from ``seed`` and its name, not from
    the order of asking. In a space equal names have equal shapes (`codesign.nn.graph.Node`).
    """

    def __init__(
        self,
        space: NetworkSpace,
        seed: int = 0,
        kept: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        self.space = space
        self.seed = seed
        self.parts: dict[str, nn.Module] = {}
        self._kept = dict(kept or {})
        self._device = best_device()
        self._networks: dict[Genotype, nn.Module] = {}

    def network(self, genotype: Genotype) -> nn.Module:
        """The network with the shared weights; training it trains them."""
        known = self._networks.get(genotype)
        if known is None:
            if len(self._networks) >= _NETWORKS:
                self._networks.clear()
            known = self._networks[genotype] = self._assembled(genotype)
        return known

    def state(self) -> dict[str, torch.Tensor]:
        """All weights and statistics, by part and name; the tensors themselves."""
        made = {
            f"{name}/{key}": tensor
            for name, part in self.parts.items()
            for key, tensor in part.state_dict(keep_vars=True).items()
        }
        return self._kept | made

    def inherited(self, genotype: Genotype, data: DataSet) -> nn.Module:
        """A copy of a network for evaluation, its batch norms measured anew on training images."""
        network = copy.deepcopy(self.network(genotype)).train()
        norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean over all batches
        x = torch.from_numpy(real(data.train_images[:_CALIBRATION]))
        with torch.no_grad(), one_thread():
            for batch in x.split(_BATCH):
                network(to_device(batch, self._device))
        return network.eval()

    def accuracy(self, genotype: Genotype, data: DataSet) -> float:
        """Top-1 of a network with inherited weights on the test part, percent."""
        network = self.inherited(genotype, data)
        return top1(network, data.test_images, data.test_labels)

    def _assembled(self, genotype: Genotype) -> nn.Module:
        network: Any = self.space.build(genotype)
        for name, part in network.parts.items():
            if any(True for _ in part.parameters()):
                if name not in self.parts:
                    self.parts[name] = self._made(part, name).to(self._device)
                network.parts[name] = self.parts[name]
        return network.to(self._device)

    def _made(self, part: nn.Module, name: str) -> nn.Module:
        keys = list(part.state_dict())
        if f"{name}/{keys[0]}" in self._kept:
            part.load_state_dict({key: self._kept[f"{name}/{key}"] for key in keys})
            return part
        return _initial(part, self.seed, name)


def _initial(part: nn.Module, seed: int, name: str) -> nn.Module:
    """The part with torch's usual random weights, drawn from ``seed`` and ``name``."""
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int.from_bytes(digest, "little") >> 1)
        for module in part.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                module.reset_parameters()
    return part
