# torch's stubs leave parameters partially unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
"""The objective that NeuHardCo's two agents share: accuracy, latency and energy of a mixture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log

import numpy as np
import torch

from codesign.search.evaluation import Evaluation
from codesign.search.strategies.encoding import pair_t0
from codesign.search.strategies.relaxation import RelaxedConfigs, RelaxedNetworks
from codesign.search.strategies.surrogate import Surrogate
from codesign.search.view import View

_MINOR = 0.02
"""Weight of what is not the first objective: enough to decide between equals."""
_PENALTY = 10.0
"""Weight of the excess over a limit, in logarithms or scores."""


class SharedObjective:
    """One differentiable number for each mixture of architectures on each relaxed accelerator.

    Accuracy is the accuracy model's score, latency and energy are logarithms; ``weights`` scale
    the three. The first objective counts fully, the other two of them `_MINOR`. Latency is the
    relaxed closed form's, energy linear in MACs and cycles as fitted to paid evaluations.
    """

    def __init__(
        self,
        view: View,
        networks: RelaxedNetworks,
        configs: RelaxedConfigs,
        surrogate: Surrogate,
        weights: Mapping[str, float],
    ) -> None:
        self._view, self._networks, self._configs = view, networks, configs
        self._surrogate = surrogate
        self._first = view.objectives[0]
        self._weights = {metric: weight * _MINOR for metric, weight in weights.items()}
        name = "latency_ms" if self._first.metric == "cycles" else self._first.metric
        self._weights[name] = weights.get(name, 1.0)
        if (self._first.goal == "max") != (name == "accuracy"):
            self._weights[name] *= -1.0
        self._macs = torch.tensor([float(unit.macs) for unit in view.units], dtype=torch.float64)
        places = [int(configs.indices[int(place)]) for place in configs.firsts]
        self._ms_per_cycle = torch.from_numpy(view.ms_per_cycle[places])
        self._log_ratio = 0.0
        self._energy: torch.Tensor | None = None
        self._paid: list[Evaluation] = []
        self._resources = {
            c.metric: configs.linear(np.log2(view.hardware[c.metric][configs.indices]))
            for c in (self._first, *view.constraints)
            if c.metric in view.hardware
        }

    def learn(self, evaluations: Sequence[Evaluation]) -> None:
        """Level of the cycles over T0, and prices of MACs and cycles in energy."""
        self._paid += [e for e in evaluations if "cycles" in e.figures]
        if not self._paid:
            return
        networks = np.array([e.pair.network for e in self._paid], np.int64)
        configs = np.array([e.pair.config for e in self._paid], np.int64)
        cycles = np.array([e.figures["cycles"] for e in self._paid])
        ratio = np.log(cycles / pair_t0(self._view, networks, configs))
        self._log_ratio = float(np.nanmean(ratio)) if np.isfinite(ratio).any() else 0.0
        if "energy_mj" in self._paid[0].figures:
            energy = np.array([e.figures["energy_mj"] for e in self._paid])
            amounts = np.stack([self._view.macs[networks], cycles], axis=1)
            prices = np.linalg.lstsq(amounts, energy, rcond=None)[0]
            self._energy = torch.from_numpy(np.maximum(prices, 0.0))

    def __call__(
        self, logits: torch.Tensor, points: torch.Tensor, cycles: torch.Tensor
    ) -> torch.Tensor:
        """float64 [R] of logits [R, D, most], points [R, P] and unit cycles [U, R, G]: of each
        mixture in its best group."""
        shares = torch.softmax(logits, dim=-1)
        counts = self._networks.expected_counts(shares)
        scores = self._surrogate.model.relaxed(self._networks.flat(shares), counts)[:, None]
        total = torch.einsum("ru,urg->rg", counts, cycles)
        total = total.clamp(min=1.0) * float(np.exp(self._log_ratio))
        logs = {
            "cycles": torch.log(total),
            "latency_ms": torch.log(total * self._ms_per_cycle),
            **{
                metric: (fit(points) * log(2.0))[:, None] for metric, fit in self._resources.items()
            },
        }
        if self._energy is not None:
            macs = (counts @ self._macs).clamp(min=0.0)[:, None]
            energy = self._energy[0] * macs + self._energy[1] * total
            logs["energy_mj"] = torch.log(energy.clamp(min=1e-12))
        loss = -self._weights["accuracy"] * scores
        for metric, weight in self._weights.items():
            if metric in logs:
                loss = loss + weight * logs[metric]
        for constraint in self._view.constraints:
            if constraint.metric == "accuracy":
                over = self._surrogate.model.score(constraint.limit) - scores
            elif constraint.metric in logs:
                over = logs[constraint.metric] - log(constraint.limit)
            else:
                continue
            loss = loss + _PENALTY * torch.relu(over)
        return loss.amin(dim=1)
