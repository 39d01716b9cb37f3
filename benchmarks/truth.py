"""Exact truth: T2 figures of every unique unit of a network space on every configuration.

Makes or completes ``results/truth/NETWORKS-HARDWARE.npz`` (unique units and count matrices, never
pairs) for the tables named, all by default; ``--store`` keeps the simulated units, so that a
killed run resumes. What is there and current is not made again. ``--quick`` checks what is there
and makes nothing. ``--additivity N`` compiles N random pairs of every table and compares
their Packages' cycles with the sums of their units.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from claims import STDERR, Claim, Results, parser

import codesign
from codesign.cli.search import ProgressLine
from codesign.compiler import DECISIONS
from codesign.errors import StoreError
from codesign.search.pairs import Pairs, load_pairs, sums
from codesign.search.pools import make_pool
from codesign.search.problem import HardwareChoice, NetworkChoice, Problem
from codesign.search.simulate import UnitSimulator
from codesign.search.truth import TruthTable, simulate_table, unit_figures
from codesign.store import TraceStore, simulator_version

FOLDER = Path(__file__).parent / "results" / "truth"


@dataclass(frozen=True)
class Table:
    """One table: networks of a space x configurations of a space."""

    networks: str
    hardware: str
    samples: int | None = None

    @property
    def name(self) -> str:
        return f"{self.networks}-{self.hardware}"

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}.npz"

    def pairs(self) -> Pairs:
        hardware = HardwareChoice(self.hardware, samples=self.samples)
        return load_pairs(Problem(NetworkChoice(self.networks), hardware))


TABLES = tuple(
    Table(networks, hardware, samples)
    for hardware, samples in (("neuhardco", None), ("edge", None), ("portable", 2400))
    for networks in ("nasbench201", "nbmacro", "mnasnet")
)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser(__doc__ or "")
    names = [table.name for table in TABLES]
    arguments.add_argument("tables", nargs="*", help=f"out of {', '.join(names)}")
    arguments.add_argument("--store", type=Path, help="trace store of simulated units")
    arguments.add_argument("--workers", type=int, default=1, help="processes that simulate")
    arguments.add_argument("--additivity", type=int, default=0, metavar="N", help="pairs a table")
    options = arguments.parse_args(argv)
    if unknown := sorted({*options.tables} - {*names}):
        arguments.error(f"unknown table {unknown[0]}; allowed: {', '.join(names)}")
    results = Results("Truth tables (T2)")
    for table in TABLES:
        if options.tables and table.name not in options.tables:
            continue
        if options.quick and not table.path.is_file():
            continue
        found = _made(table, options.store, options.workers, options.quick)
        _describe(results, table, found)
        if options.additivity:
            _additivity(results, table, found, options.additivity, options.seed)
    results.show(options.json)
    return results.exit_code


def _made(table: Table, store: Path | None, workers: int, quick: bool) -> TruthTable:
    """The table from its file where that is current, else simulated."""
    if table.path.is_file():
        found = TruthTable.load(table.path)
        if quick or found.simulator == simulator_version():
            return found
    pairs = table.pairs()
    STDERR.print(f"{table.name}: {len(pairs.units)} units x {len(pairs.configs)} configurations")
    with tempfile.TemporaryDirectory() as folder:
        report = ProgressLine().step
        with (
            TraceStore.open(store or Path(folder, "units.db")) as traces,
            UnitSimulator(traces, make_pool(workers)) as simulator,
        ):
            found = simulate_table(pairs, simulator, lambda n, of: report(table.name, n, of))
    FOLDER.mkdir(parents=True, exist_ok=True)
    found.save(table.path)
    return found


def _describe(results: Results, table: Table, found: TruthTable) -> None:
    units, configs = found.cycles.shape
    networks = len(found.networks)
    results.figures |= {
        f"{table.name}_networks": networks,
        f"{table.name}_unique_units": units,
        f"{table.name}_configurations": configs,
        f"{table.name}_units_without_schedule": int((found.cycles < 0).sum()),
        f"{table.name}_pairs": networks * configs,
        f"{table.name}_kilobytes": round(table.path.stat().st_size / 1000),
    }
    current = found.simulator == simulator_version()
    results.claims.append(
        Claim(f"{table.name}: of this simulator", float(current), "", "1", current)
    )


def _additivity(results: Results, table: Table, found: TruthTable, count: int, seed: int) -> None:
    """Compiled cycles of random pairs against the sum of their units."""
    pairs = table.pairs()
    try:
        total = sums(pairs.counts, unit_figures(found, pairs).cycles)
    except StoreError as error:
        STDERR.print(f"{table.name}: {error}")
        results.claims.append(Claim(f"{table.name}: additive", 0, "pairs", f"{count}", False))
        return
    rng = np.random.default_rng(seed)
    possible = np.flatnonzero(~np.isnan(total))
    equal = 0
    for done, flat in enumerate(rng.choice(possible, count, replace=False)):
        network, config = divmod(int(flat), total.shape[1])
        equal += _compiled_cycles(pairs, network, config, seed) == total[network, config]
        if (done + 1) % 10 == 0:
            STDERR.print(f"{table.name}: {equal} of {done + 1} compiled pairs equal their sum")
    name = f"{table.name}: compiled pairs whose cycles are the sum of their units"
    results.claims.append(Claim(name, equal, "pairs", f"{count}", equal == count))


def _compiled_cycles(pairs: Pairs, network: int, config: int, seed: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.onnx")
        pairs.networks.export(network, path, seed)
        package = codesign.compile(
            path,
            pairs.configs[config],
            calibration=pairs.networks.calibration(network, seed),
            compose="exact",
            disabled=DECISIONS,
        )
    return int(package.cycles_composed("exact"))


if __name__ == "__main__":
    sys.exit(main())
