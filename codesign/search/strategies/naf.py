"""NAF's bi-level search: networks outside, an elitist genetic search of the hardware inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.search.accounting import BATCH
from codesign.search.evaluation import Evaluation, Pair, Proposal
from codesign.search.pairs import Floats
from codesign.search.ranking import rank
from codesign.search.strategies.base import Setting, option, read_options
from codesign.search.strategies.genetic import GeneticRecipe, elitist_search
from codesign.search.strategies.surrogate import Surrogate, unpaid

_FACTOR_RANGE = (1e-2, 1e3)
_IMPOSSIBLE = 1e9
_BLIND = 128
"""Random networks drawn a round, of which those expected to keep the limits are tried."""
_CURIOUS = 2.0
"""Optimism where a short schedule is bought: what is cheap may disappoint."""


@dataclass(frozen=True)
class NafOptions:
    """Each round breeds ``children`` networks from the ``parents`` best ones paid for; every
    ``hardware_every`` rounds the inner search renews the hardware of the ``hardware_networks``
    best ones, and ``pool`` configurations found last serve all children.

    ``factor`` is where lambda starts, the weight of expected excess against the accuracy model's
    score, and ``factor_rate`` how fast it follows figure / limit. ``optimism`` as in
    `Surrogate.merit`. Where a short schedule is on offer, a round buys it for ``shorts`` networks,
    half of them random ones, and ``fulls`` full evaluations.
    """

    children: int = option(200, 1, 10_000)
    parents: int = option(24, 1, 1000)
    hardware_every: int = option(4, 1, 1000)
    hardware_networks: int = option(4, 1, 64)
    pool: int = option(12, 1, 100)
    factor: float = option(10.0, *_FACTOR_RANGE)
    factor_rate: float = option(1.0, 0.0, 5.0)
    shorts: int = option(48, 0, 1000)
    fulls: int = option(5, 1, BATCH)
    optimism: float = option(0.5, 0.0, 10.0)


class Naf:
    """Outer level: evolution of networks by L_val + lambda L_hw, on what paid evaluations taught.
    Inner level: ``hardware_of``, for fixed networks and free of cost, as figures are expected.

    ``factors`` lists lambda after each round; ``inner`` counts the pairs that inner searches
    looked at.
    """

    def __init__(self, setting: Setting) -> None:
        self.options = read_options(setting, NafOptions)
        self.view, self._rng = setting.view, setting.rng
        self._offered = self.view.short_price is not None and self.options.shorts > 0
        self.surrogate = Surrogate(self.view, with_short=self._offered)
        self.factors = [self.options.factor]
        self.inner = 0
        self._paid: dict[Pair, Evaluation] = {}
        self._pool: dict[int, None] = {}
        self._tried: dict[int, None] = {}
        self._round = 0

    def ask(self, room: float) -> Sequence[Proposal]:
        parents = self._parents()
        children = self._children(parents)
        if self._round % self.options.hardware_every == 0:
            for network in (parents + children)[: self.options.hardware_networks]:
                self._pool.pop(found := self.hardware_of(network), None)
                self._pool[found] = None
            self._pool = dict.fromkeys(list(self._pool)[-self.options.pool :])
        self._round += 1
        shorts = self._shorts(children, room)
        price = self.view.short_price or 0.0
        wanted = min(BATCH, int(room - price * len(shorts) + 1e-9))
        wanted = min(wanted, self.options.fulls) if shorts else wanted
        # In the first round nothing is known of those just bought: any child will do.
        candidates = self._promising() if self._tried and self._paid else children
        chosen = self._select(candidates, wanted) or self._select(children, wanted)
        if len(chosen) < wanted:
            taken = {*self._paid, *chosen}
            chosen += unpaid(self.view.shape, taken, wanted - len(chosen), self._rng)
        return [*(Proposal(pair, "short") for pair in shorts), *map(Proposal, chosen)]

    def _parents(self) -> list[int]:
        """The best networks: by what their short schedules promise, then by what was paid for."""
        ranked = rank(list(self._paid.values()), self.view.objectives)
        best = list(dict.fromkeys(e.pair.network for e in ranked))[: self.options.parents]
        promising = self._select(self._promising(), self.options.parents, paid_too=True)
        return list(dict.fromkeys([*(pair.network for pair in promising), *best]))

    def _promising(self) -> list[int]:
        """The networks with the best short schedules of those without a feasible pair."""
        short = self.surrogate.short
        solved = {pair.network for pair, e in self._paid.items() if e.feasible}
        networks = np.array([n for n in self._tried if n not in solved], np.int64)
        if short is None or not len(networks):
            return []
        order = np.argsort(-short.observed(networks), kind="stable")[: self.options.children]
        return [int(n) for n in networks[order]]

    def _shorts(self, children: Sequence[int], room: float) -> list[Pair]:
        """Children whose short schedule is worth its price."""
        price = self.view.short_price
        if price is None or not self._offered or room < 1.0 + price:
            return []
        count = min(self.options.shorts, int((room - 1.0) / price))
        fresh = [network for network in children if network not in self._tried]
        chosen = self._select(fresh, count // 2, paid_too=True, optimism=_CURIOUS)
        # Merit is not asked: a network unlike all others is found by chance only.
        taken = {*self._tried, *(pair.network for pair in chosen)}
        drawn = self._rng.integers(self.view.shape[0], size=_BLIND).tolist()
        blind = self._select([n for n in dict.fromkeys(drawn) if n not in taken], _BLIND, True)
        networks = np.array([pair.network for pair in blind], np.int64)
        configs = np.array([pair.config for pair in blind], np.int64)
        excess = self.surrogate.forecast.excess(networks, configs)
        chosen += [blind[int(i)] for i in np.argsort(excess, kind="stable")[: count - len(chosen)]]
        self._tried |= dict.fromkeys(pair.network for pair in chosen)
        return chosen

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        self.surrogate.learn(evaluations)
        evaluations = [e for e in evaluations if e.fidelity == "full"]
        self._paid |= {e.pair: e for e in evaluations}
        self.factors.append(self._adapted(evaluations))

    def hardware_of(self, network: int) -> int:
        """The inner search: the configuration with the least expected excess for a network, and
        among those that keep the limits the first figure but accuracy, else the fewest cycles."""
        forecast = self.surrogate.forecast
        objectives = [o for o in self.view.objectives if o.metric != "accuracy"]

        def cost(genes: NDArray[np.int64]) -> Floats:
            configs = np.array([self.view.config_at(row) for row in genes], np.int64)
            networks = np.full(len(configs), network, np.int64)
            excess = forecast.excess(networks, configs)
            figures = forecast.figure("cycles", networks, configs)
            if objectives:
                wanted = forecast.figure(objectives[0].metric, networks, configs)
                wanted = wanted if objectives[0].goal == "min" else 1.0 / wanted
                figures = np.where(np.isnan(wanted), figures, wanted)
            found = np.where(excess > 0.0, 1e3 * (1.0 + excess), np.log1p(figures))
            return np.nan_to_num(found, nan=_IMPOSSIBLE, posinf=_IMPOSSIBLE)

        known = [self.view.config_choices[config] for config in self._pool]
        start = np.array(known, np.int64) if known else None
        recipe = GeneticRecipe()
        found = elitist_search(self.view.config_options, cost, self._rng, recipe, start)
        self.inner += found.evaluations
        return self.view.config_at(found.genes)

    def _children(self, parents: Sequence[int]) -> list[int]:
        """Networks one or two decisions, or a crossover, away from parents; random ones too."""
        rng, options = self._rng, np.array(self.view.network_options, np.int64)
        count = self.options.children
        rows = rng.integers(options, size=(count, len(options)))
        if parents:
            # Better parents have more children.
            places = rng.integers(len(parents), size=(3, 2, count)).min(axis=0)
            genes = self.view.network_choices[np.array(parents, np.int64)]
            crossed = rng.random((count, 1)) < 0.3
            first = rng.random(rows.shape) < 0.5
            bred = np.where(crossed & first, genes[places[1]], genes[places[0]])
            changes = rng.random((count, 1)) * 2.0 / len(options) + 1.0 / len(options)
            mutated = rng.random(rows.shape) < changes
            fresh = rng.random((count, 1)) < 0.1
            rows = np.where(fresh | mutated, rows, bred)
        return list(dict.fromkeys(self.view.network_at(row) for row in rows))

    def _select(
        self,
        children: Sequence[int],
        count: int,
        paid_too: bool = False,
        optimism: float | None = None,
    ) -> list[Pair]:
        """Children with the configuration of the pool that suits each best, best merit first."""
        if count <= 0 or not children or not self._pool:
            return []
        optimism = self.options.optimism if optimism is None else optimism
        configs = np.array(list(self._pool), np.int64)
        networks = np.repeat(np.array(children, np.int64), len(configs))
        choices = np.tile(configs, len(children))
        value, excess = self.surrogate.merit(networks, choices, optimism)
        merit = np.nan_to_num(value - self.factors[-1] * excess, nan=-_IMPOSSIBLE)
        cycles = self.surrogate.forecast.figure("cycles", networks, choices)
        known = {pair.network for pair, e in self._paid.items() if e.feasible}
        chosen: dict[int, Pair] = {}
        for place in map(int, np.lexsort([cycles, -merit])):
            pair = Pair(int(networks[place]), int(choices[place]))
            if len(chosen) == count:
                break
            done = pair in self._paid or (pair.network in known and self._accuracy_first)
            if done and not paid_too:
                continue
            chosen.setdefault(pair.network, pair)
        return list(chosen.values())

    @property
    def _accuracy_first(self) -> bool:
        return self.view.objectives[0].metric == "accuracy"

    def _adapted(self, evaluations: Sequence[Evaluation]) -> float:
        """Lambda times (figure / limit) to the power ``factor_rate``: of the worst limit, in the
        mean of the pairs just paid for. An accuracy counts as the error rate it leaves."""
        ratios: list[float] = []
        for constraint in self.view.constraints:
            metric, limit = constraint.metric, constraint.limit
            figures = [e.figures[metric] for e in evaluations if e.figures.get(metric)]
            if figures:
                mean = float(np.mean(figures))
                if metric == "accuracy":
                    mean, limit = 100.0 - mean, max(100.0 - limit, 1.0)
                ratios.append(mean / limit)
        low, high = _FACTOR_RANGE
        change = max(ratios, default=1.0) ** self.options.factor_rate
        return min(high, max(low, self.factors[-1] * change))
