"""What a plot of a search shows beside the simulated pairs: predicted and exact fronts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from codesign.search.evaluator import Evaluator
from codesign.search.pairs import Floats

_CLOUD = 2000
_FIGURES = ("latency_ms", "accuracy", "energy_mj", "dsp")


@dataclass(frozen=True)
class Fronts:
    """Accuracy against latency, and the figures of every simulated pair.

    ``cloud`` holds [latency_ms, accuracy] of at most 2000 networks, each on the configuration
    that is fastest for it by prediction; ``predicted`` and ``exact`` are Pareto fronts of all
    pairs (network, config, latency_ms, accuracy) by prediction and by simulation.
    """

    cloud: list[list[float]]
    predicted: list[dict[str, Any]]
    exact: list[dict[str, Any]] | None
    evaluated: list[dict[str, Any]]


def fronts(evaluator: Evaluator, truth: Floats | None) -> Fronts:
    """Fronts among the configurations that keep the limits on hardware."""
    scores = evaluator.predicted * evaluator.pairs.ms_per_cycle
    allowed = _allowed(evaluator)
    scores = np.where(allowed, scores, np.nan)
    fastest = _fastest(scores)
    rng = np.random.default_rng(0)
    known = np.flatnonzero(fastest >= 0)
    shown = np.sort(rng.choice(known, min(_CLOUD, len(known)), replace=False))
    cloud = [
        [round(float(scores[n, fastest[n]]), 5), float(evaluator.pairs.accuracy[n])] for n in shown
    ]
    exact = None
    if truth is not None:
        exact = _front(evaluator, np.where(allowed, truth * evaluator.pairs.ms_per_cycle, np.nan))
    evaluated = [
        {
            "network": e.network,
            "config": e.config,
            **{name: e.figures[name] for name in _FIGURES},
            "feasible": e.feasible,
        }
        for e in evaluator.evaluations()
        if "latency_ms" in e.figures
    ]
    return Fronts(cloud, _front(evaluator, scores), exact, evaluated)


def _allowed(evaluator: Evaluator) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """bool [C]: configurations within the limits on memory and FPGA resources."""
    hardware = evaluator.pairs.hardware
    kept = np.ones(len(evaluator.pairs.configs), bool)
    for constraint in evaluator.problem.constraints:
        if constraint.metric in hardware:
            kept &= hardware[constraint.metric] <= constraint.limit
    return kept


def _fastest(latency: Floats) -> np.ndarray[Any, np.dtype[np.int64]]:
    """int64 [N]: each network's fastest configuration, -1 where none runs it."""
    filled = np.where(np.isnan(latency), np.inf, latency)
    best = filled.argmin(axis=1).astype(np.int64)
    return np.where(np.isinf(filled.min(axis=1)), -1, best)


def front_pairs(evaluator: Evaluator, latency: Floats) -> list[tuple[int, int]]:
    """(network, configuration) of the front of ``latency`` [N, C], ms, fastest first."""
    fastest = _fastest(latency)
    accuracy = evaluator.pairs.accuracy
    known = np.flatnonzero(fastest >= 0)
    order = known[np.lexsort([-accuracy[known], latency[known, fastest[known]]])]
    highest = np.maximum.accumulate(accuracy[order])
    better = np.flatnonzero(np.diff(highest, prepend=-np.inf) > 0)
    return [(int(order[i]), int(fastest[order[i]])) for i in better]


def _front(evaluator: Evaluator, latency: Floats) -> list[dict[str, Any]]:
    pairs = evaluator.pairs
    return [
        {
            "network": pairs.networks.names[network],
            "config": pairs.configs[config].name,
            "latency_ms": float(latency[network, config]),
            "accuracy": float(pairs.accuracy[network]),
        }
        for network, config in front_pairs(evaluator, latency)
    ]
