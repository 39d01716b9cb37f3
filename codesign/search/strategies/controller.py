# torch's stubs leave parameters partially unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
"""The LSTM controller of NAHAS: a distribution over rows of decisions, one after another."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

_WIDTH = 32
_NEVER = -1e9
"""Logit of an option that a decision lacks."""


class Controller(nn.Module):
    """Each decision's logits follow from the options chosen before it; uniform at first.

    ``options`` are the option counts of the decisions; ``rng`` gives the initial weights and all
    draws.
    """

    def __init__(self, options: tuple[int, ...], rng: torch.Generator) -> None:
        super().__init__()
        self._rng = rng
        self._starts = [1 + sum(options[:place]) for place in range(len(options))]
        self._missing = torch.tensor([[k >= n for k in range(max(options))] for n in options])
        # Embedding 0 stands for "nothing chosen yet".
        self._embedding = nn.Embedding(1 + sum(options), _WIDTH)
        self._lstm = nn.LSTM(_WIDTH, _WIDTH, batch_first=True)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1, generator=rng)
        self._heads = nn.Parameter(torch.zeros(*self._missing.shape, _WIDTH))
        self._levels = nn.Parameter(torch.zeros(self._missing.shape))

    @torch.no_grad()
    def draw(self, count: int, temperature: float = 1.0) -> torch.Tensor:
        """Rows int64 [count, decisions]."""
        # In NumPy: step by step torch's LSTM spends most of its time on calls.
        own = {name: value.detach().numpy() for name, value in self.named_parameters()}
        inputs = own["_embedding.weight"] @ own["_lstm.weight_ih_l0"].T
        inputs = inputs + own["_lstm.bias_ih_l0"] + own["_lstm.bias_hh_l0"]
        missing = self._missing.numpy()
        uniform = torch.rand(count, len(missing), generator=self._rng).numpy()
        rows = np.zeros((count, len(missing)), np.int64)
        hidden = cell = np.zeros((count, _WIDTH), np.float32)
        tokens = np.zeros(count, np.int64)
        new = 2 * _WIDTH  # where the third gate begins
        for place, start in enumerate(self._starts):
            gates = inputs[tokens] + hidden @ own["_lstm.weight_hh_l0"].T
            opened = _sigmoid(gates)  # of all four at once: calls are what takes time
            entry, keep, out = opened[:, :_WIDTH], opened[:, _WIDTH:new], opened[:, -_WIDTH:]
            cell = keep * cell + entry * np.tanh(gates[:, new:-_WIDTH])
            hidden = out * np.tanh(cell)
            logits = (hidden @ own["_heads"][place].T + own["_levels"][place]) / temperature
            logits = np.where(missing[place], -np.inf, logits)
            shares = np.exp(logits - logits.max(axis=1, keepdims=True)).cumsum(axis=1)
            rows[:, place] = (shares <= uniform[:, [place]] * shares[:, -1:]).sum(axis=1)
            last = int((~missing[place]).sum()) - 1
            rows[:, place] = np.minimum(rows[:, place], last)
            tokens = start + rows[:, place]
        return torch.from_numpy(rows)

    def log_probability(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logarithm of the probability of each of B rows, and the mean entropy of its decisions;
        float32 [B] each."""
        tokens = rows[:, :-1] + torch.tensor(self._starts[:-1], dtype=torch.int64)
        tokens = torch.cat([torch.zeros(len(rows), 1, dtype=torch.int64), tokens], dim=1)
        hidden, _ = self._lstm(self._embedding(tokens))
        logits = torch.einsum("bdw,dkw->bdk", hidden, self._heads) + self._levels
        logs = torch.log_softmax(logits.masked_fill(self._missing, _NEVER), dim=-1)
        total = logs.gather(2, rows[:, :, None])[:, :, 0].sum(dim=1)
        return total, -(logs.exp() * logs).sum(dim=-1).mean(dim=1)


def _sigmoid(x: NDArray[Any]) -> NDArray[Any]:
    with np.errstate(over="ignore"):  # a gate that is shut
        return 1.0 / (1.0 + np.exp(-x))


def reinforce_loss(
    log_probability: torch.Tensor, rewards: torch.Tensor, baseline: float
) -> torch.Tensor:
    """Its gradient is the policy gradient's estimate: rows better than ``baseline`` gain."""
    return -((rewards - baseline) * log_probability).mean()


def ppo_loss(
    log_probability: torch.Tensor, before: torch.Tensor, advantages: torch.Tensor, clip: float
) -> torch.Tensor:
    """The clipped surrogate: no gain from moving a row's probability by more than 1 +- ``clip``."""
    ratio = torch.exp(log_probability - before)
    kept = torch.clamp(ratio, 1.0 - clip, 1.0 + clip)
    return -torch.minimum(ratio * advantages, kept * advantages).mean()
