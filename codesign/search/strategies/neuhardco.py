# torch's stubs leave parameters partially unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
"""NeuHardCo: two agents that descend one objective in turn, through the differentiable T0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal

import torch

from codesign.nn.training import one_thread
from codesign.search.accounting import BATCH
from codesign.search.evaluation import Evaluation, Pair, Proposal
from codesign.search.ranking import loss
from codesign.search.strategies.base import Setting, option, read_options
from codesign.search.strategies.objective import SharedObjective
from codesign.search.strategies.relaxation import RelaxedConfigs, RelaxedNetworks
from codesign.search.strategies.surrogate import Surrogate, unpaid

Agent = Literal["architecture", "hardware"]

_NEAR = 2
"""Configurations of each group around a hardware point that are proposed."""
_STUCK = 4
"""Rounds without a better pair after which a particle starts anew."""


@dataclass(frozen=True)
class NeuHardCoOptions:
    """``accuracy``, ``latency``, ``energy`` scale the terms of the shared objective.

    ``particles`` pairs of agents search side by side. A round has ``architecture_steps`` of the
    first agent; every ``hardware_every`` rounds, ``hardware_steps`` of the second one.
    ``temperature`` is that of the Gumbel draws, ``samples`` those of each particle that are
    considered, ``optimism`` as in `Surrogate.merit`.
    """

    accuracy: float = option(1.0, 0.0, 100.0)
    latency: float = option(1.0, 0.0, 100.0)
    energy: float = option(1.0, 0.0, 100.0)
    particles: int = option(4, 1, 64)
    architecture_steps: int = option(16, 0, 1000)
    hardware_steps: int = option(3, 0, 40)
    hardware_every: int = option(4, 1, 1000)
    architecture_rate: float = option(0.15, 1e-6, 10.0)
    hardware_rate: float = option(0.1, 1e-6, 10.0)
    temperature: float = option(1.0, 0.01, 100.0)
    samples: int = option(64, 1, 1000)
    optimism: float = option(0.5, 0.0, 10.0)


@dataclass(frozen=True)
class Turn:
    """One agent's steps: the shared objective, mean over the particles, before and after."""

    round: int
    agent: Agent
    steps: int
    before: float
    after: float


