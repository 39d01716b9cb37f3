"""The tables of NeuHardCo and NAF with rows of our own: baselines, joint search, and their ratios.

NAS-Bench-201 (CIFAR-100, trained, 200 epochs) x `neuhardco` at T2, energy and FPGA resources
estimated. Every row keeps the accuracy of a network made by hand and the DSPs of the reference
accelerator, `16x16_512k_os`, and has the least latency, or energy, that its way of choosing finds:

* network by hand: on the reference accelerator, and on the best of all accelerators;
* network searched on the reference accelerator, by the strategy and budget of the joint search;
* hardware first: the best accelerator for the network by hand, then the network searched on it;
* joint: both searched together (``--strategy``, ``--budget``).

Two networks by hand: a residual block of three 3x3 convolutions, and 3x3 convolutions everywhere.
Searches are replays of 20 seeds; the run of median result is shown. No GPU was measured, so
NeuHardCo's two GPU rows have no counterpart. Published figures are of other data sets and devices:
they stand beside ours to show the columns, not to be compared. ``--plots FOLDER`` draws accuracy
against latency of all pairs, and the joint search's least energy by evaluation.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from claims import Claim, Results, parser
from codesign_gain import REFERENCE, of_configs
from rich.console import Console
from rich.table import Table
from truth import joint_truth

from codesign.search.problem import Constraint, HardwareChoice, NetworkChoice, Objective, Problem
from codesign.search.replay import Replay, replay
from codesign.search.strategies import INFORMED, strategy_names
from codesign.search.truth import JointTruth
from codesign.search.view import View

BY_HAND = {
    "residual block": "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|"
    "+|skip_connect~0|none~1|nor_conv_3x3~2|",
    "all 3x3": "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|"
    "+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|",
}
WITHIN = 0.01
"""How much worse than a baseline the joint search of one budget may end."""
METRICS = ("latency_ms", "energy_mj")
SEEDS, QUICK_SEEDS = 20, 3
HAND, HAND_BEST = "by hand, reference", "by hand, best accelerator"
SEARCHED, HARDWARE_FIRST, JOINT = "searched on reference", "hardware first", "joint"
NEUHARDCO = (
    ("published: manual + FPGA", 93.1, 22.7, 210.0, 312.0, 1024.0),
    ("published: AutoTVM-NAS + FPGA", 93.6, 18.4, 175.0, 289.0, 920.0),
    ("published: NeuHardCo", 93.9, 11.6, 148.0, 218.0, 784.0),
)
"""Top-1 %, ms, mJ, thousand LUTs, DSPs."""
NAF = (("published: NAF, ZCU102, ImageNet", 214.0, 26.19, 74.9, 250.2, 9.55),)
"""MHz, W, top-1 %, frames a second, frames a second and W."""


@dataclass(frozen=True)
class Row:
    """A pair and its figures; ``evaluations``: pairs paid for (0: read from the table)."""

    name: str
    network: str
    config: str
    accuracy: float
    latency_ms: float
    energy_mj: float
    kilo_lut: float
    dsp: float
    mhz: float
    evaluations: float = 0.0
    cpu_seconds: float = 0.0

    @property
    def watt(self) -> float:
        return self.energy_mj / self.latency_ms


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser(__doc__ or "")
    names = [name for name in strategy_names() if name not in INFORMED]
    arguments.add_argument("--strategy", choices=names, default="surrogate")
    arguments.add_argument("--budget", type=float, default=200.0, help="evaluations a search")
    arguments.add_argument("--plots", type=Path, metavar="FOLDER", help="draw into this folder")
    options = arguments.parse_args(argv)
    truth = joint_truth("nasbench201")
    results = Results("Ways to choose a pair (T2)")
    seeds = range(options.seed, options.seed + (QUICK_SEEDS if options.quick else SEEDS))
    console = Console(highlight=False, width=150)
    made = [
        Searches(truth, hand, metric, options.strategy, options.budget, seeds)
        for hand in list(BY_HAND)[-1 if options.quick else 0 :]
        for metric in METRICS
    ]
    for searches in made:
        rows = searches.rows()
        name = f"{searches.hand}, least {searches.metric}"
        results.claims += ratios(name, searches.metric, rows)
        results.figures[name] = [asdict(row) for row in rows]
        if not options.json:
            console.print(table_of_baselines(name, rows), table_of_frames(name, rows))
            console.print(table_of_costs(name, truth, rows))
    if options.plots:
        from baseline_plots import draw

        draw(options.plots, truth, made[-1].joint.replays)
    results.show(options.json)
    return results.exit_code


@dataclass(frozen=True, eq=False)
class Runs:
    """Replays of all seeds, and what one of them took."""

    replays: Sequence[Replay]
    cpu_seconds: float


@dataclass(frozen=True, eq=False)
class Searches:
    """The ways to choose, for one network by hand and one figure."""

    truth: JointTruth
    hand: str
    metric: str
    strategy: str
    budget: float
    seeds: Sequence[int]

    def rows(self) -> list[Row]:
        hand, reference = self.start
        values = np.where(self.truth.feasible(self.problem.constraints),
                          self.truth.figure(self.metric), np.inf)  # fmt: skip
        best = int(values[hand].argmin())
        return [
            self.row(HAND, hand, reference),
            self.row(HAND_BEST, hand, best),
            self.found(SEARCHED, self.searched(of_configs(self.truth, [reference]))),
            self.found(HARDWARE_FIRST, self.searched(of_configs(self.truth, [best]))),
            self.found(JOINT, self.joint),
        ]

    @cached_property
    def start(self) -> tuple[int, int]:
        """The network by hand and the reference accelerator."""
        pairs = self.truth.pairs
        configs = [config.name for config in pairs.configs]
        return pairs.networks.names.index(BY_HAND[self.hand]), configs.index(REFERENCE)

    @cached_property
    def problem(self) -> Problem:
        pairs = self.truth.pairs
        network, reference = self.start
        return Problem(
            NetworkChoice("nasbench201"),
            HardwareChoice("neuhardco"),
            objectives=(Objective(self.metric, "min"), Objective("accuracy", "max")),
            constraints=(
                Constraint("accuracy", float(pairs.accuracy[network])),
                Constraint("dsp", float(pairs.hardware["dsp"][reference])),
            ),
        )

    @cached_property
    def joint(self) -> Runs:
        return self.searched(self.truth)

    def searched(self, part: JointTruth) -> Runs:
        view = View(self.problem, part.pairs)
        started = time.process_time()
        replays = [
            replay(self.problem, part, self.strategy, seed, self.budget, None, view)
            for seed in self.seeds
        ]
        return Runs(replays, (time.process_time() - started) / len(replays))

    def found(self, name: str, runs: Runs) -> Row:
        """The run of median result; a run without a feasible pair counts as the worst."""
        winners = [run.winner() for run in runs.replays]
        results = [np.inf if w is None else w.figures[self.metric] for w in winners]
        place = int(np.argsort(results, kind="stable")[len(results) // 2])
        winner, run = winners[place], runs.replays[place]
        if winner is None:
            raise SystemExit(f"{name}: no feasible pair in {self.budget:g} evaluations")
        column = [c.name for c in self.truth.pairs.configs].index(winner.config)
        return self.row(name, winner.pair.network, column, float(run.spent[-1]), runs.cpu_seconds)

    def row(
        self, name: str, network: int, config: int, evaluations: float = 0.0, seconds: float = 0.0
    ) -> Row:
        truth, cfg = self.truth, self.truth.pairs.configs[config]
        figures = {
            figure: float(truth.figure(figure)[network, config])
            for figure in ("accuracy", "latency_ms", "energy_mj", "dsp", "lut")
        }
        return Row(
            *(name, truth.pairs.networks.names[network], cfg.name),
            *(figures["accuracy"], figures["latency_ms"], figures["energy_mj"]),
            *(figures["lut"] / 1000, figures["dsp"], cfg.frequency_mhz, evaluations, seconds),
        )


def ratios(name: str, metric: str, rows: Sequence[Row]) -> list[Claim]:
    """Each baseline's figure over the joint pair's, which has no less accuracy and no more DSPs."""
    joint = rows[-1]
    found: list[Claim] = []
    for row in rows[:-1]:
        ratio = getattr(row, metric) / getattr(joint, metric)
        holds = ratio >= 1 - WITHIN
        found.append(Claim(f"{name}: {row.name} / joint", ratio, "x", f">= {1 - WITHIN:g}", holds))
    return found


def table_of_baselines(name: str, rows: Sequence[Row]) -> Table:
    """NeuHardCo's columns, and each row's share of the first row's figures."""
    table = Table(title=f"{name} at its accuracy and the reference's DSPs (T2)")
    table.add_column("pair")
    for heading in ("configuration", "top-1 %", "ms", "mJ", "kLUT", "DSP", "of first: ms",
                    "mJ", "kLUT", "DSP"):  # fmt: skip
        table.add_column(heading, justify="right")
    first = rows[0]
    for row in rows:
        figures = (row.latency_ms, row.energy_mj, row.kilo_lut, row.dsp)
        base = (first.latency_ms, first.energy_mj, first.kilo_lut, first.dsp)
        shares = [f"{100 * own / other:.0f} %" for own, other in zip(figures, base, strict=True)]
        texts = [f"{row.accuracy:.2f}", *(f"{value:.4g}" for value in figures)]
        table.add_row(row.name, row.config, *texts, *shares)
    table.add_section()
    for published, *figures in NEUHARDCO:
        table.add_row(published, "", *(f"{value:g}" for value in figures))
    return table


