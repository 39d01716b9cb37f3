"""From 15 625 networks and 192 accelerators to one proven pair.

Searches NAS-Bench-201 (trained CIFAR-100 accuracies) x `neuhardco` for the most accurate pair
within a latency and a memory limit: simulates random (layer, configuration) pairs, trains the
cost model on them, prints its error on networks and configurations that it has not seen, scores
all 3 000 000 pairs, simulates the best 50, compiles the winner's ONNX for its configuration, runs
it bit-exactly, and writes a report. Interrupted, it goes on where it was when run again with the
same folder.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from claims import STDERR, Claim, Results, parser

from codesign.cli.search import ProgressLine
from codesign.costmodel import Errors, collect, read, train
from codesign.hw.space import load_space
from codesign.kernels.workload import Workload
from codesign.nn import NasBench201
from codesign.report import write_report
from codesign.search import Constraint, Problem, Study, search
from codesign.store import TraceStore

PROBLEM = Path(__file__).parent / "problems" / "nasbench201.toml"
TRACES = 1200
NETWORKS = 1000
"""Networks whose layers the unseen-network split divides."""


def say(text: str) -> None:
    STDERR.print(text, soft_wrap=True)


def sampled_layers(seed: int) -> dict[str, list[Workload]]:
    """Layers of random networks, by network."""
    import numpy as np

    space, rng = NasBench201(), np.random.default_rng(seed)
    genotypes = [space.sample(rng) for _ in range(NETWORKS)]
    return {str(g): [layer for layer, _ in space.layers(g)] for g in genotypes}


def learn(folder: Path, samples: int, seed: int, workers: int) -> tuple[Path, Errors]:
    """Collect traces and train; the model's path and its errors on held-out groups."""
    networks = sampled_layers(seed)
    layers = list(dict.fromkeys(layer for members in networks.values() for layer in members))
    configs = load_space("neuhardco").configs()
    say(
        f"1. simulating {samples} random pairs of {len(layers)} layers and {len(configs)} "
        "configurations"
    )
    with TraceStore.open(folder / "traces.db") as store:
        report = ProgressLine().step
        collect(
            layers, configs, samples, seed, store, workers, lambda n, all: report("units", n, all)
        )
        rows = read(store)
    say(f"2. training the cost model on {len(rows.cycles)} traces")
    model, errors = train(rows, seed, networks=networks)
    path = folder / "model.ubj"
    model.save(path)
    for name, error in errors.by_split.items():
        say(f"  {name.replace('_', ' ')}: {error.mape:.2f} % mean error, {error.held_out}")
    return path, errors


def find(folder: Path, model: Path, quick: bool, seed: int, workers: int) -> Study:
    """The search itself, with the winner compiled and run."""
    problem = replace(Problem.load(PROBLEM), cost_model=str(model), seed=seed)
    if quick:
        problem = replace(problem, budget=5)
    limits = ", ".join(_limit(constraint) for constraint in problem.constraints)
    say(f"3. scoring all pairs and simulating the best {problem.budget}: {limits}")
    return search(
        problem,
        store=folder / "run.db",
        workers=workers,
        progress=ProgressLine().step,
        exact_regret=not quick,
    )


def _limit(constraint: Constraint) -> str:
    return f"{constraint.metric} <= {constraint.limit:g}"


def claims(results: Results, study: Study, errors: Errors) -> None:
    """What the demo promises, and the figures worth knowing."""
    certificate: Any = study.certificate
    best: Any = study.best
    if best is None:
        results.claims.append(Claim("a pair keeps the limits", 0, "", "1", False))
        return
    cycles, proof = certificate["cycles"], certificate["proof"]
    results.claims += [
        Claim(
            "outputs equal the integer reference",
            float(proof["outputs_match"]),
            "",
            "1",
            proof["outputs_match"],
        ),
        Claim(
            "cycles of the compiled winner - cycles searched",
            cycles["package"] - cycles["t2"],
            "cycles",
            "0",
            cycles["package_equals_t2"],
        ),
    ]
    results.figures |= {
        "accuracy_percent": best["accuracy"],
        "latency_ms": best["latency_ms"],
        "sram_kib": best["sram_kib"],
        "cycles": best["cycles"],
        "pairs_scored": certificate["evaluations"]["t1"],
        "pairs_simulated": certificate["evaluations"]["t2"],
        "model_error_on_winner_percent": certificate["model_error"]["winner_percent"],
        "regret_at_most_percent": 100 * certificate["evaluated_share"]["regret_at_most"],
        "winner": best["network"],
        "configuration": best["config"],
    }
    if "regret" in certificate:
        results.figures["exact_regret_percent"] = 100 * certificate["regret"]["relative"]
    for name, error in errors.by_split.items():
        results.figures[f"model_error_{name}_percent"] = error.mape


def main(argv: list[str] | None = None) -> int:
    """Run the whole way; 0 if every claim holds."""
    options = parser(__doc__ or "")
    options.add_argument(
        "--folder",
        type=Path,
        default=Path("demo-output"),
        help="stores, cost model, winner's files and report.html (default demo-output)",
    )
    args = options.parse_args(argv)
    results = Results("NAS-Bench-201 x neuhardco")
    workers = os.cpu_count() or 1
    folder: Path = args.folder
    folder.mkdir(parents=True, exist_ok=True)
    model, errors = learn(folder, 150 if args.quick else TRACES, args.seed, workers)
    study = find(folder, model, args.quick, args.seed, workers)
    report = folder / "report.html"
    write_report(folder / "run.db", report, study.run)
    claims(results, study, errors)
    if study.best is not None:
        say(f"4. winner: {study.best['network']} on {study.best['config']}")
    say(f"5. winner.onnx, winner.tar, certificate.json: {study.folder}; report: {report}")
    results.show(args.json)
    return results.exit_code


if __name__ == "__main__":
    sys.exit(main())
