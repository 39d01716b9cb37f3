"""Semi-decoupled co-design (Lu et al., tinyML 2022) on arrays: Eq. 1-4, Algorithm 1, its remedies.

N networks x C configurations (the paper's M x N). Figures that do not exist are ``inf``. Costs
enter Stage 1 through their ranks alone, so that tables with equal ranks give equal sets
(Proposition 3.1).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

_LEVELS = (0.0, 1 / 320, 1 / 160, 1 / 80, *(level / 40 for level in range(1, 41)))
"""Quantiles of latency and of energy among which Stage 1 places its K limits; closer where limits
are tightest, from the fastest network on."""


@dataclass(frozen=True)
class Limits:
    """``L``, ``E`` and ``H`` of Eq. 2-4, in the units of the table's figures."""

    latency: float = np.inf
    energy: float = np.inf
    resource: float = np.inf


@dataclass(frozen=True, eq=False)
class JointTable:
    """Figures of pairs: ``accuracy`` [N], ``latency`` and ``energy`` [N, C], ``resource`` [C]."""

    accuracy: Floats
    latency: Floats
    energy: Floats
    resource: Floats

    @property
    def shape(self) -> tuple[int, int]:
        return self.latency.shape[0], self.latency.shape[1]

    def allowed(self, limits: Limits) -> Indices:
        """Configurations that keep Eq. 4, Resource(h) <= H."""
        return np.flatnonzero(self.resource <= limits.resource).astype(np.int64)

    def feasible(self, limits: Limits) -> NDArray[np.bool_]:
        """bool [N, C]: Eq. 2, Latency(a; h) <= L; Eq. 3, Energy(a; h) <= E; Eq. 4."""
        within = (self.latency <= limits.latency) & (self.energy <= limits.energy)
        return within & np.isfinite(self.latency) & (self.resource <= limits.resource)


@dataclass(frozen=True)
class Answer:
    """The pair chosen, None where no pair looked at keeps the limits; ``accuracy`` is then -inf.

    ``evaluations`` counts the pairs whose figures were looked at.
    """

    network: int | None
    config: int | None
    accuracy: float
    evaluations: int


def best_pair(
    table: JointTable, limits: Limits, networks: Indices, configs: Indices, evaluations: int
) -> Answer:
    """Eq. 1, the most accurate pair within the limits, among some networks and configurations.

    Equal accuracies: lower latency, then lower energy, then lower indices.
    """
    grid = np.ix_(networks, configs)
    rows, columns = np.nonzero(table.feasible(limits)[grid])
    if not len(rows):
        return Answer(None, None, -np.inf, evaluations)
    network, config = networks[rows], configs[columns]
    latency, energy = table.latency[network, config], table.energy[network, config]
    first = np.lexsort([config, network, energy, latency, -table.accuracy[network]])[0]
    chosen = int(network[first])
    return Answer(chosen, int(config[first]), float(table.accuracy[chosen]), evaluations)


def coupled(table: JointTable, limits: Limits) -> Answer:
    """Fully coupled: every network on every configuration that keeps Eq. 4; N·C evaluations."""
    configs = table.allowed(limits)
    networks = np.arange(table.shape[0], dtype=np.int64)
    return best_pair(table, limits, networks, configs, len(networks) * len(configs))


def decoupled(table: JointTable, limits: Limits, reference: int) -> Answer:
    """Fully decoupled: the best network for one configuration, then the best configuration for
    it; N + C evaluations."""
    configs = table.allowed(limits)
    networks = np.arange(table.shape[0], dtype=np.int64)
    evaluations = len(networks) + len(configs)
    here = Limits(limits.latency, limits.energy)
    network = best_pair(table, here, networks, np.array([reference]), 0).network
    if network is None:
        return Answer(None, None, -np.inf, evaluations)
    return best_pair(table, limits, np.array([network]), configs, evaluations)


# Algorithm 1 ---------------------------------------------------------------------------------
def candidate_set(
    accuracy: Floats, latency: Floats, energy: Floats, pairs: Sequence[tuple[float, float]]
) -> Indices:
    """Stage 1: the answers to ``max Acc(a), Latency(a; h0) <= L_k, Energy(a; h0) <= E_k``.

    ``latency`` and ``energy`` [N] are those on the proxy h0. Each network once, in the order of
    the K pairs; a pair that no network keeps adds none.
    """
    order = np.lexsort([np.arange(len(accuracy)), energy, latency, -accuracy])
    found: dict[int, None] = {}
    for latency_limit, energy_limit in pairs:
        within = (latency[order] <= latency_limit) & (energy[order] <= energy_limit)
        within &= np.isfinite(latency[order])
        if within.any():
            found[int(order[int(within.argmax())])] = None
    return np.array(list(found), np.int64)


