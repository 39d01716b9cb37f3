"""Errors of the cost model on networks, layers, configurations and a block size never seen.

Truth is the simulator (T2): best schedules of layers of NAS-Bench-201, NAS-Bench-Macro, MnasNet,
MobileNetV2, ResNet-18/34 and ResNet-50 on configurations of the spaces `neuhardco`,
`edge` and `portable` (costmodel_traces.py says which). Splits hold out whole groups:

* unseen networks: one family after the other with every layer that it has, on any configuration,
  each once: the split has no chance in it, a seed moves only the trees;
* unseen layer shapes, unseen configurations: a fifth of them, five seeds;
* unseen block size: every configuration with BLOCK_IN 32, five seeds.

A network's cycles are the sum of its layers' on configurations that were traced with all of them;
families count alike, and a family without such a sum fails the claim. Rivals are fitted on the
same splits; T1 and they have the same tuning budget, spent inside each split's training rows. Pairs
with a schedule that the closed form has no tiling for are scored too, and counted.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from claims import STDERR, Claim, Results, parser
from costmodel_plots import draw
from costmodel_traces import FULL, QUICK, SPACES, Judged, Layers, judged
from rich.progress import Progress

from codesign.costmodel import UnitCounts, read
from codesign.costmodel.collection import collect_pairs
from codesign.costmodel.design import Design, make_design
from codesign.costmodel.metrics import SplitError, split_error
from codesign.costmodel.rivals import RIVALS, Rival, tune
from codesign.costmodel.splits import Split, hold_out, hold_out_block
from codesign.costmodel.training import energy_error, fit_energy, residual_task
from codesign.costmodel.trees import fit, fit_spread, predict
from codesign.store import TraceStore

NOUNS = {
    "networks": "unseen networks",
    "layers": "unseen layer shapes",
    "configs": "unseen configurations",
    "block": "unseen block size",
}
TARGETS: dict[str, tuple[float, float | None, float]] = {
    "networks": (3.0, 1.5, 0.998),
    "layers": (5.0, None, 0.995),
    "configs": (5.0, 4.0, 0.995),
    "block": (10.0, 10.0, 0.98),
}
"""Layer MAPE, network MAPE (percent), Spearman."""
SEEDS = 5
RIVAL_SEEDS = 2
FEW = 600
CURVE = (150, 300, 600, 1200, 2500, 5000, 10_000)
COVERAGE = (86.0, 94.0)


@dataclass(frozen=True, eq=False)
class Case:
    """One split to judge: rows, and the networks whose layers are all in the test rows.

    ``sums``: family -> (rows [networks x configurations, layers], counts) as index and weight
    matrices over rows of the design.
    """

    name: str
    seed: int
    split: Split
    networks: Mapping[str, list[tuple[np.ndarray, np.ndarray]]]


@dataclass(frozen=True)
class Outcome:
    """Errors of one learner on one case; network errors are means over families, of which
    ``unsummed`` have no network with all its layers among the test rows."""

    layer: SplitError
    network_mape: float | None
    network_p95: float | None
    network_spearman: float | None
    unsummed: tuple[str, ...] = ()


def main() -> int:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--store", type=Path, help="trace store to use and extend")
    arguments.add_argument(
        "--workers", type=int, default=2, help="simulating processes (default 2)"
    )
    arguments.add_argument("--plots", type=Path, help="folder for the plots (PNG)")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.store or Path(folder) / "traces.db"
        results = measure(path, options.seed, options.workers, options.quick, options.plots)
    results.show(options.json)
    return results.exit_code


def measure(path: Path, seed: int, workers: int, quick: bool, plots: Path | None) -> Results:
    """Collect, then judge; ``quick``: few traces, one seed, T1 alone, figures without targets."""
    results = Results("Cost model on unseen groups")
    chosen = judged(QUICK if quick else FULL, seed)
    started = time.perf_counter()
    with TraceStore.open(path) as store, Progress(console=STDERR, transient=True) as bar:
        task = bar.add_task("simulating", total=len(chosen.pairs))
        done = collect_pairs(
            chosen.pairs, store, workers, lambda n, _: bar.update(task, completed=n)
        )
        rows = read(store).only(chosen.pairs)
    results.figures |= {
        "traces": len(rows.cycles),
        "infeasible_traces": rows.infeasible,
        "layer_shapes": len(rows.workloads),
        "configurations": len(rows.configs),
        "traces_simulated_now": done.simulated,
        "collection_seconds": time.perf_counter() - started,
    }
    design = make_design(rows)
    cases = make_cases(design, chosen, range(seed, seed + (1 if quick else SEEDS)))
    t1 = RIVALS[-1]
    results.figures["traces_without_a_tiling_of_the_closed_form"] = int(
        (~np.isfinite(design.t0)).sum()
    )
    found: dict[str, list[tuple[Case, Outcome, np.ndarray]]] = {name: [] for name in NOUNS}
    for case in cases:
        note(f"{NOUNS[case.name]}: {case.split.held_out}")
        predicted = fitted(t1, design, case.split.train, case.seed, tuned=not quick)
        found[case.name].append((case, outcome(design, case, predicted), predicted))
    claim_table(results, found, quick)
    results.figures["residuals"] = {
        name: residuals(design, chosen, of) for name, of in found.items()
    }
    intervals_and_energy(results, design, [c for c in cases if c.name == "configs"], quick)
    curve: dict[str, dict[int, float]] = {}
    if not quick:
        few_traces(results, design, [c for c in cases if c.name == "networks"])
        curve = learning_curve(design, cases)
        results.figures["mean_error_percent_by_traces"] = curve
        rivals(results, design, cases, found)
    if plots is not None:
        points = {
            NOUNS[name]: [(design.cycles[c.split.test], np.exp(p[c.split.test])) for c, _, p in of]
            for name, of in found.items()
        }
        draw(plots, points, curve)
    return results


def fitted(
    rival: Rival, design: Design, part: np.ndarray, seed: int, tuned: bool = True
) -> np.ndarray:
    """Predictions of all rows after training on ``part``, where the setting is chosen too."""
    setting = tune(rival, design, part, seed) if tuned else {}
    return rival.fit(design, part, seed, setting)(np.arange(len(design)))


def note(text: str) -> None:
    STDERR.print(f"[dim]{text}[/]")


def make_cases(design: Design, chosen: Judged, seeds: Sequence[int]) -> list[Case]:
    """Every split; the networks of each are those of which training has no layer, no
    configuration, or no block size."""
    rows = design.rows
    place = {
        (rows.workloads[u], rows.configs[c]): i
        for i, (u, c) in enumerate(
            zip(map(int, rows.layer_ids), map(int, rows.config_ids), strict=True)
        )
    }

    def sums(families: Sequence[str], test: np.ndarray) -> dict[str, Any]:
        inside = set(map(int, test))
        return {
            name: network_rows(chosen.families[name], chosen.whole, place, inside)
            for name in families
        }

    cases: list[Case] = []
    units = {name: set(UnitCounts.of(nets).units) for name, nets in chosen.families.items()}
    for index, (name, layers) in enumerate(units.items()):
        held = np.array([w in layers for w in rows.workloads])[rows.layer_ids]
        split = Split(np.flatnonzero(~held), np.flatnonzero(held), f"{name}, all its layers")
        cases.append(Case("networks", seeds[0] + index, split, sums([name], split.test)))
    every = list(chosen.families)
    for seed in seeds:
        rng = np.random.default_rng([seed, 2])
        configs = hold_out(rows.config_ids, 0.2, rng, "configurations")
        shapes = hold_out(rows.layer_ids, 0.2, np.random.default_rng([seed, 0]), "layer shapes")
        block = hold_out_block(rows)
        assert configs is not None and shapes is not None and block is not None
        cases.append(Case("layers", seed, shapes, {}))
        cases.append(Case("configs", seed, configs, sums(every, configs.test)))
        cases.append(Case("block", seed, block, sums(every, block.test)))
    return cases


def network_rows(
    networks: Sequence[Layers], configs: Sequence[Any], place: Mapping[Any, int], inside: set[int]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """(rows of the design, counts) of each network on each configuration that the test rows hold
    completely; pairs with an infeasible layer have no sum."""
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for config in configs:
        for layers in networks:
            cells = [(place.get((layer, config), -1), count) for layer, count in layers]
            if all(row in inside for row, _ in cells):
                table = np.array(cells)
                found.append((table[:, 0], table[:, 1]))
    return found


def outcome(design: Design, case: Case, log_cycles: np.ndarray) -> Outcome:
    """Judge predictions of all rows on the case's test rows and networks."""
    test, predicted = case.split.test, np.exp(log_cycles)
    layer = split_error(
        predicted[test],
        design.cycles[test],
        held_out=case.split.held_out,
        train_rows=len(case.split.train),
    )
    errors: list[SplitError] = []
    for table in filter(None, case.networks.values()):
        sums = [
            [float(values[rows] @ counts) for rows, counts in table]
            for values in (predicted, design.cycles)
        ]
        errors.append(split_error(*map(np.array, sums), held_out="", train_rows=0))
    unsummed = tuple(name for name, table in case.networks.items() if not table)
    if not errors:
        return Outcome(layer, None, None, None, unsummed)
    means = [float(np.mean([getattr(e, k) for e in errors])) for k in ("mape", "p95", "spearman")]
    return Outcome(layer, *means, unsummed)


