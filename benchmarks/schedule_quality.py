"""Schedules against the lower bound, against stock TVM VTA, and how fast they are found.

Truth level T2 (cycle-level simulator). Ratios are cycles ÷ lower bound of each distinct layer,
geometric mean over layers; ``pynq`` is the preset with its own memory, ``neuhardco`` random points
of that space with dataflow auto. ``stock`` are cycles and DRAM bytes of the last TVM with a VTA
back end, with its tuned schedules, on upstream's RTL (benchmarks/data/README.md).
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np
from claims import STDERR, Claim, Results, parser
from convolutions import (
    conv,
    mobilenet_v2_depthwise,
    mobilenet_v2_pointwise,
    resnet18,
    resnet50,
)
from rich.progress import track

import codesign
from codesign.costmodel import on_config
from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.hw.space import load_space
from codesign.kernels import ConvWorkload, ScheduleResult, Workload, best_schedule, lower_bound
from codesign.kernels.measurement import instruction_counts

STOCK = Path(__file__).parent / "data" / "stock_vta_resnet18.csv"
BYTES = tuple(
    f"{name}_bytes" for name in ("inp_load", "wgt_load", "acc_load", "uop_load", "out_store")
)
DATAFLOWS = ("ws", "os", "is", "rs")
PROCESSES = 2
SPEED_PAIRS = 400
EMISSIONS, EMISSION_REPEATS = 20, 3


@dataclass(frozen=True)
class Judged:
    """A layer's best schedule on a configuration beside its lower bound."""

    layer: Workload
    best: ScheduleResult
    bound: int

    @property
    def ratio(self) -> float:
        return self.best.cycles / self.bound

    def row(self, config: str) -> dict[str, Any]:
        """A line of the per-layer table."""
        w = self.layer
        assert isinstance(w, ConvWorkload)
        shape = f"{w.height}x{w.width} {w.in_channels}>{w.out_channels}"
        return {
            "config": config,
            "layer": f"{shape} {w.kernel[0]}x{w.kernel[1]}/{w.stride[0]}",
            "cycles": self.best.cycles,
            "bound": self.bound,
            "ratio": round(self.ratio, 4),
            "dataflow": self.best.schedule.dataflow,
            "dram_bytes": dram_bytes(self.best.counters),
        }


def dram_bytes(counters: Mapping[str, int]) -> int:
    """Bytes moved by LOAD, COMPUTE and STORE, instructions left out."""
    return sum(counters[name] for name in BYTES)


def judge(layers: Iterable[ConvWorkload], cfg: VtaConfig, what: str) -> Iterator[Judged]:
    """The layers that some schedule fits, each with its best one."""
    for layer in track(list(layers), what, console=STDERR, disable=not STDERR.is_terminal):
        workload = on_config(layer, cfg)
        best = best_schedule(workload, cfg)
        if not isinstance(best, Infeasible):
            yield Judged(layer, best, lower_bound(workload, cfg).cycles)


def geometric_mean(values: Iterable[float]) -> float:
    logs = [log(value) for value in values]
    return exp(sum(logs) / len(logs))


def at_most(name: str, value: float, limit: float, samples: Iterable[float] = ()) -> Claim:
    return Claim(name, value, "ratio", f"≤ {limit}", value <= limit, list(samples))


def on_pynq(results: Results, quick: bool) -> None:
    cfg = codesign.load_config("pynq")
    networks = {
        "ResNet-18 convolutions": (resnet18(), 1.10),
        "ResNet-50 convolutions": (resnet50(), 1.10),
        "MobileNetV2 pointwise": (mobilenet_v2_pointwise(), 1.20),
    }
    table: list[dict[str, Any]] = []
    for name, (layers, limit) in networks.items():
        judged = list(judge(list(layers)[:: 5 if quick else 1], cfg, name))
        ratios = [j.ratio for j in judged]
        results.claims.append(
            at_most(f"{name}, cycles ÷ bound, pynq", geometric_mean(ratios), limit, ratios)
        )
        table += [j.row("pynq") for j in judged]
    depthwise = list(mobilenet_v2_depthwise())[:: 5 if quick else 1]
    judged = list(judge(depthwise, cfg, "MobileNetV2 depthwise"))
    mean = geometric_mean(j.ratio for j in judged)
    results.figures["MobileNetV2 depthwise, cycles ÷ bound, pynq"] = mean
    table += [j.row("pynq") for j in judged]
    first = [conv(3, 64, 224, 7, 2), conv(3, 32, 224, 3, 2)]
    for name, judged in zip(
        ("ResNet", "MobileNetV2"), judge(first, cfg, "first layers"), strict=True
    ):
        results.figures[f"{name}'s first layer, cycles ÷ bound, pynq"] = judged.ratio
        table.append(judged.row("pynq"))
    results.figures["pynq layers"] = table


