"""NAF's inner genetic search against exhaustive hardware search (T0), on tens of thousands of
configurations.

The hardware is `portable` with one micro-op depth, bus and latency: every other axis is whole, so
that each gene means the same everywhere. A network's least cycles within a limit on SRAM and on
DSPs are found exactly, by pricing every configuration, and by `elitist_search`, which prices each
distinct choice once; infeasible choices count as evaluations of both.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from claims import STDERR, Claim, Results, parser

from codesign.hw.area import area
from codesign.hw.space import ConfigSpace, load_space
from codesign.nn import load_network_space
from codesign.search.decisions import Decisions, of_space
from codesign.search.scores import closed_form_tables
from codesign.search.strategies.genetic import elitist_search

FIXED = ("uop", "bus", "latency")
"""Axes of `portable` that stay at their middle value."""

NETWORKS = ("nasbench201", "nbmacro", "mobilenet8", "nahas-s1")
SEEDS = 20
WITHIN = 0.05
FEWER = 10.0
SRAM_KIB, DSP = 512.0, 512.0
"""Limits: without any, the largest configuration would do."""


@dataclass(frozen=True, eq=False)
class Task:
    """A network's cycles float64 [C] on the configurations, inf where a limit is broken."""

    name: str
    decisions: Decisions
    cycles: np.ndarray

    @cached_property
    def _by_choices(self) -> np.ndarray:
        """Cycles of every product of choices, inf where the space has no such point."""
        options = self.decisions.options
        found = np.full(int(np.prod(options)), np.inf)
        found[np.ravel_multi_index(self.decisions.choices.T, options)] = self.cycles
        return found

    def cost(self, genes: np.ndarray) -> np.ndarray:
        return self._by_choices[np.ravel_multi_index(genes.T, self.decisions.options)]


def hardware(quick: bool) -> ConfigSpace:
    space = load_space("portable")
    fixed = (*FIXED, "acc", "dataflow") if quick else FIXED
    axes = [
        replace(axis, choices=(axis.choices[len(axis.choices) // 2],))
        if axis.name in fixed
        else axis
        for axis in space.axes
    ]
    return replace(space, axes=tuple(axes))


def tasks(space: ConfigSpace, names: Sequence[str], seed: int) -> list[Task]:
    """One random network of each space."""
    configs = space.configs()
    decisions = of_space(space, configs)
    areas = [area(config) for config in configs]
    allowed = np.array([config.sram_bytes / 1024 <= SRAM_KIB for config in configs])
    allowed &= np.array([a.dsp <= DSP for a in areas])
    found: list[Task] = []
    for name in names:
        networks = load_network_space(name)
        layers = networks.layers(networks.sample(np.random.default_rng(seed)))
        STDERR.print(f"{name}: {len(layers)} units x {len(configs)} configurations")
        table, _ = closed_form_tables([unit for unit, _ in layers], configs)
        cycles = np.array([count for _, count in layers], np.float64) @ table
        kept = allowed & np.isfinite(cycles)
        found.append(Task(name, decisions, np.where(kept, cycles, np.inf)))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    made = parser(__doc__ or "", seed=0)
    args = made.parse_args(arguments)
    space = hardware(args.quick)
    seeds = 3 if args.quick else SEEDS
    results = Results("Genetic inner search against exhaustive hardware search (T0)")
    losses: list[float] = []
    evaluations: list[float] = []
    configs = 0
    for task in tasks(space, NETWORKS[: 1 if args.quick else None], args.seed):
        configs = len(task.cycles)
        best = float(task.cycles.min())
        rows: list[tuple[float, int]] = []
        for seed in range(seeds):
            rng = np.random.default_rng([args.seed, seed])
            found = elitist_search(task.decisions.options, task.cost, rng)
            rows.append((found.cost / best - 1.0, found.evaluations))
        losses += [loss for loss, _ in rows]
        evaluations += [count for _, count in rows]
        results.figures[task.name] = {
            "optimum_cycles": best,
            "feasible": int(np.isfinite(task.cycles).sum()),
            "losses": [loss for loss, _ in rows],
            "evaluations": [count for _, count in rows],
        }
    fewer = configs / np.array(evaluations)
    share = float(np.mean(np.array(losses) <= WITHIN))
    results.figures |= {
        "configurations": configs,
        "mean_evaluations": float(np.mean(evaluations)),
        "share_within_5_percent": share,
        "worst_loss_percent": 100 * max(losses),
    }
    results.claims += [
        Claim(
            "median loss against the optimum",
            100 * float(np.median(losses)),
            "%",
            f"<= {100 * WITHIN:.0f}",
            float(np.median(losses)) <= WITHIN,
            losses,
        ),
        Claim(
            "95 % quantile of the loss",
            100 * float(np.quantile(losses, 0.95)),
            "%",
            f"<= {100 * WITHIN:.0f}",
            float(np.quantile(losses, 0.95)) <= WITHIN,
        ),
        Claim(
            "fewer evaluations, least of all runs",
            float(fewer.min()),
            "times",
            f">= {FEWER:.0f}",
            args.quick or float(fewer.min()) >= FEWER,
            fewer.tolist(),
        ),
        Claim("configurations", configs, "", ">= 10000", args.quick or configs >= 10_000),
    ]
    results.show(args.json)
    return results.exit_code


if __name__ == "__main__":
    sys.exit(main())
