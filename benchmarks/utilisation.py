"""Utilisation of winners, its ceiling, and the same networks on the reference configuration.

The winner of a problem is its exact optimum, read from the truth tables (T2) of
benchmarks/truth.py: all pairs of NAS-Bench-201 or NAS-Bench-Macro with `neuhardco`. It is exported,
compiled (units overlap), its schedules are tuned in the stream, and it runs, bit by bit as the
integer reference. Utilisation is useful multiply-accumulates ÷ (cycles x PEs). Its ceiling is the
same with the lower bounds of the compiled layers in place of their cycles: channels are padded to
the blocks of the GEMM core, each output is reset, biased, shifted and clipped, compulsory bytes
pass the bus, and whichever of the modules needs longest decides, layer by layer. "Drained" is what
the search counts: the network's layers one by one, none of them fused, the machine drained between
them. "Array alone" leaves only the padding to blocks. The reference configuration is the one that
the decoupled strategies design networks for.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from claims import Claim, Results, parser
from rich.console import Console
from rich.table import Table
from search_quality import PROBLEMS
from truth import joint_truth

import codesign
from codesign.compiler import RunResult
from codesign.compiler.stream_tuning import tune_in_stream
from codesign.costmodel import on_config
from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.kernels import ScheduleResult, Workload, known_schedules, lower_bound, measure
from codesign.search.networks import Networks
from codesign.search.problem import Problem
from codesign.search.strategies.decoupled import reference_config
from codesign.search.truth import JointTruth
from codesign.search.view import View

OF_CEILING = 0.9
TRIALS = 8
"""Schedules of each dataflow that are tried for a distinct layer of a stream."""
_WIDTH = 150


@dataclass(frozen=True)
class Use:
    """Shares of what the PEs could do, of one network on one configuration."""

    network: str
    config: str
    utilisation: float
    ceiling: float
    drained_utilisation: float
    drained_ceiling: float
    array_alone: float
    outputs_match: bool

    @property
    def of_ceiling(self) -> float:
        return self.utilisation / self.ceiling

    @property
    def drained_of_ceiling(self) -> float:
        return self.drained_utilisation / self.drained_ceiling


def use(truth: JointTruth, network: int, config: int) -> Use:
    pairs = truth.pairs
    cfg = pairs.configs[config]
    units = [(on_config(unit, cfg), count) for unit, count in pairs.network_units(network)]
    macs = sum(count * unit.macs for unit, count in units)
    bounds = [(lower_bound(unit, cfg), count) for unit, count in units]
    padded = sum(count * bound.gemm_uops for (bound, count), (unit, _) in
                 zip(bounds, units, strict=True) if unit.macs)  # fmt: skip
    result = compiled(pairs.networks, network, cfg)
    return Use(
        pairs.networks.names[network],
        cfg.name,
        result.utilization,
        result.ceiling,
        macs / (float(truth.cycles[network, config]) * cfg.pes),
        macs / (sum(count * bound.cycles for bound, count in bounds) * cfg.pes),
        macs / (padded * cfg.pes),
        result.outputs_match,
    )


def compiled(networks: Networks, network: int, cfg: VtaConfig) -> RunResult:
    """A run of the network as one stream, with the schedules that are best in it."""
    calibration = networks.calibration(network, 0)
    with tempfile.TemporaryDirectory() as folder:
        onnx = Path(folder) / "network.onnx"
        networks.export(network, onnx, 0)
        package = codesign.compile(onnx, cfg, calibration=calibration)
        found = {t.workload: t.schedule for t in tune_in_stream(package, TRIALS)}

        def lookup(
            workload: Workload, cfg: VtaConfig, _: object
        ) -> ScheduleResult | Infeasible | None:
            return measure(workload, cfg, found[workload]) if workload in found else None

        with known_schedules(lookup):
            tuned = codesign.compile(onnx, cfg, calibration=calibration)
    return tuned.run(calibration)


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
                    "array alone", "drained, of its", "reference", "there", "of its"):  # fmt: skip
        text = heading[0] in "pcr"
        rows.add_column(heading, justify="left" if text else "right", no_wrap=text)
    exact = True
    for name in names:
        problem = PROBLEMS[name]
        truth = joint_truth(str(problem.network.space))
        network, config = winner(truth, problem)
        reference = reference_config(View(problem, truth.pairs))
        own, there = use(truth, network, config), use(truth, network, reference)
        exact = exact and own.outputs_match and there.outputs_match
        share, target = 100 * own.of_ceiling, f">= {100 * OF_CEILING:g}"
        claim = f"{name}: utilisation of the winner, of its ceiling"
        holds = own.of_ceiling >= OF_CEILING
        results.claims.append(Claim(claim, share, "%", target, holds))
        results.figures[name] = {"winner": asdict(own), "reference": asdict(there)}
        rows.add_row(
            *(name, own.config, _percent(own.utilisation), _percent(own.ceiling)),
            *(_percent(own.of_ceiling), _percent(own.array_alone)),
            _percent(own.drained_of_ceiling),
            *(there.config, _percent(there.utilisation), _percent(there.of_ceiling)),
        )
    results.claims.append(Claim("all run bit-exactly", float(exact), "", "1", exact))
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
