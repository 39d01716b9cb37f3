"""Orders on evaluated pairs: best first under constraints, and the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Sequence

from codesign.search.evaluation import Evaluation
from codesign.search.problem import Objective

Key = tuple[float, ...]


def objective_key(evaluation: Evaluation, objectives: Sequence[Objective]) -> Key:
    """Smaller is better; a figure that does not exist is worst."""
    key: list[float] = []
    for objective in objectives:
        value = evaluation.figures.get(objective.metric)
        if value is None:
            key.append(float("inf"))
        else:
            key.append(-value if objective.goal == "max" else value)
    return tuple(key)


INFEASIBLE = 1.0
"""What `loss` adds to a pair that breaks a limit, before its excess."""


def loss(evaluation: Evaluation, objectives: Sequence[Objective]) -> float:
    """One number to minimise, finite or inf: the first objective (of an accuracy, the error rate
    in [0, 1]; of another figure to be minimised, its logarithm), and for a pair that breaks
    limits ``INFEASIBLE`` + its excess on top of it. Inf where the pair cannot be built."""
    first = objectives[0]
    value = evaluation.figures.get(first.metric)
    if value is None:
        return math.inf
    if first.metric == "accuracy":
        base = value / 100.0 if first.goal == "min" else 1.0 - value / 100.0
    else:
        base = math.log(value) if first.goal == "min" else -math.log(value)
    return base if evaluation.feasible else base + INFEASIBLE + evaluation.excess


def order(evaluation: Evaluation, objectives: Sequence[Objective]) -> tuple[float, ...]:
    """Sorts as `rank` does: feasible pairs by objectives, then the others by violation."""
    return (
        float(not evaluation.feasible),
        evaluation.excess,
        *objective_key(evaluation, objectives),
    )


def rank(evaluations: Sequence[Evaluation], objectives: Sequence[Objective]) -> list[Evaluation]:
    """Feasible ones by objectives, then infeasible ones by violation; ties by pair index."""
    return sorted(
        evaluations,
        key=lambda e: (*order(e, objectives), e.pair.network, e.pair.config),
    )


def pareto(evaluations: Sequence[Evaluation], objectives: Sequence[Objective]) -> list[Evaluation]:
    """Feasible evaluations that no feasible one beats in every objective, in `rank` order.

    Of pairs with equal figures the first stays.
    """
    front: list[tuple[Key, Evaluation]] = []
    for evaluation in rank([e for e in evaluations if e.feasible], objectives):
        key = objective_key(evaluation, objectives)
        if not any(all(a <= b for a, b in zip(other, key, strict=True)) for other, _ in front):
            front.append((key, evaluation))
    return [evaluation for _, evaluation in front]