def claim_table(
    results: Results, found: Mapping[str, list[tuple[Case, Outcome, Any]]], quick: bool
) -> None:
    for name, (layer, network, rank) in TARGETS.items():
        outcomes = [o for _, o, _ in found[name]]
        series = {
            "layer mean error": ([o.layer.mape for o in outcomes], "%", layer),
            "Spearman": ([o.layer.spearman for o in outcomes], "", rank),
        }
        sums = [o.network_mape for o in outcomes if o.network_mape is not None]
        unsummed = [list(o.unsummed) for o in outcomes]
        if network is not None and (sums or not quick):
            series["network mean error"] = (sums or [float("nan")], "%", network)
            results.figures[f"{NOUNS[name]}: families without a sum, by case"] = unsummed
        for what, (values, unit, target) in series.items():
            title, value = f"{NOUNS[name]}: {what}", float(np.mean(values))
            if quick:
                results.figures[title] = value
                continue
            holds = value >= target if unit == "" else value <= target
            holds = holds and not (what.startswith("network") and any(unsummed))
            text = f"{'>=' if unit == '' else '<='} {target:g}"
            results.claims.append(Claim(title, value, unit, text, holds, values))
        for what in ("median", "p95"):
            results.figures[f"{NOUNS[name]}: layer {what} error, %"] = float(
                np.mean([getattr(o.layer, what) for o in outcomes])
            )
    results.figures["errors_by_split"] = {
        NOUNS[name]: [{"seed": c.seed, **asdict(o)} for c, o, _ in of] for name, of in found.items()
    }