class NeuHardCo:
    """The architecture agent holds logits of every decision, the hardware agent relaxed hardware
    parameters; both descend accuracy + latency + energy, in turn. Then both are made discrete,
    paid for, and the accuracy model and the forecast learn from it.

    ``history`` lists the turns.
    """

    def __init__(self, setting: Setting) -> None:
        self.options = read_options(setting, NeuHardCoOptions)
        self.view, self._rng = setting.view, setting.rng
        self._torch_rng = torch.Generator().manual_seed(int(self._rng.integers(1 << 62)))
        self.networks = RelaxedNetworks(self.view, self._rng)
        self.configs = RelaxedConfigs(self.view)
        self.surrogate = Surrogate(self.view)
        weights = {
            "accuracy": self.options.accuracy,
            "latency_ms": self.options.latency,
            "energy_mj": self.options.energy,
        }
        self.objective = SharedObjective(
            self.view, self.networks, self.configs, self.surrogate, weights
        )
        self.history: list[Turn] = []
        self._paid: dict[Pair, Evaluation] = {}
        self._owners: dict[Pair, int] = {}
        count = self.options.particles
        shape = (count, *self.networks.missing.shape)
        self.logits = torch.randn(shape, generator=self._torch_rng, dtype=torch.float64)
        self.points = self._random_points(count)
        self._stuck = [0] * count
        self._best = [inf] * count
        self._round = 0
        self._restarted = False
        self._cycles = torch.zeros(0, dtype=torch.float64)

    def ask(self, room: float) -> Sequence[Proposal]:
        wanted = min(BATCH, int(room + 1e-9))
        with one_thread():
            if self._round % self.options.hardware_every == 0:
                self._hardware_turn()
            elif self._restarted:
                self._price_hardware()
            if self.surrogate.model.known:
                self._architecture_turn()
        self._round += 1
        self._owners = {}
        chosen: list[Pair] = []
        for particle in range(len(self.logits)):
            share = -(-(wanted - len(chosen)) // (len(self.logits) - particle))
            taken = {*self._paid, *chosen}
            pairs = self._discrete(particle)
            best = self.surrogate.best(pairs, taken, share, self.options.optimism)
            self._owners |= dict.fromkeys(best, particle)
            chosen += best
        if len(chosen) < wanted:
            taken = {*self._paid, *chosen}
            chosen += unpaid(self.view.shape, taken, wanted - len(chosen), self._rng)
        return [Proposal(pair) for pair in chosen]

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        self.surrogate.learn(evaluations)
        self.objective.learn(evaluations)
        self._paid |= {e.pair: e for e in evaluations}
        for particle in range(len(self.logits)):
            own = [e for e in evaluations if self._owners.get(e.pair) == particle]
            found = min((loss(e, self.view.objectives) for e in own), default=inf)
            better = found < self._best[particle]
            self._best[particle] = min(found, self._best[particle])
            self._stuck[particle] = 0 if better else self._stuck[particle] + 1
            if self._stuck[particle] >= _STUCK:
                self._restart(particle)

    def _architecture_turn(self) -> None:
        """The first agent descends on Gumbel draws; hardware stays."""
        logits = self.logits.clone().requires_grad_()
        optimizer = torch.optim.Adam([logits], self.options.architecture_rate)
        before = self._shared(logits, self.points)
        for _ in range(self.options.architecture_steps):
            optimizer.zero_grad()
            noisy = (logits + self._gumbel(logits.shape)) / self.options.temperature
            masked = self.networks.masked(noisy)
            self.objective(masked, self.points, self._cycles).sum().backward()
            optimizer.step()
        self.logits = logits.detach()
        after = self._shared(self.logits, self.points)
        steps = self.options.architecture_steps
        self.history.append(Turn(self._round, "architecture", steps, before, after))

    def _hardware_turn(self) -> None:
        """The second agent descends through the closed form; architectures stay."""
        masked = self.networks.masked(self.logits)
        counts = self.networks.expected_counts(torch.softmax(masked, dim=-1))
        points = self.points.clone().requires_grad_()
        losses: list[float] = []
        if points.shape[1]:
            optimizer = torch.optim.Adam([points], self.options.hardware_rate)
            for _ in range(self.options.hardware_steps):
                optimizer.zero_grad()
                cycles = self.configs.unit_cycles(points, counts)
                found = self.objective(masked, points, cycles)
                losses.append(float(found.detach().mean()))
                found.sum().backward()
                optimizer.step()
                with torch.no_grad():
                    points.clamp_(self.configs.low, self.configs.high)
        self.points = points.detach()
        self._price_hardware()
        after = self._shared(self.logits, self.points)
        before = losses[0] if losses else after
        self.history.append(Turn(self._round, "hardware", len(losses), before, after))

    def _price_hardware(self) -> None:
        """Unit cycles of the configurations nearest to the points, which are the ones proposed."""
        self._cycles = self.configs.nearest_cycles(self.points, self.view)
        self._restarted = False

    def _shared(self, logits: torch.Tensor, points: torch.Tensor) -> float:
        with torch.no_grad():
            masked = self.networks.masked(logits)
            return float(self.objective(masked, points, self._cycles).mean())

    def _discrete(self, particle: int) -> list[Pair]:
        """The most probable network and draws of others, with configurations near the point."""
        logits = self.networks.masked(self.logits[particle])
        noise = self._gumbel((self.options.samples, *logits.shape))
        noise[0] = 0.0
        rows = (logits + self.options.temperature * noise).argmax(dim=-1)
        networks = dict.fromkeys(self.view.network_at(row) for row in rows.numpy())
        configs = self.configs.nearest(self.points[particle], _NEAR)
        return [Pair(network, config) for network in networks for config in configs]

    def _restart(self, particle: int) -> None:
        """New random logits and a new random point."""
        shape = self.logits[particle].shape
        self.logits[particle] = torch.randn(shape, generator=self._torch_rng, dtype=torch.float64)
        self.points[particle] = self._random_points(1)[0]
        self._best[particle], self._stuck[particle] = inf, 0
        self._restarted = True

    def _random_points(self, count: int) -> torch.Tensor:
        low, high = self.configs.low, self.configs.high
        share = torch.rand(count, len(low), generator=self._torch_rng, dtype=torch.float64)
        return low + share * (high - low)

    def _gumbel(self, shape: Sequence[int]) -> torch.Tensor:
        uniform = torch.rand(tuple(shape), generator=self._torch_rng, dtype=torch.float64)
        return -torch.log(-torch.log(uniform.clamp(1e-12, 1.0 - 1e-12)))
