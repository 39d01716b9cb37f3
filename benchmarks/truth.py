"""Exact truth: T2 figures of every unique unit of a network space on every configuration.

Makes or completes ``results/truth/NETWORKS-HARDWARE.npz`` (unique units and count matrices, never
pairs) for the tables named, all by default; ``--store`` keeps the simulated units, so that a
killed run resumes. What is there and current is not made again. ``--quick`` checks what is there
and makes nothing. benchmarks/additivity.py compares them with whole compiled networks.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from claims import STDERR, Claim, Results, parser

from codesign.cli.search import ProgressLine
from codesign.search.pairs import Pairs, load_pairs
from codesign.search.pools import make_pool
from codesign.search.problem import HardwareChoice, NetworkChoice, Problem
from codesign.search.simulate import UnitSimulator
from codesign.search.truth import JointTruth, TruthTable, simulate_table, unit_figures
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


@cache
def joint_truth(networks: str, hardware: str = "neuhardco") -> JointTruth:
    """Exact figures of all networks of a space on all configurations of another.

    Raises
    ------
    StoreError
        the table is missing, damaged or of another simulator.
    """
    table = next(t for t in TABLES if (t.networks, t.hardware) == (networks, hardware))
    pairs = table.pairs()
    return JointTruth(pairs, unit_figures(TruthTable.load(table.path), pairs))


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser(__doc__ or "")
    names = [table.name for table in TABLES]
    arguments.add_argument("tables", nargs="*", help=f"out of {', '.join(names)}")
    arguments.add_argument("--store", type=Path, help="trace store of simulated units")
    arguments.add_argument("--workers", type=int, default=1, help="processes that simulate")
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


if __name__ == "__main__":
    sys.exit(main())
