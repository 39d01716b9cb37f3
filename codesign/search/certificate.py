"""The certificate: how far a search's numbers can be trusted. No wall times, no machine names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np

from codesign.hw.area import RESOURCES
from codesign.hw.content import config_key
from codesign.search.evaluation import Evaluation, Pair
from codesign.search.evaluator import Evaluator
from codesign.search.pairs import Floats
from codesign.search.ranking import objective_key
from codesign.search.winner import Proof

_LIBRARIES = ("codesign", "apache-tvm", "numpy", "xgboost", "torch")


def describe(
    evaluator: Evaluator, evaluation: Evaluation, reasons: Mapping[Pair, str] | None = None
) -> dict[str, Any]:
    """A pair in words and figures; ``why`` where the strategy gave a reason for it."""
    config = evaluator.pairs.configs[evaluation.pair.config]
    return {
        "network": evaluation.network,
        "config": evaluation.config,
        "config_key": config_key(config),
        **evaluation.figures,
        "feasible": evaluation.feasible,
        "violations": [str(violation) for violation in evaluation.violations],
        **({"why": why} if (why := (reasons or {}).get(evaluation.pair)) else {}),
    }


def certify(
    evaluator: Evaluator,
    winner: Evaluation | None,
    proof: Proof | None,
    tested: Mapping[str, Any] | None,
    truth: Floats | None,
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """The certificate of a finished search.

    ``truth`` is the T2 cycles float64 [N, C] of all pairs, where they were simulated; the
    regret is then exact, else the share evaluated is given with what the lower bounds exclude.
    ``tested`` is the winner's accuracy on images that no selection saw, where there are any;
    ``facts`` are seeds and hashes from the loop.
    """
    pairs = evaluator.pairs
    certificate: dict[str, Any] = {
        "winner": None if winner is None else describe(evaluator, winner),
        "levels": _levels(evaluator),
        "cycles": None if winner is None else _cycles(evaluator, winner, proof),
        "model_error": _model_error(evaluator, winner),
        "evaluated_share": _share(evaluator, winner),
        "evaluations": asdict(evaluator.spent()),
        "seeds": dict(facts["seeds"]),
        "versions": {name: version(name) for name in _LIBRARIES}
        | {"simulator": evaluator.simulator.version},
        "hashes": dict(facts["hashes"]),
        "accuracy": asdict(pairs.accuracy_kind) | {"tested": tested},
        "proof": None if proof is None else asdict(proof),
    }
    if truth is not None:
        certificate["regret"] = _regret(evaluator, winner, truth)
    return certificate


def _levels(evaluator: Evaluator) -> dict[str, str]:
    kind = evaluator.pairs.accuracy_kind
    trained = ", ".join(part for part in (kind.kind, kind.dataset, kind.split) if part)
    return {
        "accuracy": trained,
        "cycles": "t2",
        "latency_ms": "t2",
        "energy_mj": "estimated from t2 counters",
        "sram_kib": "exact",
        **dict.fromkeys(RESOURCES, "estimated, t0"),
        "scores": evaluator.predictor.level,
        "lower_bound": "t0",
    }


def _cycles(evaluator: Evaluator, winner: Evaluation, proof: Proof | None) -> dict[str, Any]:
    network, config = winner.pair.network, winner.pair.config
    searched = winner.figures["cycles"]
    return {
        "t0_lower_bound": int(evaluator.bound_cycles[network, config]),
        evaluator.predictor.level: float(evaluator.predicted[network, config]),
        "t2": int(searched),
        "package": None if proof is None else proof.cycles,
        "package_overlap": None if proof is None else proof.overlap_cycles,
        "package_equals_t2": None if proof is None else proof.cycles == searched,
    }


def _model_error(evaluator: Evaluator, winner: Evaluation | None) -> dict[str, Any]:
    """Relative error of the scores against T2, in percent, over the simulated pairs."""
    scores = evaluator.predicted
    errors = {
        e.pair: 100.0 * (scores[e.pair.network, e.pair.config] / e.figures["cycles"] - 1.0)
        for e in evaluator.evaluations()
        if "cycles" in e.figures and not np.isnan(scores[e.pair.network, e.pair.config])
    }
    sizes = np.abs(np.array(list(errors.values()))) if errors else np.zeros(0)
    return {
        "level": evaluator.predictor.level,
        "winner_percent": None if winner is None else errors.get(winner.pair),
        "pairs": len(errors),
        "mean_percent": float(sizes.mean()) if len(sizes) else None,
        "max_percent": float(sizes.max()) if len(sizes) else None,
    }


def _share(evaluator: Evaluator, winner: Evaluation | None) -> dict[str, Any]:
    """Shares of all pairs by level, and what could still be better than the winner.

    A pair is excluded if its T0 lower bound breaks a constraint, or if it was simulated. Of a
    figure without a lower bound (energy) no ``regret_at_most`` follows while pairs are left.
    """
    pairs, spent = evaluator.pairs, evaluator.spent()
    share: dict[str, Any] = {
        "pairs": pairs.size,
        "scored": (spent.t1 or spent.t0) / pairs.size,
        "t2": spent.t2 / pairs.size,
    }
    first = evaluator.problem.objectives[0]
    if winner is None or first.metric not in winner.figures:
        return share
    possible = _within_limits(evaluator, evaluator.bound_cycles)
    for evaluation in evaluator.evaluations():
        possible[evaluation.pair.network, evaluation.pair.config] = False
    optimistic = evaluator.figure(first.metric, evaluator.bound_cycles)
    own = winner.figures[first.metric]
    sign = 1.0 if first.goal == "max" else -1.0
    better = possible & (sign * optimistic > sign * own)
    share["not_excluded"] = int(better.sum())
    limit = float((sign * optimistic[better]).max()) if better.any() else sign * own
    regret = _relative_loss(limit, sign * own)
    return share if regret is None else share | {"regret_at_most": regret}


def _relative_loss(best: float, own: float) -> float | None:
    """What ``own`` misses of ``best``, as a share of it; None of 0, the lower bound of energy."""
    if best == own:
        return 0.0
    return abs(best - own) / abs(best) if best else None


def _within_limits(evaluator: Evaluator, cycles: Floats) -> np.ndarray[Any, np.dtype[np.bool_]]:
    kept = ~np.isnan(cycles)
    for constraint in evaluator.problem.constraints:
        figure = evaluator.figure(constraint.metric, cycles)
        if constraint.metric == "accuracy":
            kept &= figure >= constraint.limit
        else:
            kept &= figure <= constraint.limit
    return kept


def _regret(evaluator: Evaluator, winner: Evaluation | None, truth: Floats) -> dict[str, Any]:
    """Exact regret against the feasible optimum of all pairs at T2."""
    kept = _within_limits(evaluator, truth)
    feasible = int(kept.sum())
    if not feasible:
        return {"level": "t2", "feasible_pairs": 0, "optimum": None, "relative": None}
    objectives = evaluator.problem.objectives
    keys: list[Floats] = []
    for objective in objectives:
        figure = evaluator.figure(objective.metric, truth)
        keys.append((-figure if objective.goal == "max" else figure).ravel())
    candidates = np.flatnonzero(kept.ravel())
    best = candidates[np.lexsort([key[candidates] for key in reversed(keys)])[0]]
    network, config = divmod(int(best), evaluator.pairs.shape[1])
    optimum = {o.metric: float(evaluator.figure(o.metric, truth).ravel()[best]) for o in objectives}
    first = objectives[0]
    relative = None
    if winner is not None:
        relative = _relative_loss(optimum[first.metric], winner.figures[first.metric])
    own: Sequence[float] = () if winner is None else objective_key(winner, objectives)
    return {
        "level": "t2",
        "feasible_pairs": feasible,
        "optimum": {
            "network": evaluator.pairs.networks.names[network],
            "config": evaluator.pairs.configs[config].name,
            **optimum,
        },
        "relative": relative,
        "winner_is_optimum": list(own) == [float(key[best]) for key in keys],
    }
