"""Truth tables add up: whole networks compiled, against the sums of their units in the tables.

Random pairs of each table of benchmarks/truth.py that is there, and random ones of those in which a
tensor has a border in DRAM (kernels that LOAD cannot pad for): the network's ONNX file is compiled
with ``compose="exact"`` and without the compiler's own decisions, and its Package's cycles are
compared with counts @ unit cycles. Truth level T2; weights are random.

Prints stored results; ``--rerun`` compiles what is missing or was made from older sources or
tables, in ``--processes``, and resumes where it was killed. ``--quick`` compiles one pair of each
table now and stores nothing.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from claims import Claim, Results, parser
from numpy.typing import NDArray
from spaces import key_of
from stored import NOTHING_STORED, StoredRows
from truth import TABLES, Table, joint_truth

import codesign
from codesign.compiler import DECISIONS
from codesign.costmodel import loaded, on_config
from codesign.search.pairs import sums
from codesign.search.truth import JointTruth
from codesign.store.content import content_key

NETWORKS, OTHERS, BORDERED, QUICK = 110, 20, 10, 1
"""Of each of `MAIN`, of each other table, of pairs with borders of each table, and of each table
with ``--quick``."""
MAIN = ("nasbench201-neuhardco", "nbmacro-neuhardco")
NAMES = tuple(table.name for table in TABLES if table.path.is_file())


def _table(name: str) -> Table:
    return next(table for table in TABLES if table.name == name)


def _truth(name: str) -> JointTruth:
    return joint_truth(_table(name).networks, _table(name).hardware)


def drawn(name: str, count: int, seed: int) -> list[tuple[int, int]]:
    """Different pairs of a table that can be built; the first of a longer draw are those of a
    shorter one."""
    return _some(~np.isnan(_truth(name).cycles), count, seed)


def with_borders(name: str, count: int, seed: int) -> list[tuple[int, int]]:
    """The same of pairs with a tensor that has a border."""
    truth = _truth(name)
    pairs = truth.pairs
    there = [
        [on_config(unit, config) != on_config(loaded(unit), config) for config in pairs.configs]
        for unit in pairs.units
    ]
    bordered = (pairs.counts > 0).astype(np.float32) @ np.array(there, np.float32) > 0
    return _some(bordered & ~np.isnan(truth.cycles), count, seed)


def _some(possible: NDArray[np.bool_], count: int, seed: int) -> list[tuple[int, int]]:
    chosen = np.random.default_rng(seed).permutation(np.flatnonzero(possible))[:count]
    return [divmod(int(flat), possible.shape[1]) for flat in chosen]


def measure(name: str, network: int, config: int, seed: int) -> dict[str, Any]:
    """One pair: the table's sum, and the cycles of the network's Package."""
    truth = _truth(name)
    pairs, started = truth.pairs, time.process_time()
    cycles = truth.units.cycles[:, [config]]
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
    return {
        "table": name,
        "network": pairs.networks.names[network],
        "config": pairs.configs[config].name,
        "sum": int(sums(pairs.counts[[network]], cycles)[0, 0]),
        "compiled": int(package.cycles_composed("exact")),
        "cpu_seconds": round(time.process_time() - started, 2),
    }


def _key(name: str) -> str:
    """What decides the rows of a table."""
    digest = hashlib.sha256(_table(name).path.read_bytes()).hexdigest()
    return content_key([digest, key_of(_table(name).networks)])


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--rerun", action="store_true", help="compile what is missing or old")
    arguments.add_argument("--processes", type=int, default=2, help="of --rerun (default 2)")
    options = arguments.parse_args(argv)
    results = Results("Truth tables against whole compiled networks (T2)")
    stored = StoredRows(None) if options.quick else StoredRows.load("additivity")
    if options.quick or options.rerun:
        counts = {n: QUICK if options.quick else NETWORKS if n in MAIN else OTHERS for n in NAMES}
        wanted = {
            f"{name}/{network}/{config}": (name, network, config, options.seed)
            for name in NAMES
            for network, config in (
                *drawn(name, counts[name], options.seed),
                *with_borders(name, QUICK if options.quick else BORDERED, options.seed),
            )
        }
        sources = {name: _key(name) for name in NAMES}
        keys = {row: content_key([*given, sources[given[0]]]) for row, given in wanted.items()}
        todo = {row: wanted[row] for row, key in keys.items() if not stored.is_current(row, key)}
        stored.measure(measure, todo, keys, options.processes, "compiling")
    if not stored.rows:
        sys.exit(NOTHING_STORED)
    for name in NAMES:
        mine = [row for row in stored.rows.values() if row["table"] == name]
        equal = sum(row["sum"] == row["compiled"] for row in mine)
        text = f"{name}: compiled networks whose cycles are the sum of their units"
        holds = bool(mine) and equal == len(mine)
        results.claims.append(Claim(text, equal, "networks", str(len(mine)), holds))
    if not options.quick:
        compiled = len(stored.rows)
        name = "whole networks compiled"
        results.claims.append(Claim(name, compiled, "networks", ">= 200", compiled >= 200))
    results.show(options.json)
    return results.exit_code


if __name__ == "__main__":
    sys.exit(main())
