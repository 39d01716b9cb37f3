"""200 random networks of every space: ONNX, compiled, run exactly, with the layers that it names.

Prints stored results; ``--rerun`` measures the networks that are not there or were made from older
sources, in ``--processes``, and resumes where it was killed. ``--quick`` measures one network of
each space now and stores nothing; ``--space`` takes one space. Spaces have their own data set and
resolution (at most 64x64), `darts` its 20 cells. The networks have random weights; the
configuration is `pynq`, every layer is a unit of its own. Truth level T2.
"""

from __future__ import annotations

import sys
import tempfile
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
_NAMING = ("codesign/nn", "codesign/costmodel")


def measure(name: str, text: str, seed: int) -> dict[str, Any]:
    """One network from its genotype on; what fails becomes the row's ``error``."""
    row: dict[str, Any] = {"space": name, "genotype": text, "error": ""}
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
    }


def drawn(name: str, count: int, seed: int) -> list[str]:
    """Genotypes of a space, the first of a longer draw being those of a shorter one."""
    space, rng = load_network_space(name), np.random.default_rng(seed)
    return [space.to_json(space.sample(rng)) for _ in range(count)]


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
    sources = [sources_key(*_NAMING), product_key()]
    keys = {row: content_key([*network, seed, *sources]) for row, network in wanted.items()}
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
        Claim(f"{name}: layers as named", named, "networks", str(wanted), named == wanted),
    ]


if __name__ == "__main__":
    sys.exit(main())
