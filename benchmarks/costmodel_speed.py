"""How fast the cost model scores: layers, whole pairs through the unique-layer table, and against
simulating the same layers, all in one run.

Predicted are all unique layers of the networks that the model is judged on, on every configuration
of `neuhardco`; simulated is a random sample of those same pairs. A prediction counts everything
from workload and configuration to cycles, columns, closed form, features and trees, in one batch
over all cores. A simulation counts emitting the stream of the pair's best schedule and its timing,
not the search for that schedule; one runs on one core. The ratio is that of the wall times; beside
it stands the ratio of processor seconds, which a second core does not help.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from claims import Claim, Results, parser
from networks.workloads import mobilenet_v2, resnet

from codesign.costmodel import CostModel, UnitCounts, make_rows, on_config
from codesign.costmodel.closed_form import bound
from codesign.costmodel.columns import config_columns, grid, workload_columns
from codesign.costmodel.design import make_design
from codesign.costmodel.training import fit_heads, residual_task
from codesign.costmodel.trees import MAX_ROUNDS, fit_rounds
from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.hw.space import load_space
from codesign.kernels import Workload, best_schedule, measure
from codesign.nn import load_network_space

_TRACES = 1500
_SIMULATED = 400


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

    layers = network_layers(rng, 4 if options.quick else 60)
    pairs = len(layers) * len(configs)
    repeats = 2 if options.quick else 5
    for _ in range(4):  # the closed form records its formula of each kind of layer once
        model.predict_units(layers, configs)
    layer_wall, layer_cpu = seconds(lambda: model.predict_units(layers, configs), repeats)
    edge = load_space("edge").configs()
    some = layers[:: max(1, len(layers) // 60)]
    model.predict_units(some[:2], edge)
    edge_wall, _ = seconds(lambda: model.predict_units(some, edge), repeats)
    table = model.predict_units(units, configs)
    pair_wall, _ = seconds(lambda: networks.total(table), repeats)
    simulated, tuned = simulation_seconds(
        [
            (layers[int(rng.integers(len(layers)))], configs[int(rng.integers(len(configs)))])
            for _ in range(_SIMULATED // (4 if options.quick else 1))
        ]
    )
    one_by_one = [pairs / t for t in layer_wall]
    through_table = [len(genotypes) * len(configs) / t for t in pair_wall]
    predicted = float(np.median(layer_wall)) / pairs
    busy = float(np.median(layer_cpu)) / pairs
    rate, product_rate = float(np.median(one_by_one)), float(np.median(through_table))
    ratios = [s / predicted for s in simulated]
    one_simulation = float(np.mean(simulated))
    ratio = one_simulation / predicted
    results.claims += [
        Claim(
            *("layer predictions per second, features included", rate, "1/s", ">= 200000"),
            *(rate >= 200_000, one_by_one),
        ),
        Claim(
            *("pairs per second, table built", product_rate, "1/s", ">= 1e7"),
            *(product_rate >= 1e7, through_table),
        ),
        Claim("simulating a layer / predicting it", ratio, "x", ">= 100", ratio >= 100, ratios),
    ]
    results.figures |= {
        "layers": len(layers),
        "layer_configuration_pairs_predicted": pairs,
        "layer_predictions_per_processor_second": 1 / busy,
        "layer_predictions_per_second_on_edge": len(some) * len(edge) / float(np.median(edge_wall)),
        "simulation_seconds_per_layer": one_simulation,
        "simulation_to_prediction_in_processor_seconds": one_simulation / busy,
        "best_schedule_seconds_per_layer": tuned,
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


def network_layers(rng: np.random.Generator, networks: int) -> list[Workload]:
    """Unique layers of NAS-Bench-201, NAS-Bench-Macro, MnasNet, MobileNetV2, ResNet-18 and 50."""
    drawn = [resnet(18, 224), resnet(50, 224), mobilenet_v2(224, 1.0)]
    for name, resolution in (("nasbench201", None), ("nbmacro", None), ("mnasnet", 224)):
        space = load_network_space(name, resolution=resolution)
        drawn += [space.layers(space.sample(rng)) for _ in range(networks)]
    return list(UnitCounts.of(drawn).units)


def simulation_seconds(pairs: list[tuple[Workload, VtaConfig]]) -> tuple[list[float], float]:
    """Seconds of a timing-only simulation of each pair's best schedule, the median of five, as
    for predictions; and seconds a layer that finding the schedule took."""
    units = [(on_config(unit, config), config) for unit, config in pairs]
    start = time.perf_counter()
    best = [best_schedule(unit, config) for unit, config in units]
    tuned = (time.perf_counter() - start) / len(pairs)
    found: list[float] = []
    for (unit, config), result in zip(units, best, strict=True):
        if not isinstance(result, Infeasible):
            wall, _ = seconds(
                lambda u=unit, c=config, s=result.schedule: measure(u, c, s), repeats=5
            )
            found.append(float(np.median(wall)))
    return found, tuned


if __name__ == "__main__":
    sys.exit(main())