def semi_decoupled(table: JointTable, limits: Limits, candidates: Indices) -> Answer:
    """Stage 2: for every h that keeps Eq. 4 the best a*(h) of P, of these the most accurate.

    Counted as `evaluation_count`, Stage 1 on one proxy included.
    """
    configs = table.allowed(limits)
    count = evaluation_count(table.shape[0], len(configs), len(candidates))
    return best_pair(table, limits, candidates, configs, count)


def evaluation_count(networks: int, configs: int, candidates: int, proxies: int = 1) -> int:
    """Evaluations of Algorithm 1: every network on each proxy, then the candidates on every other
    configuration: N + K·(C - 1) with one proxy."""
    return networks * proxies + candidates * (configs - proxies)


# Choosing the K pairs, and the remedies ------------------------------------------------------
def pareto_front(accuracy: Floats, latency: Floats, energy: Floats) -> Indices:
    """Networks that no other one equals or beats in all three figures, most accurate first."""
    kept: list[int] = []
    # Of those kept: latencies, ascending, and the least energy up to each, descending.
    times: list[float] = []
    prices: list[float] = []
    for index in np.lexsort([np.arange(len(accuracy)), energy, latency, -accuracy]).tolist():
        time, price = float(latency[index]), float(energy[index])
        before = bisect_right(times, time)
        if not isfinite(time) or (before and prices[before - 1] <= price):
            continue
        kept.append(index)
        first = last = bisect_left(times, time)
        while last < len(times) and prices[last] >= price:
            last += 1
        times[first:last], prices[first:last] = [time], [price]
    return np.array(kept, np.int64)


def constraint_pairs(
    accuracy: Floats, latency: Floats, energy: Floats, count: int
) -> list[tuple[float, float]]:
    """K pairs (L_k, E_k) for Stage 1 that serve limits anywhere in the proxy's range.

    Each pair is the figures of a network of the proxy's Pareto front. They are taken greedily:
    the next one raises most the accuracy found, summed over limits at quantiles of the figures
    (latency alone, energy alone, both at the same quantile).
    """
    front = pareto_front(accuracy, latency, energy)
    if not len(front):
        return []
    at_latency, at_energy = _quantiles(latency), _quantiles(energy)
    free = np.full(len(at_latency), np.inf)
    latency_limits = np.concatenate([at_latency, at_latency, free])
    energy_limits = np.concatenate([at_energy, free, at_energy])
    within = latency[front] <= latency_limits[:, None]
    within &= energy[front] <= energy_limits[:, None]
    # Any network is better than none by more than the whole range of accuracies.
    floor = 2.0 * accuracy[front].min() - accuracy[front].max() - 1.0
    gains = np.where(within, accuracy[front] - floor, 0.0)
    reached = np.zeros(len(latency_limits))
    chosen: list[int] = []
    for _ in range(min(count, len(front))):
        total = np.maximum(gains, reached[:, None]).sum(axis=0)
        total[chosen] = -np.inf
        best = int(total.argmax())
        chosen.append(best)
        reached = np.maximum(reached, gains[:, best])
    return [(float(latency[n]), float(energy[n])) for n in front[chosen]]


def _quantiles(values: Floats) -> Floats:
    """Order statistics of the finite values at `_LEVELS`."""
    known = np.sort(values[np.isfinite(values)])
    places = np.ceil(np.array(_LEVELS) * len(known)).astype(np.int64) - 1
    return known[np.maximum(places, 0)]


def proxy_set(
    accuracy: Floats, latency: Floats, energy: Floats, count: int, rounds: int = 1
) -> Indices:
    """P of one proxy from ``count`` pairs of its own figures.

    More ``rounds`` expand P near the Pareto front, for proxies of low rank correlation: each
    further round is Stage 1 again over the networks not yet taken.
    """
    left = np.arange(len(accuracy), dtype=np.int64)
    taken: list[Indices] = []
    for _ in range(rounds):
        figures = accuracy[left], latency[left], energy[left]
        found = left[candidate_set(*figures, constraint_pairs(*figures, count))]
        taken.append(found)
        left = np.setdiff1d(left, found)
    return np.concatenate(taken)


def several_proxies(
    table: JointTable, proxies: Sequence[int], count: int, rounds: int = 1
) -> Indices:
    """P as the union over several proxies, each with ``count`` pairs of its own."""
    sets = [
        proxy_set(table.accuracy, table.latency[:, h], table.energy[:, h], count, rounds)
        for h in proxies
    ]
    return np.array(list(dict.fromkeys(np.concatenate(sets).tolist())), np.int64)
