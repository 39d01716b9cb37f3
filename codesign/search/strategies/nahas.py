# torch's stubs leave parameters partially unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
"""NAHAS: a recurrent controller over the joint decisions of network and hardware."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from codesign.nn.training import one_thread
from codesign.search.accounting import BATCH
from codesign.search.evaluation import Evaluation, Pair, Proposal
from codesign.search.pairs import Floats
from codesign.search.strategies.accuracy_model import AccuracyModel
from codesign.search.strategies.base import Setting, choice, option, read_options
from codesign.search.strategies.controller import Controller, ppo_loss, reinforce_loss
from codesign.search.strategies.encoding import pair_t0
from codesign.search.strategies.forecast import Forecast
from codesign.search.strategies.rewards import EXPONENTS, Mode, weighted_product

_DRAWS = 8
"""Batches of children drawn in search of enough new ones."""
_FILL = 256
"""Mutated children looked at where the controller repeats itself."""


@dataclass(frozen=True)
class NahasOptions:
    """``mode``: how limits enter the reward, "hard" or "soft".

    A child that T0 expects to exceed its limits by more than ``margin`` in all is not paid for:
    its reward takes the expected figures and the mean accuracy of those paid for.
    """

    mode: Literal["hard", "soft"] = choice("hard", EXPONENTS)
    margin: float = option(0.05, 0.0, 1000.0)
    learning_rate: float = option(0.01, 1e-6, 0.1)
    entropy: float = option(0.02, 0.0, 1.0)
    epochs: int = option(4, 1, 100)
    clip: float = option(0.2, 0.01, 1.0)
    free_steps: int = option(8, 0, 500)
    free_children: int = option(48, 1, 1000)


class Nahas:
    """What both flavours share: drawing children, and what each one's reward is.

    Rows are decisions of the network, then of the configuration. A child that was paid for before
    costs nothing again.
    """

    def __init__(self, setting: Setting) -> None:
        self.options = read_options(setting, NahasOptions)
        self.mode: Mode = self.options.mode
        self.view, self.rng = setting.view, setting.rng
        self.forecast = Forecast(self.view)
        view = self.view
        self._sizes = (*view.network_options, *view.config_options)
        self.controller = Controller(
            self._sizes, torch.Generator().manual_seed(int(self.rng.integers(1 << 62)))
        )
        self.optimizer = torch.optim.Adam(self.controller.parameters(), self.options.learning_rate)
        self.rewards: dict[Pair, float] = {}
        self._accuracies: list[float] = []
        self._rows: list[NDArray[np.int64]] = []
        self._free: list[tuple[NDArray[np.int64], float]] = []

    def ask(self, room: float) -> Sequence[Proposal]:
        wanted = min(BATCH, int(room + 1e-9))
        pending: dict[Pair, NDArray[np.int64]] = {}
        self._free = []
        with one_thread():
            for batches in (1, _DRAWS - 1):
                if len(pending) < wanted:
                    self._take(self.controller.draw(batches * BATCH).numpy(), pending, wanted)
        if len(pending) < wanted:
            self._fill(pending, wanted)
        self._rows = list(pending.values())
        return [Proposal(pair) for pair in pending]

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        self.forecast.learn(evaluations)
        for evaluation in evaluations:
            self.rewards[evaluation.pair] = float(self._reward(evaluation.figures))
            self._accuracies.append(evaluation.figures["accuracy"])
        paid = [
            (row, self.rewards[evaluation.pair])
            for row, evaluation in zip(self._rows, evaluations, strict=True)
        ]
        children = paid + self._free
        rows = torch.from_numpy(np.array([row for row, _ in children]))
        with one_thread():
            self.update(rows, torch.tensor([reward for _, reward in children]))
            self.update_free(evaluations)

    def update(self, rows: torch.Tensor, rewards: torch.Tensor) -> None:
        """Learn from children whose rewards are known."""
        raise NotImplementedError

    def update_free(self, evaluations: Sequence[Evaluation]) -> None:
        """Learn from children that nobody pays for; nothing where every child is paid for."""

    def pair_of(self, row: NDArray[np.int64]) -> Pair:
        split = len(self.view.network_options)
        return Pair(self.view.network_at(row[:split]), self.view.config_at(row[split:]))

    def expected(self, pairs: Sequence[Pair], accuracy: Floats) -> list[float]:
        """Rewards of pairs by expected figures and the given accuracies; 0 where nothing fits. A
        figure that cannot be expected yet is taken to be at its limit."""
        networks = np.array([pair.network for pair in pairs], np.int64)
        configs = np.array([pair.config for pair in pairs], np.int64)
        limits = {c.metric: c.limit for c in self.view.constraints}
        figures: dict[str, Floats] = {}
        for metric in dict.fromkeys((self.view.objectives[0].metric, *limits)):
            values = accuracy
            if metric != "accuracy":
                values = self.forecast.figure(metric, networks, configs)
            figures[metric] = np.nan_to_num(values, nan=limits.get(metric, 0.0))
        fits = np.isfinite(pair_t0(self.view, networks, configs))
        return np.where(fits, self._reward(figures), 0.0).tolist()

    def _reward(self, figures: Mapping[str, Any]) -> Any:
        objective = self.view.objectives[0]
        return weighted_product(figures, objective, self.view.constraints, self.mode)

    def _take(
        self, rows: NDArray[np.int64], pending: dict[Pair, NDArray[np.int64]], wanted: int
    ) -> None:
        pairs = [self.pair_of(row) for row in rows]
        networks = np.array([pair.network for pair in pairs], np.int64)
        configs = np.array([pair.config for pair in pairs], np.int64)
        over = self.forecast.excess(networks, configs) > self.options.margin
        mean = float(np.mean(self._accuracies)) if self._accuracies else 50.0
        rewards = self.expected(pairs, np.full(len(pairs), mean))
        for place, (row, pair) in enumerate(zip(rows, pairs, strict=True)):
            if place % BATCH == 0 and len(pending) == wanted:
                break
            if pair in self.rewards:
                self._free.append((row, self.rewards[pair]))
            elif over[place]:
                self._free.append((row, rewards[place]))
            elif len(pending) < wanted:
                pending.setdefault(pair, row)

    def _fill(self, pending: dict[Pair, NDArray[np.int64]], wanted: int) -> None:
        """Mutated and random rows, least expected excess first, where too few children are new."""
        with one_thread():
            drawn = self.controller.draw(_FILL).numpy()
        anywhere = self.rng.integers(self._sizes, size=drawn.shape)
        rates = self.rng.random((len(drawn), 1))
        rows = np.where(self.rng.random(drawn.shape) < rates, anywhere, drawn)
        pairs = [self.pair_of(row) for row in rows]
        networks = np.array([pair.network for pair in pairs], np.int64)
        configs = np.array([pair.config for pair in pairs], np.int64)
        excess = self.forecast.excess(networks, configs)
        for place in np.lexsort([rates[:, 0], excess]).tolist():
            if len(pending) == wanted:
                return
            if pairs[place] not in self.rewards:
                pending.setdefault(pairs[place], rows[place])


class NahasPpo(Nahas):
    """Multi-trial: every new child is paid for; the controller learns by PPO."""

    def update(self, rows: torch.Tensor, rewards: torch.Tensor) -> None:
        advantages = _normal(rewards)
        with torch.no_grad():
            before, _ = self.controller.log_probability(rows)
        for _ in range(self.options.epochs):
            log_probability, entropy = self.controller.log_probability(rows)
            loss = ppo_loss(log_probability, before, advantages, self.options.clip)
            _descend(self.optimizer, loss - self.options.entropy * entropy.mean())


class NahasReinforce(Nahas):
    """One-shot: between paid rounds the controller learns by REINFORCE from rewards that an
    accuracy model of the paid children and expected figures give."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.model = AccuracyModel(self.view)
        self.baseline: float | None = None

    def update(self, rows: torch.Tensor, rewards: torch.Tensor) -> None:
        mean = float(rewards.mean())
        baseline = mean if self.baseline is None else self.baseline
        self.baseline = 0.9 * baseline + 0.1 * mean
        log_probability, entropy = self.controller.log_probability(rows)
        scale = float(rewards.std(correction=0)) + 1e-6
        loss = reinforce_loss(log_probability, rewards, baseline) / scale
        _descend(self.optimizer, loss - self.options.entropy * entropy.mean())

    def update_free(self, evaluations: Sequence[Evaluation]) -> None:
        self.model.learn(evaluations)
        for _ in range(self.options.free_steps):
            rows = self.controller.draw(self.options.free_children)
            pairs = [self.pair_of(row) for row in rows.numpy()]
            networks = np.array([pair.network for pair in pairs], np.int64)
            accuracy = self.model.accuracy(self.model.scores(networks))
            rewards = self.expected(pairs, accuracy)
            self.update(rows, torch.tensor(rewards))


def _normal(rewards: torch.Tensor) -> torch.Tensor:
    return (rewards - rewards.mean()) / (rewards.std(correction=0) + 1e-6)


def _descend(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
