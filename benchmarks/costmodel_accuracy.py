"""Errors of the cost model on layers, networks and configurations it has never seen.

Truth is the simulator (T2): best schedules of NAS-Bench-201 layers on `neuhardco` configurations.
Group splits, several seeds, T0 (closed form) beside T1 (XGBoost), a learning curve, networks
summed from their layers on held-out configurations, and ResNet-18 (224x224), a network family of
which training has no layer. NAS-Bench-201's own networks share their 24 layers: held-out ones are
tested on (layer, configuration) pairs that training lacks.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from claims import STDERR, Claim, Results, parser
from rich.progress import Progress

from codesign.cli.layers import network_layers
from codesign.costmodel import (
    CostModel,
    TraceRows,
    collect,
    evaluate,
    on_config,
    read,
    train,
)
from codesign.costmodel.closed_form import bound
from codesign.costmodel.columns import config_columns, take, workload_columns
from codesign.costmodel.metrics import split_error
from codesign.costmodel.splits import hold_out
from codesign.hw.space import load_space
from codesign.kernels import (
    ConvWorkload,
    ElementwiseWorkload,
    PoolWorkload,
    Workload,
    best_schedule,
)
from codesign.nn import load_network_space
from codesign.store import TraceStore

NOUNS = {
    "unseen_layers": "unseen layer shapes",
    "unseen_networks": "unseen networks of the space",
    "unseen_configs": "unseen configurations",
}
TARGETS = {"unseen_layers": 5.0, "unseen_networks": 3.0, "unseen_configs": 5.0}
RANKS = {"unseen_layers": 0.995, "unseen_networks": 0.998, "unseen_configs": 0.995}


def main() -> int:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--store", type=Path, help="trace store to use and extend")
    arguments.add_argument(
        "--workers", type=int, default=2, help="simulating processes (default 2)"
    )
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.store or Path(folder) / "traces.db"
        results = measure(path, options.seed, options.workers, options.quick)
    results.show(options.json)
    return results.exit_code


def measure(path: Path, seed: int, workers: int, quick: bool) -> Results:
    """Collect, then evaluate; ``quick``: 300 traces and two seeds."""
    results = Results("Cost model on unseen groups")
    configs = load_space("neuhardco").configs()
    networks = network_layers(["nasbench201"], seed, configs[-1])
    layers = list(dict.fromkeys(layer for members in networks.values() for layer in members))
    samples, seeds = (300, 2) if quick else (1500, 5)
    with TraceStore.open(path) as store, Progress(console=STDERR, transient=True) as bar:
        task = bar.add_task("simulating", total=samples)
        done = collect(
            *(layers, configs, samples, seed, store, workers),
            progress=lambda finished, _: bar.update(task, completed=finished),
        )
        rows = read(store)
    seconds = bar.tasks[0].elapsed or 0.0
    results.figures |= {"traces": len(rows.cycles), "infeasible_traces": rows.infeasible}
    if done.simulated:
        results.figures["seconds_per_trace"] = seconds / done.simulated
    _group_errors(results, rows, networks, range(seed, seed + seeds))
    _closed_form(results, rows)
    if not quick:
        _learning_curve(results, rows, seed)
        _whole_networks(results, rows, seed)
        _other_family(results, rows, seed)
    return results


def _group_errors(results: Results, rows: TraceRows, networks: Any, seeds: range) -> None:
    found = [evaluate(rows, seed, networks=networks) for seed in seeds]
    results.figures["errors_by_seed"] = [errors.as_dict() for errors in found]
    for name, target in TARGETS.items():
        mape = [errors.by_split[name].mape for errors in found]
        rank = [errors.by_split[name].spearman for errors in found]
        noun = NOUNS[name]
        value, order = float(np.mean(mape)), float(np.mean(rank))
        text = f"<= {target:g}"
        results.claims.append(Claim(f"{noun}: mean error", value, "%", text, value <= target, mape))
        text = f">= {RANKS[name]}"
        holds = order >= RANKS[name]
        results.claims.append(Claim(f"{noun}: Spearman", order, "", text, holds, rank))


def _closed_form(results: Results, rows: TraceRows) -> None:
    w = take(workload_columns(rows.workloads), rows.layer_ids)
    c = take(config_columns(rows.configs), rows.config_ids)
    t0 = bound(w, c)
    for name, cycles in (("closed_form", t0.cycles), ("roofline", t0.work.roofline)):
        error = split_error(cycles, rows.cycles, held_out="", train_rows=0)
        results.figures[f"{name}_mean_error_percent"] = error.mape
        results.figures[f"{name}_spearman"] = error.spearman


def _learning_curve(results: Results, rows: TraceRows, seed: int) -> None:
    order = np.random.default_rng([seed, 9]).permutation(len(rows.cycles))
    curve: dict[str, float] = {}
    for size in (100, 200, 400, 800):
        errors = evaluate(rows.select(np.sort(order[:size])), seed)
        curve[str(size)] = errors.by_split["unseen_configs"].mape
    results.figures["unseen_configs_mean_error_percent_by_traces"] = curve


def _whole_networks(results: Results, rows: TraceRows, seed: int) -> None:
    """Cycles of 500 networks on configurations that training lacks: predicted against simulated."""
    rng = np.random.default_rng([seed, 10])
    split = hold_out(rows.config_ids, 0.2, rng, "configurations")
    assert split is not None
    model, _ = train(rows.select(split.train), seed)
    held = [rows.configs[i] for i in sorted({int(rows.config_ids[j]) for j in split.test})][:10]
    space = load_network_space("nasbench201")
    drawn = [space.layers(space.sample(rng)) for _ in range(500)]
    units = list(dict.fromkeys(layer for layers in drawn for layer, _ in layers))
    place = {unit: i for i, unit in enumerate(units)}
    counts = np.zeros((len(drawn), len(units)))
    for row, layers in enumerate(drawn):
        for layer, count in layers:
            counts[row, place[layer]] += count
    counts = counts[counts.sum(axis=1) > 0]
    truth = np.array(
        [
            [best_schedule(on_config(unit, config), config).cycles for config in held]
            for unit in units
        ]
    )
    _network_figures(results, model, counts, units, held, truth)


def resnet18() -> list[Workload]:
    """Unique layers of ResNet-18 on 224x224 images."""
    found: list[Workload] = [
        ConvWorkload(3, 64, 224, 224, (7, 7), (2, 2), (3, 3, 3, 3)),
        PoolWorkload("max", 64, 112, 112, (3, 3), (2, 2), (1, 1, 1, 1)),
        PoolWorkload("avg", 512, 7, 7, (7, 7)),
        ConvWorkload(512, 1000, 1, 1),
    ]
    for channels, size in ((64, 56), (128, 28), (256, 14), (512, 7)):
        window = {"kernel": (3, 3), "padding": (1, 1, 1, 1)}
        found += [
            ConvWorkload(channels, channels, size, size, **window),
            ElementwiseWorkload(2, channels, size, size),
        ]
        if size > 7:
            found += [
                ConvWorkload(channels, 2 * channels, size, size, stride=(2, 2), **window),
                ConvWorkload(channels, 2 * channels, size, size, stride=(2, 2)),
            ]
    return found


def _other_family(results: Results, rows: TraceRows, seed: int) -> None:
    model, _ = train(rows, seed)
    with tempfile.TemporaryDirectory() as folder, TraceStore.open(Path(folder) / "t.db") as store:
        collect(resnet18(), load_space("neuhardco").configs(), 150, seed, store)
        test = read(store)
    pairs = (test.layer_ids, test.config_ids)
    predicted = model.predict_units(test.workloads, test.configs)[pairs]
    error = split_error(predicted, test.cycles, held_out="ResNet-18", train_rows=len(rows.cycles))
    name, holds = "unseen family (ResNet-18): ", error.spearman >= 0.998
    results.claims += [
        Claim(f"{name}mean error", error.mape, "%", "<= 5", error.mape <= 5),
        Claim(f"{name}Spearman", error.spearman, "", ">= 0.998", holds),
    ]
    results.figures["unseen_family_median_percent"] = error.median
    results.figures["unseen_family_p95_percent"] = error.p95


def _network_figures(
    results: Results, model: CostModel, counts: Any, units: Any, held: Any, truth: Any
) -> None:
    predicted, true = counts @ model.predict_units(units, held), counts @ truth
    error = split_error(predicted.ravel(), true.ravel(), held_out="", train_rows=0)
    text, holds = "<= 4", error.mape <= 4
    results.claims.append(
        Claim("whole networks, unseen configurations: mean error", error.mape, "%", text, holds)
    )
    results.figures["networks_on_unseen_configs_spearman"] = error.spearman
    results.figures["networks_on_unseen_configs_p95_percent"] = error.p95


if __name__ == "__main__":
    sys.exit(main())
