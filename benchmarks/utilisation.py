"""Utilisation of winners, its ceiling, and the same networks on the reference configuration.

The winner of a problem is its exact optimum, read from the truth tables (T2) of
benchmarks/truth.py: all pairs of NAS-Bench-201 or NAS-Bench-Macro with `neuhardco`. Utilisation is
useful multiply-accumulates ÷ (cycles x PEs). Its ceiling is the same with the lower bounds of the
network's layers in place of their cycles: channels are padded to the blocks of the GEMM core, each
output is reset, biased, shifted and clipped, compulsory bytes pass the bus, and whichever of the
modules needs longest decides, layer by layer; no schedule can be better. "Array alone" leaves only
the padding to blocks. The reference configuration is the one that the decoupled strategies design
networks for.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from claims import Claim, Results, parser
from rich.console import Console
from rich.table import Table
from search_quality import PROBLEMS
from truth import joint_truth

from codesign.costmodel import on_config
from codesign.kernels import lower_bound
from codesign.search.problem import Problem
from codesign.search.strategies.decoupled import reference_config
from codesign.search.truth import JointTruth
from codesign.search.view import View

OF_CEILING = 0.9
_WIDTH = 150


@dataclass(frozen=True)
class Use:
    """Shares of what the PEs could do, of one network on one configuration."""

    network: str
    config: str
    utilisation: float
    ceiling: float
    array_alone: float

    @property
    def of_ceiling(self) -> float:
        return self.utilisation / self.ceiling


def use(truth: JointTruth, network: int, config: int) -> Use:
    pairs = truth.pairs
    cfg = pairs.configs[config]
    units = [(on_config(unit, cfg), count) for unit, count in pairs.network_units(network)]
    macs = sum(count * unit.macs for unit, count in units)
    bounds = [(lower_bound(unit, cfg), count) for unit, count in units]
    padded = sum(count * bound.gemm_uops for (bound, count), (unit, _) in
                 zip(bounds, units, strict=True) if unit.macs)  # fmt: skip
    return Use(
        pairs.networks.names[network],
        cfg.name,
        macs / (float(truth.cycles[network, config]) * cfg.pes),
        macs / (sum(count * bound.cycles for bound, count in bounds) * cfg.pes),
        macs / (padded * cfg.pes),
    )


def winner(truth: JointTruth, problem: Problem) -> tuple[int, int]:
    """The exact optimum; the faster pair of equal ones."""
    kept = np.flatnonzero(truth.feasible(problem.constraints).ravel())
    first = problem.objectives[0]
    sign = -1.0 if first.goal == "max" else 1.0
    keys = [truth.figure(metric).ravel()[kept] for metric in ("latency_ms", first.metric)]
    best = kept[np.lexsort([keys[0], sign * keys[1]])[0]]
    network, config = divmod(int(best), truth.pairs.shape[1])
    return network, config


def main(argv: Sequence[str] | None = None) -> int:
    options = parser(__doc__ or "").parse_args(argv)
    results = Results("Utilisation of the winners (T2)")
    names = [name for name in PROBLEMS if not options.quick or name.startswith("macro")]
    rows = Table()
    for heading in ("problem", "configuration", "utilisation", "ceiling", "of the ceiling",
                    "array alone", "reference", "there", "of its ceiling"):  # fmt: skip
        rows.add_column(heading, justify="left" if heading[0] in "pcr" else "right")
    for name in names:
        problem = PROBLEMS[name]
        truth = joint_truth(str(problem.network.space))
        network, config = winner(truth, problem)
        reference = reference_config(View(problem, truth.pairs))
        own, there = use(truth, network, config), use(truth, network, reference)
        share, target = 100 * own.of_ceiling, f">= {100 * OF_CEILING:g}"
        claim = f"{name}: utilisation of the winner, of its ceiling"
        holds = own.of_ceiling >= OF_CEILING
        results.claims.append(Claim(claim, share, "%", target, holds))
        results.figures[name] = {"winner": asdict(own), "reference": asdict(there)}
        rows.add_row(
            *(name, own.config, _percent(own.utilisation), _percent(own.ceiling)),
            *(_percent(own.of_ceiling), _percent(own.array_alone)),
            *(there.config, _percent(there.utilisation), _percent(there.of_ceiling)),
        )
    if not options.json:
        console = Console(highlight=False)
        console.width = max(console.width, _WIDTH)
        console.print(rows)
    results.show(options.json)
    return results.exit_code


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


if __name__ == "__main__":
    sys.exit(main())