def residuals(
    design: Design, chosen: Judged, of: Sequence[tuple[Case, Outcome, np.ndarray]]
) -> dict[str, Any]:
    """Mean error by kind of unit and by space, and the units that are furthest off."""
    from codesign.costmodel.intervals import KINDS

    rows = design.rows
    space = np.array([SPACES.index(chosen.space_of[c]) for c in rows.configs])[rows.config_ids]
    test = np.concatenate([case.split.test for case, _, _ in of])
    off = np.concatenate(
        [p[case.split.test] - np.log(design.cycles[case.split.test]) for case, _, p in of]
    )
    error = 100 * np.abs(np.expm1(off))
    worst: dict[int, float] = {}
    for i in np.argsort(-np.abs(off)):
        worst.setdefault(int(test[i]), float(off[i]))
        if len(worst) == 10:
            break
    return {
        "by_kind": {
            kind: float(error[design.kinds[test] == index].mean())
            for index, kind in enumerate(KINDS)
            if (design.kinds[test] == index).any()
        },
        "by_space": {
            name: float(error[space[test] == index].mean())
            for index, name in enumerate(SPACES)
            if (space[test] == index).any()
        },
        "share_of_error_in_worst_percent": float(
            np.sort(error)[::-1][: max(1, len(error) // 100)].sum() / error.sum()
        ),
        "worst": [
            {
                "layer": str(rows.workloads[int(rows.layer_ids[i])]),
                "config": rows.configs[int(rows.config_ids[i])].name,
                "simulated": design.cycles[i],
                "predicted_to_simulated": float(np.exp(o)),
                "t0_to_simulated": float(design.t0[i] / design.cycles[i]),
            }
            for i, o in worst.items()
        ],
    }


def intervals_and_energy(
    results: Results, design: Design, cases: Sequence[Case], quick: bool
) -> None:
    """Coverage of the nominal 90 % interval and errors of the energy head, for each seed."""
    coverage: list[float] = []
    widths: list[float] = []
    energy: list[SplitError] = []
    for case in cases:
        train, test = case.split.train, case.split.test
        task = residual_task(design, train, case.seed)
        trees, rounds = fit(task)
        spread = fit_spread(task, design.rows.config_ids[train], design.kinds[train], rounds)
        log_cycles = design.log_base[test] + predict(trees, design.values[test])
        scale = spread.scale(design.values[test])
        low, high = spread.quantiles.limits(log_cycles, scale, design.kinds[test])
        inside = (low <= design.cycles[test]) & (design.cycles[test] <= high)
        coverage.append(100 * float(inside.mean()))
        widths.append(100 * float(np.median(high / low) - 1))
        energy.append(
            energy_error(fit_energy(design, train, rounds, case.seed), design, case.split)
        )
    value = float(np.mean(coverage))
    results.figures["interval_width_median_percent"] = float(np.mean(widths))
    results.figures["energy_mean_error_percent"] = float(np.mean([e.mape for e in energy]))
    results.figures["energy_median_error_percent"] = float(np.mean([e.median for e in energy]))
    if quick:
        results.figures["interval_coverage_percent"] = value
        return
    text, holds = "86-94", COVERAGE[0] <= value <= COVERAGE[1]
    title = "90 % interval: coverage on unseen configurations"
    results.claims.append(Claim(title, value, "%", text, holds, coverage))


def few_traces(results: Results, design: Design, cases: Sequence[Case]) -> None:
    """At most 600 simulated layers for training and tuning, tested on unseen networks."""
    values: list[float] = []
    for case in cases:
        part = drawn(case.split.train, FEW, case.seed)
        predicted = fitted(RIVALS[-1], design, part, case.seed)
        values.append(outcome(design, case, predicted).layer.mape)
    value, title = float(np.mean(values)), f"unseen networks, {FEW} traces: layer mean error"
    results.claims.append(Claim(title, value, "%", "<= 5", value <= 5, values))


def drawn(rows: np.ndarray, size: int, seed: int) -> np.ndarray:
    return np.sort(np.random.default_rng([seed, 9]).permutation(rows)[:size])


def learning_curve(design: Design, cases: Sequence[Case]) -> dict[str, dict[int, float]]:
    """Layer error by number of training traces, for the first case of three splits."""
    curve: dict[str, dict[int, float]] = {}
    for name in ("networks", "configs", "block"):
        case = next(case for case in cases if case.name == name)
        sizes = [n for n in CURVE if n < len(case.split.train)] + [len(case.split.train)]
        curve[NOUNS[name]] = {}
        for size in sizes:
            part = drawn(case.split.train, size, case.seed)
            predicted = fitted(RIVALS[-1], design, part, case.seed)[case.split.test]
            error = np.abs(np.expm1(predicted - np.log(design.cycles[case.split.test])))
            curve[NOUNS[name]][size] = 100 * float(error.mean())
    return curve


def rivals(
    results: Results,
    design: Design,
    cases: Sequence[Case],
    found: Mapping[str, list[tuple[Case, Outcome, Any]]],
) -> None:
    """One table: every rival on every split."""
    table: dict[str, dict[str, Any]] = {}
    for rival in RIVALS[:-1]:
        note(f"rival: {rival.name}")
        table[rival.name] = {}
        for name in NOUNS:
            judged_on = [case for case in cases if case.name == name][:RIVAL_SEEDS]
            table[rival.name][name] = summary(
                [
                    outcome(design, case, fitted(rival, design, case.split.train, case.seed))
                    for case in judged_on
                ]
            )
    table[RIVALS[-1].name] = {
        name: summary([o for _, o, _ in of[:RIVAL_SEEDS]]) for name, of in found.items()
    }
    results.figures["rivals"] = table
    for name, of in table.items():
        for split, numbers in of.items():
            results.figures[f"{name}, {NOUNS[split]}: layer mean error, %"] = numbers["mape"]


def summary(outcomes: Sequence[Outcome]) -> dict[str, float | None]:
    sums = [o.network_mape for o in outcomes if o.network_mape is not None]
    return {
        "mape": float(np.mean([o.layer.mape for o in outcomes])),
        "median": float(np.mean([o.layer.median for o in outcomes])),
        "p95": float(np.mean([o.layer.p95 for o in outcomes])),
        "spearman": float(np.mean([o.layer.spearman for o in outcomes])),
        "network_mape": float(np.mean(sums)) if sums else None,
    }


if __name__ == "__main__":
    sys.exit(main())
