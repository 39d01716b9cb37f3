"""ResNet-18 convolutions: simulated cycles against the lower bound and stock TVM VTA.

Truth level T2 (cycle-level simulator). ``bound`` is max(G + 5 E, read beats, store cycles, fetch)
of DESIGN's section on lower bounds; ``stock`` are cycles of the last TVM with a VTA back end, with
its tuned schedules, on upstream's RTL (benchmarks/data/README.md).
"""

from __future__ import annotations

import csv
import sys
from math import exp, log
from pathlib import Path

from claims import STDERR, Claim, Results, parser
from rich.progress import track

import codesign
from codesign.errors import Infeasible
from codesign.kernels import ConvWorkload, best_schedule, lower_bound

STOCK = Path(__file__).parent / "data" / "stock_vta_resnet18.csv"


def layers() -> dict[str, tuple[ConvWorkload, int]]:
    """Name → (workload, stock cycles) of the ten convolutions."""
    found: dict[str, tuple[ConvWorkload, int]] = {}
    with STOCK.open() as file:
        for row in csv.DictReader(file):
            kernel, pad, stride = (int(row[k]) for k in ("kernel", "pad", "stride"))
            workload = ConvWorkload(
                int(row["in_channels"]),
                int(row["out_channels"]),
                int(row["height"]),
                int(row["width"]),
                (kernel, kernel),
                (stride, stride),
                (pad, pad, pad, pad),
            )
            found[row["layer"]] = workload, int(row["cycles_pynq_memory"])
    return found


def main() -> int:
    options = parser(__doc__ or "").parse_args()
    results = Results("Schedules of ResNet-18's convolutions on pynq (T2)")
    cfg = codesign.load_config("pynq")
    ratios: list[float] = []
    ours = stock = 0
    for name, (workload, theirs) in track(
        layers().items(), "scheduling", console=STDERR, disable=not STDERR.is_terminal
    ):
        best = best_schedule(workload, cfg)
        assert not isinstance(best, Infeasible), best
        bound = lower_bound(workload, cfg).cycles
        ours, stock = ours + best.cycles, stock + theirs
        results.figures[f"{name} cycles"] = best.cycles
        results.figures[f"{name} cycles ÷ bound"] = best.cycles / bound
        results.figures[f"{name} cycles ÷ stock"] = best.cycles / theirs
        if workload.kernel == (3, 3):
            ratios.append(best.cycles / bound)
    mean = exp(sum(map(log, ratios)) / len(ratios))
    name = "3x3 convolutions, cycles ÷ lower bound, geometric mean"
    results.claims.append(Claim(name, mean, "ratio", "≤ 1.5", mean <= 1.5, ratios))
    results.claims.append(
        Claim(
            "ten convolutions, cycles ÷ stock TVM VTA", ours / stock, "ratio", "< 1", ours < stock
        )
    )
    results.show(options.json)
    return results.exit_code


if __name__ == "__main__":
    sys.exit(main())
