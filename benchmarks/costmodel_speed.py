"""How fast the cost model scores: layers, whole pairs through the unique-layer table, and against
simulating the same layers, all in one run.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
from claims import Claim, Results, parser

from codesign.costmodel import make_rows, on_config, train
from codesign.costmodel.closed_form import bound
from codesign.costmodel.columns import config_columns, grid, workload_columns
from codesign.hw.config import VtaConfig
from codesign.hw.space import load_space
from codesign.kernels import Workload, best_schedule, measure
from codesign.nn import load_network_space


def seconds(work: Callable[[], object], repeats: int) -> list[float]:
    """Wall time of each repetition."""
    found: list[float] = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return found


def main() -> int:
    options = parser(__doc__ or "").parse_args()
    results = Results("Cost model speed")
    rng = np.random.default_rng(options.seed)
    configs = load_space("neuhardco").configs()
    space = load_network_space("nasbench201")
    genotypes = list(space.all())[:: 10 if options.quick else 1]
    networks = [space.layers(genotype) for genotype in genotypes]
    units = list(dict.fromkeys(unit for layers in networks for unit, _ in layers))
    place = {unit: i for i, unit in enumerate(units)}
    counts = np.zeros((len(networks), len(units)))
    for row, layers in enumerate(networks):
        for unit, count in layers:
            counts[row, place[unit]] = count

    # Speed depends on neither truth nor layer shapes: the model learns T0 with noise, from the
    # layers repeated until the batch is large.
    t0 = bound(*grid(workload_columns(units), config_columns(configs))).cycles
    noisy = np.round(t0 * np.exp(rng.normal(0, 0.05, t0.shape)))
    drawn = rng.permutation(t0.size)[:1500]
    triples: list[tuple[Workload, VtaConfig, float]] = [
        (units[i // len(configs)], configs[i % len(configs)], float(noisy.flat[i]))
        for i in map(int, drawn)
    ]
    model, _ = train(make_rows(triples), options.seed)
    many = units * (4 if options.quick else 16)
    repeats = 2 if options.quick else 5
    layer_times = seconds(lambda: model.predict_units(many, configs), repeats)
    layers_per_second = [len(many) * len(configs) / t for t in layer_times]
    table = model.predict_units(units, configs)
    pair_times = seconds(lambda: counts @ table, repeats)
    pairs_per_second = [counts.shape[0] * len(configs) / t for t in pair_times]

    chosen = [(units[i // len(configs)], configs[i % len(configs)]) for i in map(int, drawn[:40])]
    on_units = [(on_config(unit, config), config) for unit, config in chosen]
    start = time.perf_counter()
    best = [best_schedule(unit, config) for unit, config in on_units]
    tuned = (time.perf_counter() - start) / len(chosen)
    start = time.perf_counter()
    for (unit, config), result in zip(on_units, best, strict=True):
        measure(unit, config, result.schedule)
    simulated = (time.perf_counter() - start) / len(chosen)

    predicted = float(np.median(layer_times)) / (len(many) * len(configs))
    value = float(np.median(pairs_per_second))
    ratio = simulated / predicted
    results.claims += [
        Claim(
            "pairs per second, table built", value, "1/s", ">= 1e7", value >= 1e7, pairs_per_second
        ),
        Claim("simulating a layer / predicting it", ratio, "x", ">= 100", ratio >= 100),
    ]
    results.figures |= {
        "layer_predictions_per_second": float(np.median(layers_per_second)),
        "layer_predictions_per_second_samples": layers_per_second,
        "best_schedule_seconds_per_layer": tuned,
        "simulation_seconds_per_layer": simulated,
        "best_schedule_to_prediction": tuned / predicted,
        "pairs": counts.shape[0] * len(configs),
    }
    results.show(options.json)
    return results.exit_code


if __name__ == "__main__":
    sys.exit(main())
