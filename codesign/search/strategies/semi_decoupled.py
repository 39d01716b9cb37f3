"""Semi-decoupled search: networks for K limits on one proxy, then hardware over these alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from codesign.errors import ConfigError
from codesign.search.accounting import BATCH
from codesign.search.evaluation import Evaluation, Pair, Proposal
from codesign.search.monotonicity import choose_proxy, monotonicity
from codesign.search.pairs import Floats
from codesign.search.ranking import Key, objective_key
from codesign.search.semi_decoupled import proxy_set
from codesign.search.strategies.accuracy_model import AccuracyModel
from codesign.search.strategies.base import Setting, option, read_options
from codesign.search.strategies.forecast import Forecast

Indices = NDArray[np.int64]

_CHECKED_NETWORKS, _CHECKED_CONFIGS = 200, 64
"""The sample on which the closed form chooses the proxy and checks it."""

_POOL = 256
"""Networks under a limit among which its search chooses the next one."""

_BELOW = 2048
"""Networks below the least cost so far among which the next one is chosen."""

_SLACK = 0.05
"""Share by which a cost that is forecast may be off."""

_OPTIMISM = 0.5
"""Standard deviations above the expected score at which a network is valued."""


@dataclass(frozen=True)
class SemiOptions:
    """``pairs``: K. ``proxy``: a configuration's name, by default the one whose closed form ranks
    networks most like all others'. ``first_stage``: share of the budget for Stage 1 before Stage 2
    begins. ``rounds``: more than 1 expand the candidate set near the Pareto front."""

    pairs: int = option(20, 1, 1000)
    proxy: str = ""
    first_stage: float = option(0.4, 0.0, 1.0)
    rounds: int = option(1, 1, 100)


class SemiDecoupled:
    """Algorithm 1 of Lu et al. under a budget.

    Stage 1 searches on the proxy alone, for the most accurate network under each of K limits in
    turn: the proxy's closed form says which networks keep a limit, a model of the accuracies paid
    for says which to pay for next. Limits lie where the problem's limit on latency falls among
    the networks, over all configurations. Stage 2 takes Stage 1's answers to the configurations
    that keep the limits on hardware, wherever the forecast beats the best pair so far. What it
    leaves of the budget goes back to Stage 1. ``notices`` holds the warning of the monotonicity
    check.
    """

    def __init__(self, setting: Setting) -> None:
        options = read_options(setting, SemiOptions)
        view = setting.view
        self._view, self._options, self._rng = view, options, setting.rng
        self._first = int(np.ceil(options.first_stage * setting.budget))
        allowed = np.flatnonzero(view.allowed_configs).astype(np.int64)
        self._configs = allowed if len(allowed) else np.arange(view.shape[1], dtype=np.int64)
        connected = np.flatnonzero(view.connected).astype(np.int64)
        self._networks = connected if len(connected) else np.arange(view.shape[0], dtype=np.int64)
        self._accuracies, self._forecast = AccuracyModel(view), Forecast(view)
        self._known: dict[Pair, Evaluation] = {}
        self._turn = 0
        floors = [c.limit for c in view.constraints if c.metric == "accuracy"]
        first = view.objectives[0].metric
        self._floor = max(floors) if floors and first != "accuracy" else None
        self._open = np.ones(len(self._networks), bool)
        self._best: Evaluation | None = None
        self._left: dict[int, NDArray[np.bool_]] = {}
        networks = _some(self._networks, _CHECKED_NETWORKS, setting.rng)
        configs = _some(self._configs, _CHECKED_CONFIGS, setting.rng)
        cycles = _infinite(view.t0_cycles(networks, configs))
        self._proxy = self._choose(configs, cycles)
        self._costs = self._stage_one_costs()
        place = {int(network): index for index, network in enumerate(self._networks)}
        checked = monotonicity([cycles], [self._costs[[place[int(n)] for n in networks]]])
        self.notices: tuple[str, ...] = () if checked.warning is None else (checked.warning,)
        self._limits = self._stage_one_limits(cycles * view.ms_per_cycle[configs])

    def _choose(self, configs: Indices, cycles: Floats) -> int:
        """The proxy: the one asked for, else the most alike of those sampled."""
        if not self._options.proxy:
            return int(configs[choose_proxy(cycles)])
        names = [config.name for config in self._view.configs]
        if self._options.proxy not in names:
            raise ConfigError(
                f"[search.options] proxy = {self._options.proxy!r}: no configuration of the "
                f"hardware space; allowed: {', '.join(names[:8])}, …"
            )
        return names.index(self._options.proxy)

    def _stage_one_costs(self) -> Floats:
        """What Stage 1 limits, float64 over ``self._networks``: the proxy's closed form."""
        return _infinite(self._view.t0_cycles(self._networks, [self._proxy])[:, 0])

    def _stage_one_limits(self, milliseconds: Floats) -> Floats:
        """K costs, at the shares of networks that keep the problem's limit on latency on some
        configuration; over all networks where it limits none."""
        limit = min(
            [c.limit for c in self._view.constraints if c.metric == "latency_ms"], default=np.inf
        )
        shares = (milliseconds <= limit).mean(axis=0)
        shares = shares[shares > 0] if (shares > 0).any() else np.ones(1)
        least = shares.min() if shares.min() < 1 else 1 / self._options.pairs
        known = np.sort(self._costs[np.isfinite(self._costs)])
        if not len(known):
            return np.full(self._options.pairs, np.inf)
        levels: Floats = np.linspace(float(least), float(shares.max()), self._options.pairs)
        return known[np.maximum(np.ceil(levels * len(known)).astype(np.int64) - 1, 0)]

    def ask(self, room: float) -> Sequence[Proposal]:
        count = min(int(room), BATCH)
        left = self._first - len(self._known)
        if left > 0 and self._open.any():
            return self._search_proxy(min(count, left))
        proposals = self._search_hardware(count, better=True)
        proposals += self._search_proxy(count - len(proposals))
        return proposals or self._search_hardware(count, better=False)

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        self._known |= {e.pair: e for e in evaluations}
        self._accuracies.learn(evaluations)
        self._forecast.learn(evaluations)
        ranked = [e for e in (*evaluations, self._best) if e is not None and e.feasible]
        self._best = min(ranked, key=self._key, default=None)

    # Stage 1 --------------------------------------------------------------------------------
    def _search_proxy(self, count: int) -> list[Proposal]:
        """The next networks to pay for on the proxy, each for the limit whose turn it is.

        Limits under which no network is expected to beat the best pair so far are passed over, as
        long as there are others.
        """
        if self._floor is not None:
            return self._search_below(count, self._floor)
        pool = self._pool()
        networks = self._networks[pool]
        scores, spread = self._accuracies.expected(networks)
        hope = scores + _OPTIMISM * spread
        needed = self._needed()
        chosen: list[int] = []
        passed = 0
        while len(chosen) < min(count, len(pool)):
            within = self._costs[pool] <= self._limits[self._turn % len(self._limits)]
            self._turn += 1
            under = np.where(within, hope, -np.inf)
            best = int(under.argmax())
            if under[best] < needed or np.isneginf(under[best]):
                passed += 1
                if passed <= len(self._limits):
                    continue
                best = int(hope.argmax())
            passed = 0
            chosen.append(best)
            hope[best] = -np.inf
        self._open[pool[chosen]] = False
        return [Proposal(Pair(int(networks[best]), self._proxy)) for best in chosen]

    def _pool(self) -> Indices:
        """Places of networks not yet paid for: some under each limit, and some of all."""
        ends = (*np.unique(self._limits), np.inf)
        drawn = [
            _some(np.flatnonzero(self._open & (self._costs <= end)), _POOL, self._rng)
            for end in ends
        ]
        return np.unique(np.concatenate(drawn)).astype(np.int64)

    def _search_below(self, count: int, floor: float) -> list[Proposal]:
        """The same question turned round, where accuracy is what is limited: the least cost at
        which it is reached. By expected improvement: the logarithm of the cost saved, times the
        probability that the accuracy reaches ``floor``."""
        paid = [e.pair.network for e in self._known.values() if e.figures["accuracy"] >= floor]
        reached = self._costs[np.isin(self._networks, paid)]
        ceiling = reached.min(initial=self._costs[np.isfinite(self._costs)].max(initial=1.0))
        ceiling *= 1.0 + _SLACK
        below = np.flatnonzero(self._open & (self._costs < ceiling))
        pool = _some(below if len(below) else np.flatnonzero(self._open), _BELOW, self._rng)
        networks = self._networks[pool]
        scores, spread = self._accuracies.expected(networks)
        chance = ndtr((scores - self._accuracies.score(floor)) / spread)
        saved = np.maximum(np.log(ceiling / self._costs[pool]), 1e-6)
        chosen = pool[np.argsort(-saved * chance, kind="stable")[:count]]
        self._open[chosen] = False
        return [Proposal(Pair(int(self._networks[place]), self._proxy)) for place in chosen]

    def _needed(self) -> float:
        """The score that a network must have to be part of a better pair."""
        if self._best is None or self._view.objectives[0].metric != "accuracy":
            return -np.inf
        return self._accuracies.score(self._best.figures["accuracy"])

    def _set(self) -> Indices:
        """P: Stage 1's K answers by the figures paid for."""
        paid = [e for pair, e in self._known.items() if pair.config == self._proxy]
        accuracy = np.array([e.figures["accuracy"] for e in paid])
        latency = np.array([e.figures.get("cycles", np.inf) for e in paid])
        energy = np.array([e.figures.get("energy_mj", np.inf) for e in paid])
        if not np.isfinite(latency).any():
            return np.array([e.pair.network for e in paid], np.int64)
        found = proxy_set(accuracy, latency, energy, self._options.pairs, self._options.rounds)
        if self._floor is not None:  # the front's networks of least cost that reach it
            reaching = np.flatnonzero(accuracy >= self._floor)
            cheapest = reaching[np.argsort(latency[reaching], kind="stable")]
            found = np.unique(np.concatenate([found, cheapest[: self._options.pairs]]))
        return np.array([paid[int(place)].pair.network for place in found], np.int64)

    # Stage 2 --------------------------------------------------------------------------------
    def _search_hardware(self, count: int, better: bool) -> list[Proposal]:
        """The best forecasts among the candidates' pairs not yet proposed; only those expected to
        be feasible and ``better`` in the first objective than the best pair so far, or any."""
        candidates = self._set()
        if not len(candidates):
            return []
        elsewhere = self._configs != self._proxy
        left = [self._left.setdefault(int(a), elsewhere.copy()) for a in candidates]
        rows, columns = np.nonzero(np.stack(left))
        networks, configs = candidates[rows], self._configs[columns]
        accuracy = {pair.network: e.figures["accuracy"] for pair, e in self._known.items()}
        known = np.array([accuracy[int(a)] for a in networks])
        excess = self._forecast.excess(networks, configs)
        for constraint in self._view.constraints:
            if constraint.metric == "accuracy":
                excess = excess + np.maximum(1.0 - known / constraint.limit, 0.0)
        keys: list[Floats] = []
        for objective in self._view.objectives:
            figure = known
            if objective.metric != "accuracy":
                figure = _infinite(self._forecast.figure(objective.metric, networks, configs))
            keys.append(-figure if objective.goal == "max" else figure)
        order = np.lexsort([*reversed(keys), excess])
        kept = np.isfinite(excess)
        if better:
            kept &= excess <= (_SLACK if self._best is None else 0.0)
            kept &= known >= (-np.inf if self._floor is None else self._floor)
        if better and self._best is not None:
            so_far = self._key(self._best)[0]
            if self._view.objectives[0].metric != "accuracy":
                so_far += _SLACK * abs(so_far)
            kept &= keys[0] < so_far
        order = order[kept[order]][:count]
        for network, column in zip(networks[order], columns[order], strict=True):
            self._left[int(network)][column] = False
        return [Proposal(Pair(int(networks[i]), int(configs[i]))) for i in order]

    def _key(self, evaluation: Evaluation) -> Key:
        return objective_key(evaluation, self._view.objectives)


class SemiDecoupledFlops(SemiDecoupled):
    """The control: Stage 1 limits MACs in place of a proxy's latency. Accuracies are still paid for
    on the configuration that would be the proxy."""

    def _stage_one_costs(self) -> Floats:
        return self._view.macs[self._networks]

    def _set(self) -> Indices:
        paid = [e for pair, e in self._known.items() if pair.config == self._proxy]
        places = np.array([e.pair.network for e in paid], np.int64)
        accuracy = np.array([e.figures["accuracy"] for e in paid])
        macs = self._view.macs[places]
        return places[proxy_set(accuracy, macs, macs, self._options.pairs, self._options.rounds)]


def _some(of: Indices, count: int, rng: np.random.Generator) -> Indices:
    """``count`` of them in order, or all."""
    return of if len(of) <= count else np.sort(rng.choice(of, count, replace=False))


def _infinite(figures: Floats) -> Floats:
    return np.where(np.isnan(figures), np.inf, figures)
