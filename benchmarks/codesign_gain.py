"""What choosing network and accelerator together gains, exactly, and how much of it a search finds.

On NAS-Bench-201 and NAS-Bench-Macro x `neuhardco` (truth tables, T2): the best joint pair against
the best pair of the two decoupled orders, both at an accuracy floor and within one class of equal
SRAM and equal multipliers, in latency and in (estimated) energy. A decoupled choice knows one
reference pair: the network of median MACs and `16x16_512k_os`. Where the possible gain is at least
1 %, ``--strategy`` searches the class with ``--budget`` evaluations (replay), ``--seeds`` times, in
``--cases`` cases spread over all gains, for each space and figure.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from claims import STDERR, Claim, Results, parser
from truth import joint_truth

from codesign.search.gain import Gain, gains
from codesign.search.problem import Constraint, HardwareChoice, NetworkChoice, Objective, Problem
from codesign.search.replay import replay
from codesign.search.strategies import INFORMED, strategy_names
from codesign.search.truth import JointTruth, UnitFigures
from codesign.search.view import View

SPACES = ("nasbench201", "nbmacro")
REFERENCE = "16x16_512k_os"
METRICS = ("latency_ms", "energy_mj")
LEAST_GAIN, CAPTURED = 0.01, 0.95
_FLOORS = (0.5, 0.8, 0.95, 0.99)
"""Quantiles of all networks' accuracies."""


@dataclass(frozen=True)
class Search:
    """How the gain is looked for."""

    strategy: str
    budget: float
    seeds: int


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser(__doc__ or "")
    names = [name for name in strategy_names() if name not in INFORMED]
    arguments.add_argument("--strategy", choices=names, default="surrogate")
    arguments.add_argument("--budget", type=float, default=1000.0, help="evaluations a search")
    arguments.add_argument("--seeds", type=int, default=3, help="searches a case")
    arguments.add_argument("--cases", type=int, default=4, help="of each figure")
    options = arguments.parse_args(argv)
    results = Results("Gain of choosing network and accelerator together (T2)")
    search = Search(options.strategy, options.budget, 1 if options.quick else options.seeds)
    count: int = 2 if options.quick else options.cases
    for space in SPACES:
        truth = joint_truth(space)
        for metric in METRICS:
            found = exact_gains(truth, metric)
            worth = sorted(
                (gain for gain in found if gain.possible >= LEAST_GAIN), key=lambda g: g.possible
            )
            name = f"{space}, {metric}"
            results.figures |= figures(name, found, worth)
            spread = np.linspace(0, len(worth) - 1, min(count, len(worth)))
            chosen = [worth[round(i)] for i in spread]
            if chosen:
                captured = [captured_share(space, metric, gain, search) for gain in chosen]
                results.claims.append(claim(name, search, captured))
    results.show(options.json)
    return results.exit_code


def exact_gains(truth: JointTruth, metric: str) -> list[Gain]:
    """Every floor in every class of (SRAM KiB, multipliers), from the table."""
    pairs = truth.pairs
    macs = pairs.counts @ np.array([float(unit.macs) for unit in pairs.units])
    known = np.flatnonzero(pairs.connected)
    median = int(known[np.argsort(macs[known], kind="stable")[len(known) // 2]])
    reference = [config.name for config in pairs.configs].index(REFERENCE)
    figure = truth.figure(metric)
    figure = np.where(np.isnan(figure), np.inf, figure)
    floors = np.quantile(pairs.accuracy[known], _FLOORS)
    return gains(pairs.accuracy, figure, classes(truth), (median, reference), floors.tolist())


def classes(truth: JointTruth) -> list[tuple[int, int]]:
    """(SRAM KiB, multipliers) of each configuration."""
    return [(config.sram_bytes // 1024, config.pes) for config in truth.pairs.configs]


def captured_share(space: str, metric: str, gain: Gain, search: Search) -> float:
    """Median over seeds of the share of the possible gain; a search without a feasible pair
    captures none of it."""
    truth = joint_truth(space)
    members = [c for c, resources in enumerate(classes(truth)) if resources == gain.resources]
    part = of_configs(truth, members)
    problem = Problem(
        NetworkChoice(space),
        HardwareChoice("neuhardco"),
        objectives=(Objective(metric, "min"), Objective("accuracy", "max")),
        constraints=(Constraint("accuracy", gain.accuracy),),
    )
    view = View(problem, part.pairs)
    shares: list[float] = []
    for seed in range(search.seeds):
        winner = replay(problem, part, search.strategy, seed, search.budget, None, view).winner()
        shares.append(0.0 if winner is None else gain.captured(winner.figures[metric]))
    STDERR.print(
        f"{space}, {metric}: accuracy >= {gain.accuracy:.2f}, {gain.resources}: possible "
        f"{100 * gain.possible:.1f} %, captured {100 * np.median(shares):.1f} % of it"
    )
    return float(np.median(shares))


def of_configs(truth: JointTruth, members: Sequence[int]) -> JointTruth:
    """The truth of some configurations alone."""
    pairs, columns = truth.pairs, np.array(members)
    decisions = pairs.config_decisions
    return JointTruth(
        replace(
            pairs,
            configs=tuple(pairs.configs[member] for member in members),
            config_decisions=replace(decisions, choices=decisions.choices[columns]),
        ),
        UnitFigures(truth.units.cycles[:, columns], truth.units.energy_mj[:, columns]),
    )


def figures(name: str, found: Sequence[Gain], worth: Sequence[Gain]) -> dict[str, Any]:
    possible = 100 * np.array([gain.possible for gain in found])
    return {
        f"{name}: cases": len(found),
        f"{name}: cases where at least 1 % is possible": len(worth),
        f"{name}: possible gain, mean, %": float(possible.mean()),
        f"{name}: possible gain, median, %": float(np.median(possible)),
        f"{name}: possible gain, greatest, %": float(possible.max()),
    }


def claim(name: str, search: Search, captured: Sequence[float]) -> Claim:
    least = 100 * min(captured)
    return Claim(
        f"{name}: share of the possible gain that {search.strategy} captures with "
        f"{search.budget:g} evaluations, least of {len(captured)} cases",
        least,
        "%",
        f">= {100 * CAPTURED:g}",
        least >= 100 * CAPTURED,
        captured,
    )


if __name__ == "__main__":
    sys.exit(main())