def against_stock(results: Results) -> None:
    """The ten ResNet-18 convolutions that stock TVM VTA was measured on."""
    cfg = codesign.load_config("pynq")
    with STOCK.open() as file:
        rows = list(csv.DictReader(file))
    layers = [
        conv(*(int(row[k]) for k in ("in_channels", "out_channels", "height", "kernel", "stride")))
        for row in rows
    ]
    ours = [j.best for j in judge(layers, cfg, "stock layers")]
    stock = [int(row["cycles_pynq_memory"]) for row in rows]
    ratios = [best.cycles / theirs for best, theirs in zip(ours, stock, strict=True)]
    traffic = [
        dram_bytes(best.counters) / sum(int(row[name]) for name in BYTES)
        for best, row in zip(ours, rows, strict=True)
    ]
    small = [k for k, row in enumerate(rows) if row["kernel"] == "1"]
    results.claims += [
        Claim(
            "stock layers, worst cycles ÷ stock",
            max(ratios),
            "ratio",
            "< 1",
            max(ratios) < 1,
            ratios,
        ),
        at_most(
            "stock layers, sum of cycles ÷ stock", sum(b.cycles for b in ours) / sum(stock), 0.965
        ),
        at_most(
            "stock layers, three 1x1, cycles ÷ stock",
            sum(ours[k].cycles for k in small) / sum(stock[k] for k in small),
            0.75,
        ),
        at_most("stock layers, worst DRAM bytes ÷ stock", max(traffic), 1.0, traffic),
    ]
    results.figures["stock layers"] = [
        {
            "layer": row["layer"],
            "cycles": best.cycles,
            "cycles ÷ stock": ratio,
            "bytes ÷ stock": moved,
        }
        for row, best, ratio, moved in zip(rows, ours, ratios, traffic, strict=True)
    ]


def on_neuhardco(results: Results, quick: bool, seed: int) -> None:
    """Random configurations: auto against the bound and against each fixed dataflow."""
    space = load_space("neuhardco")
    configs = space.sample(2 if quick else 20, np.random.default_rng(seed))
    layers = [*resnet18(), *resnet50(), *mobilenet_v2_pointwise()][:: 10 if quick else 1]
    jobs = [(replace(cfg, dataflow="auto"), layers) for cfg in configs]
    with ProcessPoolExecutor(PROCESSES) as pool:
        found = list(pool.map(_judge_config, *zip(*jobs, strict=True)))
    ratios = [j.ratio for judged, _ in found for j in judged]
    means = [geometric_mean(j.ratio for j in judged) for judged, _ in found]
    lost = max(worst for _, worst in found)
    results.claims += [
        at_most(
            f"{len(configs)} neuhardco configurations, cycles ÷ bound",
            geometric_mean(ratios),
            1.25,
            means,
        ),
        at_most("auto ÷ best fixed dataflow, worst pair", lost, 1.0),
    ]
    results.figures["neuhardco worst configuration, cycles ÷ bound"] = max(means)
    results.figures["neuhardco layers"] = [
        j.row(cfg.name) for cfg, (judged, _) in zip(configs, found, strict=True) for j in judged
    ]


def _judge_config(cfg: VtaConfig, layers: list[ConvWorkload]) -> tuple[list[Judged], float]:
    judged = list(judge(layers, cfg, cfg.name))
    worst = 0.0
    for j in judged:
        fixed = [best_schedule(on_config(j.layer, cfg), cfg, flow) for flow in DATAFLOWS]
        cycles = min(f.cycles for f in fixed if not isinstance(f, Infeasible))
        worst = max(worst, j.best.cycles / cycles)
    return judged, worst


def speed(results: Results, quick: bool, seed: int) -> None:
    """Cold evaluations a second over random pairs that nothing evaluated before."""
    rng = np.random.default_rng(seed + 1)
    layers = [*resnet18(), *resnet50(), *mobilenet_v2_pointwise()]
    count = SPEED_PAIRS // 10 if quick else SPEED_PAIRS
    configs = load_space("edge").sample(count, rng)
    pairs = [(on_config(layers[rng.integers(len(layers))], cfg), cfg) for cfg in configs]
    with ProcessPoolExecutor(PROCESSES, initializer=_warm) as pool:
        list(pool.map(time.sleep, [0.2] * PROCESSES))  # both processes are there and warm
        started = time.perf_counter()
        cpu = list(pool.map(_cpu_seconds, *zip(*pairs, strict=True), chunksize=10))
        seconds = time.perf_counter() - started
    rate = len(pairs) / seconds
    name = f"best-schedule evaluations, {PROCESSES} processes"
    results.claims.append(Claim(name, rate, "1/s", "≥ 100", rate >= 100))
    results.figures["CPU milliseconds of an evaluation"] = 1000 * sum(cpu) / len(cpu)


def emission(results: Results, quick: bool) -> None:
    """Instructions emitted a second on one core, the best schedule of each layer over and over."""
    cfg = codesign.load_config("pynq")
    layers = [*resnet50(), *mobilenet_v2_pointwise(), *mobilenet_v2_depthwise()]
    rates: list[float] = []
    emitted, seconds = 0, 0.0
    for judged in judge(layers[:: 10 if quick else 1], cfg, "emission"):
        layer, schedules = on_config(judged.layer, cfg), [judged.best.schedule] * EMISSIONS
        spent: list[float] = []
        count = 0
        for _ in range(EMISSION_REPEATS):
            started = time.perf_counter()
            counts = instruction_counts(layer, cfg, schedules)
            spent.append(time.perf_counter() - started)
            count = sum(n for n in counts if isinstance(n, int))
        rates.append(count / min(spent))
        emitted, seconds = emitted + count, seconds + min(spent)
    rate = emitted / seconds
    name = "instructions emitted, one core"
    results.claims.append(Claim(name, rate, "1/s", "≥ 1e6", rate >= 1e6, rates))


def _warm() -> None:
    _cpu_seconds(conv(16, 16, 8), codesign.load_config("pynq"))


def _cpu_seconds(workload: Workload, cfg: VtaConfig) -> float:
    started = time.process_time()
    best_schedule(workload, cfg)
    return time.process_time() - started


def main() -> int:
    options = parser(__doc__ or "").parse_args()
    results = Results("Schedules (T2)")
    speed(results, options.quick, options.seed)
    emission(results, options.quick)
    on_pynq(results, options.quick)
    against_stock(results)
    on_neuhardco(results, options.quick, options.seed)
    results.show(options.json)
    return results.exit_code


if __name__ == "__main__":
    sys.exit(main())
