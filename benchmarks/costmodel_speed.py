"""How fast the cost model scores: layers, whole pairs through the unique-layer table, and against
simulating the same layers, all in one run.

A prediction counts everything from workload and configuration to cycles: columns, closed form,
features, trees. Work done in CPU seconds of all threads is printed beside the wall time, for
machines that others use too.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice, product

import numpy as np
from claims import Claim, Results, parser

from codesign.costmodel import CostModel, UnitCounts, make_rows, on_config
from codesign.costmodel.closed_form import bound
from codesign.costmodel.columns import config_columns, grid, workload_columns
from codesign.costmodel.design import make_design
from codesign.costmodel.training import fit_heads, residual_task
from codesign.costmodel.trees import MAX_ROUNDS, fit_rounds
from codesign.hw.config import VtaConfig
from codesign.hw.space import load_space
from codesign.kernels import ConvWorkload, Workload, best_schedule, measure
from codesign.nn import load_network_space

_TRACES = 1500
_SIMULATED = 40


def seconds(work: Callable[[], object], repeats: int) -> tuple[list[float], list[float]]:
    """Wall and CPU time of each repetition."""
    wall: list[float] = []
    cpu: list[float] = []
    for _ in range(repeats):
        start, busy = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - busy)
    return wall, cpu


def main() -> int:
    options = parser(__doc__ or "").parse_args()
    results = Results("Cost model speed")
    rng = np.random.default_rng(options.seed)
    configs = load_space("neuhardco").configs()
    space = load_network_space("nasbench201")
    genotypes = list(space.all())[:: 10 if options.quick else 1]
    networks = UnitCounts.of([space.layers(genotype) for genotype in genotypes])
    units = list(networks.units)
    model = trained(units, configs, options.seed, rng)

    many = distinct_layers(60 if options.quick else 400)
    repeats = 2 if options.quick else 5
    model.predict_units(many[:60], configs)  # the closed form records its formula once
    layer_wall, layer_cpu = seconds(lambda: model.predict_units(many, configs), repeats)
    pairs = len(many) * len(configs)
    edge = load_space("edge").configs()
    edge_wall, _ = seconds(lambda: model.predict_units(many[:60], edge), repeats)
    table = model.predict_units(units, configs)
    pair_wall, _ = seconds(lambda: networks.total(table), repeats)
    simulated, tuned = simulation_seconds(
        [
            (many[int(rng.integers(len(many)))], configs[int(rng.integers(len(configs)))])
            for _ in range(_SIMULATED)
        ]
    )
    one_by_one = [pairs / t for t in layer_wall]
    through_table = [len(genotypes) * len(configs) / t for t in pair_wall]
    predicted = float(np.median(layer_wall)) / pairs
    rate, product_rate = float(np.median(one_by_one)), float(np.median(through_table))
    ratio = simulated / predicted
    results.claims += [
        Claim(
            *("layer predictions per second, features included", rate, "1/s", ">= 200000"),
            *(rate >= 200_000, one_by_one),
        ),
        Claim(
            *("pairs per second, table built", product_rate, "1/s", ">= 1e7"),
            *(product_rate >= 1e7, through_table),
        ),
        Claim("simulating a layer / predicting it", ratio, "x", ">= 100", ratio >= 100),
    ]
    results.figures |= {
        "layer_predictions_per_cpu_second": pairs / float(np.median(layer_cpu)),
        "layer_predictions_per_second_on_edge": len(many[:60])
        * len(edge)
        / float(np.median(edge_wall)),
        "best_schedule_seconds_per_layer": tuned,
        "simulation_seconds_per_layer": simulated,
        "best_schedule_to_prediction": tuned / predicted,
        "pairs": len(genotypes) * len(configs),
        "trees": MAX_ROUNDS,
    }
    results.show(options.json)
    return results.exit_code


def trained(
    units: list[Workload], configs: list[VtaConfig], seed: int, rng: np.random.Generator
) -> CostModel:
    """A model with all the trees that one can have; speed does not depend on truth, so it learns
    T0 with noise."""
    t0 = bound(*grid(workload_columns(units), config_columns(configs))).cycles
    noisy = np.round(t0 * np.exp(rng.normal(0, 0.05, t0.shape)))
    triples: list[tuple[Workload, VtaConfig, float]] = [
        (units[i // len(configs)], configs[i % len(configs)], float(noisy.flat[i]))
        for i in map(int, rng.permutation(t0.size)[:_TRACES])
    ]
    design, every = make_design(make_rows(triples)), np.arange(len(triples))
    heads, _ = fit_heads(design, every, seed)
    trees = fit_rounds(residual_task(design, every, seed), None, MAX_ROUNDS)
    return CostModel(replace(heads, cycles=trees))


def distinct_layers(count: int) -> list[Workload]:
    """Convolutions of many sizes: no two pairs that are predicted are alike."""
    shapes = product(
        (16, 24, 40, 64, 96, 160, 256), (16, 32, 80, 128, 320), (7, 14, 28, 56), (1, 3)
    )
    return [
        ConvWorkload(i, o, s, s, (k, k), (1, 1), (k // 2,) * 4)
        for i, o, s, k in islice(shapes, count)
    ]


def simulation_seconds(pairs: list[tuple[Workload, VtaConfig]]) -> tuple[float, float]:
    """Seconds a layer: timing-only simulation of the best schedule, and finding that schedule."""
    units = [(on_config(unit, config), config) for unit, config in pairs]
    start = time.perf_counter()
    best = [best_schedule(unit, config) for unit, config in units]
    tuned = (time.perf_counter() - start) / len(pairs)
    start = time.perf_counter()
    for (unit, config), result in zip(units, best, strict=True):
        measure(unit, config, result.schedule)
    return (time.perf_counter() - start) / len(pairs), tuned


if __name__ == "__main__":
    sys.exit(main())
