"""How far the closed form (T0) is from the best simulated schedule, by kind of unit and by space,
where the two disagree about feasibility, and how many pairs a second it prices.

Units and configurations are random; none was used to make T0. With ``--calibrate traces.db``
nothing else is done than to fit T0's constants on those traces and to print the new
codesign/costmodel/data/closed_form.json.
"""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from claims import STDERR, Claim, Results, parser
from rich.console import Console
from rich.progress import track
from rich.table import Table

from codesign.costmodel import on_config, pair_features, read
from codesign.costmodel.calibration import calibrate, described
from codesign.costmodel.closed_form import bound
from codesign.costmodel.columns import config_columns, grid, workload_columns
from codesign.errors import Infeasible
from codesign.hw.space import load_space
from codesign.kernels import (
    ConvWorkload,
    ElementwiseWorkload,
    GatherWorkload,
    PoolWorkload,
    Workload,
    best_schedule,
    lower_bound,
)
from codesign.store import TraceStore

SPACES = ("neuhardco", "portable", "edge")
LONGEST = 1_500_000
"""Units whose lower bound is more cycles are left out: simulating them takes long."""
TARGET_MEAN, TARGET_SPEED = 0.05, 200_000.0


def random_units(rng: np.random.Generator) -> dict[str, Workload]:
    """One unit of each kind."""
    size = int(rng.choice([1, 2, 4, 7, 8, 14, 16, 28, 32, 56, rng.integers(3, 60)]))
    widths = [3, 16, 24, 32, 40, 64, 96, 128, 160, 192, 256, 512]
    into, out = (int(rng.choice([*widths, rng.integers(1, 300)])) for _ in range(2))
    s, near, few = int(rng.integers(1, 3)), (1, 1, 1, 1), int(rng.choice([16, 32, 64]))
    wide, step = max(size, 4), (s, s)
    k = int(rng.choice([5, 7]))
    groups, lanes = int(rng.choice([2, 4, 8, 32])), int(rng.choice([4, 8, 12, 16]))
    pool = int(rng.choice([2, 3]))
    p = 1 if pool == 3 else 0
    picks = rng.permutation(few)[: int(rng.integers(1, few + 1))]
    return {
        "convolution 1x1": ConvWorkload(into, out, size, size, stride=step),
        "convolution 3x3": ConvWorkload(into, out, size, size, (3, 3), step, near),
        "convolution 5x5, 7x7": ConvWorkload(few, few, wide, wide, (k, k), step, (k // 2,) * 4),
        "dilated": ConvWorkload(few, out, wide, wide, (3, 3), padding=(2,) * 4, dilation=(2, 2)),
        "depthwise": ConvWorkload(into, into, wide, wide, (3, 3), step, near, groups=into),
        "grouped": ConvWorkload(
            groups * lanes, groups * lanes, size, size, (3, 3), step, near, groups=groups
        ),
        "transposed": ConvWorkload(few, 32, size, size, (4, 4), padding=near, up=(2, 2)),
        "dense": ConvWorkload(4 * into, out, 1, 1),
        "with a residual": ConvWorkload(into, out, size, size, residual_border=0),
        "with multipliers": ConvWorkload(into, out, size, size, (3, 3), step, near, multiply=True),
        "max pooling": PoolWorkload(
            "max", 2 * few, 2 * wide, 2 * wide, (pool, pool), (2, 2), (p,) * 4
        ),
        "average pooling": PoolWorkload("avg", 2 * few, wide, wide, (pool, pool), step, (p,) * 4),
        "sum, rescaling": ElementwiseWorkload(int(rng.integers(1, 3)), into, size, size),
        "gather": GatherWorkload((few,), tuple((0, int(i)) for i in sorted(picks)), size, size),
    }


def per_second(work: Callable[[], object], pairs: int, repeats: int) -> list[float]:
    """Pairs a second of each repetition, after one that is not counted."""
    work()
    found: list[float] = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        found.append(pairs / (time.perf_counter() - start))
    return found


def main() -> int:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--calibrate", type=Path, metavar="traces.db", help="fit T0's constants")
    options = arguments.parse_args()
    if options.calibrate is not None:
        with TraceStore.open(options.calibrate) as store:
            rows = read(store)
        json.dump(described(calibrate(rows, threads=2), rows), sys.stdout, indent=1)
        sys.stdout.write("\n")
        return 0
    rng = np.random.default_rng([options.seed, 23])
    results = Results("Closed form (T0) against the best simulated schedule")
    residuals: dict[str, list[float]] = defaultdict(list)
    rounds = 9 if options.quick else 90
    agree = pairs = 0
    for index in track(range(rounds), description="simulating", console=STDERR):
        space = SPACES[index % len(SPACES)]
        for kind, unit in random_units(rng).items():
            config = replace(load_space(space).sample(1, rng)[0], has_mul=True)
            layer = on_config(unit, config)
            if lower_bound(layer, config).cycles > LONGEST:
                continue
            truth = best_schedule(layer, config)
            t0 = bound(*grid(workload_columns([layer]), config_columns([config]))).cycles.item()
            pairs += 1
            agree += isinstance(truth, Infeasible) == np.isinf(t0)
            if not isinstance(truth, Infeasible) and np.isfinite(t0):
                for group in (kind, f"space {space}", "all"):
                    residuals[group].append(float(np.log(truth.cycles / t0)))
    table = Table(title="log(simulated / T0)", title_justify="left")
    for heading in ("", "pairs", "median", "mean |.|", "p95 |.|", "largest |.|"):
        table.add_column(heading, justify="left" if not heading else "right")
    order = sorted(residuals, key=lambda group: (group == "all", group.startswith("space")))
    for group, values in ((group, residuals[group]) for group in order):
        size = np.abs(values)
        numbers = (np.median(values), size.mean(), np.quantile(size, 0.95), size.max())
        table.add_row(group, str(len(values)), *(f"{x:.3f}" for x in numbers))
        names = ("median", "mean_abs", "p95_abs", "max_abs")
        results.figures[group] = dict(zip(names, map(float, numbers), strict=True))
    mean = float(np.abs(residuals["all"]).mean())
    share = float(agree / pairs)
    layers = [unit for _ in range(20) for unit in random_units(rng).values()]
    configs = load_space("edge").sample(256, rng)
    w, c = grid(workload_columns(layers), config_columns(configs))
    count, repeats = len(layers) * len(configs), 2 if options.quick else 5
    priced = per_second(lambda: bound(w, c, threads=2), count, repeats)
    featured = per_second(lambda: pair_features(w, c, threads=2), count, repeats)
    speed = float(np.median(featured))
    results.claims += [
        Claim("mean |log(simulated / T0)|", mean, "", f"<= {TARGET_MEAN}", mean <= TARGET_MEAN),
        Claim("pairs whose feasibility agrees", 100 * share, "%", ">= 99", share >= 0.99),
        Claim("pairs a second, features included", speed, "1/s", f">= {TARGET_SPEED:g}",
              speed >= TARGET_SPEED, featured),
    ]  # fmt: skip
    start = time.process_time()
    pair_features(w, c)
    results.figures["processor_microseconds_a_pair"] = 1e6 * (time.process_time() - start) / count
    results.figures["pairs_a_second_t0_alone"] = float(np.median(priced))
    if not options.json:
        Console(highlight=False).print(table)
    results.show(options.json)
    return results.exit_code


if __name__ == "__main__":
    sys.exit(main())
