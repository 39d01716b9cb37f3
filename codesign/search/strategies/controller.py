# torch's stubs leave parameters partially unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
"""The LSTM controller of NAHAS: a distribution over rows of decisions, one after another."""

from __future__ import annotations

import torch
from torch import nn

_WIDTH = 32


class Controller(nn.Module):
    """Each decision's logits follow from the options chosen before it; uniform at first.

    ``options`` are the option counts of the decisions; ``rng`` gives the initial weights and all
    draws.
    """

    def __init__(self, options: tuple[int, ...], rng: torch.Generator) -> None:
        super().__init__()
        self._rng = rng
        self._starts = [1 + sum(options[:place]) for place in range(len(options))]
        # Embedding 0 stands for "nothing chosen yet".
        self._embedding = nn.Embedding(1 + sum(options), _WIDTH)
        self._lstm = nn.LSTM(_WIDTH, _WIDTH, batch_first=True)
        self._heads = nn.ModuleList(nn.Linear(_WIDTH, count) for count in options)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1, generator=rng)
        for head in self._heads:
            for parameter in head.parameters():
                nn.init.zeros_(parameter)

    @torch.no_grad()
    def draw(self, count: int, temperature: float = 1.0) -> torch.Tensor:
        """Rows int64 [count, decisions]."""
        token = torch.zeros(count, 1, dtype=torch.int64)
        state: tuple[torch.Tensor, torch.Tensor] | None = None
        chosen: list[torch.Tensor] = []
        for start, head in zip(self._starts, self._heads, strict=True):
            hidden, state = self._lstm(self._embedding(token), state)
            shares = torch.softmax(head(hidden[:, 0]) / temperature, dim=-1)
            choice = torch.multinomial(shares, 1, generator=self._rng)
            chosen.append(choice)
            token = start + choice
        return torch.cat(chosen, dim=1)

    def log_probability(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logarithm of the probability of each of B rows, and the mean entropy of its decisions;
        float32 [B] each."""
        tokens = rows[:, :-1] + torch.tensor(self._starts[:-1], dtype=torch.int64)
        tokens = torch.cat([torch.zeros(len(rows), 1, dtype=torch.int64), tokens], dim=1)
        hidden, _ = self._lstm(self._embedding(tokens))
        total = torch.zeros(len(rows))
        entropy = torch.zeros(len(rows))
        for place, head in enumerate(self._heads):
            logs = torch.log_softmax(head(hidden[:, place]), dim=-1)
            total = total + logs.gather(1, rows[:, place : place + 1])[:, 0]
            entropy = entropy - (logs.exp() * logs).sum(dim=-1)
        return total, entropy / len(self._heads)


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
