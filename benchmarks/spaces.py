"""200 random networks of every space: ONNX, compiled, run exactly, with the layers that it names.

Prints stored results; ``--rerun`` measures the networks that are not there or were made from older
sources, in ``--processes``, and resumes where it was killed. ``--quick`` measures one network of
each space now and stores nothing; ``--space`` takes one space. Every space is as it is by default:
its own data set, resolution (ImageNet spaces 64x64, the others 32x32), widths and depth (`darts`
20 cells, 36 channels). The networks have random weights; the configuration is `pynq`, every layer
is a unit of its own. Truth level T2.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from claims import STDERR, Claim, Results, parser
from stored import NOTHING_STORED, StoredRows, product_key, sources_key

import codesign
from codesign.compiler import DECISIONS
from codesign.costmodel import off_config
from codesign.nn import load_network_space, space_names
from codesign.store.content import content_key

CONFIG = "pynq"
NETWORKS, QUICK = 200, 1
MOST_MINUTES = 120
"""Of one run on two cores."""
_FILES = ("space", "blocks", "graph", "graph_module", "graph_onnx", "export")
_SHARED = (*(f"codesign/nn/{name}.py" for name in _FILES), "codesign/costmodel/units.py")
"""What decides the rows of all spaces, besides the compiler."""


def measure(name: str, text: str, seed: int) -> dict[str, Any]:
    """One network from its genotype on; what fails becomes the row's ``error``."""
    row: dict[str, Any] = {"space": name, "genotype": text, "error": ""}
    started = time.process_time()
    space, config = load_network_space(name), codesign.load_config(CONFIG)
    genotype = space.from_json(text)
    images = np.random.default_rng(seed).standard_normal((2, *space.input_shape))
    data = {"x": images.astype(np.float32)}
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = space.to_onnx(genotype, Path(folder, "network.onnx"), seed)
            package = codesign.compile(
                path, config, calibration=data, compose="exact", disabled=DECISIONS
            )
        result = package.run({"x": data["x"][:1]})
    except Exception as error:  # whatever went wrong is this row's result
        return row | {"error": f"{type(error).__name__}: {' '.join(str(error).split())[-300:]}"}
    units = Counter(off_config(unit.workload, config) for unit in package.units)
    return row | {
        "outputs_match": result.outputs_match,
        "layers_match": units == Counter(dict(space.layers(genotype))),
        "cycles": result.cycles,
        "macs": result.macs,
        "offloaded_macs": result.offloaded_macs,
        "cpu_seconds": round(time.process_time() - started, 2),
    }


def key_of(name: str) -> str:
    """Content key of the sources that decide the rows of a space."""
    module = sys.modules[type(load_network_space(name)).__module__]
    own = Path(str(module.__file__)).read_text()
    return content_key([own, sources_key(*_SHARED), product_key()])


def drawn(name: str, count: int, seed: int) -> list[str]:
    """Different genotypes of a space, at most all that it has, the first of a longer draw being
    those of a shorter one."""
    space, rng = load_network_space(name), np.random.default_rng(seed)
    found: dict[str, None] = {}
    while len(found) < min(count, space.count()):
        found.setdefault(space.to_json(space.sample(rng)))
    return list(found)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--rerun", action="store_true", help="measure what is missing or old")
    arguments.add_argument("--processes", type=int, default=2, help="of --rerun (default 2)")
    arguments.add_argument("--space", choices=space_names(), help="this space alone")
    arguments.add_argument("--networks", type=int, default=NETWORKS, help="of each space")
    options = arguments.parse_args(argv)
    results = Results("Random networks of every space on pynq (T2)")
    seed: int = options.seed
    names = space_names() if options.space is None else (options.space,)
    count: int = QUICK if options.quick else options.networks
    stored = StoredRows(None) if options.quick else StoredRows.load("spaces")
    wanted = {f"{name}/{text}": (name, text) for name in names for text in drawn(name, count, seed)}
    sources = {name: key_of(name) for name in names}
    keys = {row: content_key([*n, seed, sources[n[0]]]) for row, n in wanted.items()}
    old = [row for row, key in keys.items() if not stored.is_current(row, key)]
    if options.quick or options.rerun:
        given = {row: (*wanted[row], seed) for row in old}
        stored.measure(measure, given, keys, options.processes, "compiling")
        old = []
    rows = [stored.rows[row] for row in wanted if row in stored.rows]
    if not rows:
        sys.exit(NOTHING_STORED)
    for name in names:
        mine = [row for row in rows if row["space"] == name]
        results.claims += claims(name, mine, sum(row.startswith(f"{name}/") for row in wanted))
    results.claims += totals(rows, len(wanted))
    results.figures |= {"networks": len(wanted), "rows missing or of older sources": len(old)}
    if options.json:
        results.figures["rows"] = rows
    for row in rows:
        if row["error"]:
            STDERR.print(f"{row['space']} {row['genotype']}: {row['error']}", markup=False)
    results.show(options.json)
    return results.exit_code


def claims(name: str, rows: Sequence[dict[str, Any]], wanted: int) -> list[Claim]:
    """Of one space: every network compiled and ran exactly, and its layers were those named."""
    ran = [row for row in rows if not row["error"]]
    exact = sum(row["outputs_match"] for row in ran)
    named = sum(row["layers_match"] for row in ran)
    return [
        Claim(f"{name}: run exactly", exact, "networks", str(wanted), exact == wanted),
        Claim(
            f"{name}: layers(genotype) are the compiled ONNX file's",
            named,
            "networks",
            str(wanted),
            named == wanted,
        ),
    ]


def totals(rows: Sequence[dict[str, Any]], wanted: int) -> list[Claim]:
    """Of all spaces; the run's time is that of its processes, on two cores with nothing else."""
    failures = sum(not (row.get("outputs_match") and row.get("layers_match")) for row in rows)
    minutes = sum(row.get("cpu_seconds", 0.0) for row in rows) / 60 / 2
    whole = len(rows) == wanted
    limit = f"<= {MOST_MINUTES}"
    return [
        Claim(f"failures in {len(rows)} networks", failures, "", "0", whole and failures == 0),
        Claim("CPU time / 2 cores", minutes, "min", limit, whole and minutes <= MOST_MINUTES),
    ]


if __name__ == "__main__":
    sys.exit(main())