def table_of_frames(name: str, rows: Sequence[Row]) -> Table:
    """NAF's columns (its Table III)."""
    table = Table(title=f"{name}: frames a second and W (power estimated)")
    table.add_column("pair")
    for heading in ("MHz", "W", "top-1 %", "frames/s", "frames/s/W"):
        table.add_column(heading, justify="right")
    for row in rows:
        frames = 1000 / row.latency_ms
        figures = (row.mhz, row.watt, row.accuracy, frames, frames / row.watt)
        table.add_row(row.name, *(f"{value:.4g}" for value in figures))
    table.add_section()
    for published, *figures in NAF:
        table.add_row(published, *(f"{value:g}" for value in figures))
    return table


def table_of_costs(name: str, truth: JointTruth, rows: Sequence[Row]) -> Table:
    """NAF's Table II: how many pairs there are, and what searching them costs."""
    networks, configs = truth.pairs.shape
    sizes = {SEARCHED: networks, HARDWARE_FIRST: networks + configs, JOINT: networks * configs}
    table = Table(title=f"{name}: cost of the search (the strategy's, in replay)")
    table.add_column("pair")
    for heading in ("pairs", "evaluations", "processor seconds"):
        table.add_column(heading, justify="right")
    for row in rows:
        if row.name in sizes:
            spent = f"{row.evaluations:.0f}", f"{row.cpu_seconds:.2f}"
            table.add_row(row.name, f"{sizes[row.name]:,}", *spent)
    table.add_section()
    table.add_row("published: NAF", "2.45e41", "", "32.5 GPU-hours")
    return table


if __name__ == "__main__":
    sys.exit(main())
