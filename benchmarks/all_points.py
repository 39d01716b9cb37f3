"""Every point of `neuhardco` and 200 of `portable`: ResNet-18 and MobileNetV2 at 64x64, exact.

Prints stored results; ``--rerun`` measures the points that are not there or were made from older
sources, in ``--processes``, and resumes where it was killed. ``--quick`` measures six points now
and stores nothing. The networks have random weights; every region's outputs are compared with the
package's integer reference. Truth level T2.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from claims import STDERR, Claim, Results, parser
from networks import export, inputs, named
from stored import NOTHING_STORED, StoredRows, product_key, sources_key

import codesign
from codesign.frontend import quantize_module
from codesign.hw.config import VtaConfig
from codesign.hw.space import load_space
from codesign.store.content import config_text, content_key

NETWORKS = ("resnet18_64", "mobilenet_v2_64")
PORTABLE, QUICK = 200, 3


@dataclass(frozen=True)
class Point:
    """A configuration of a space, and the name of its row."""

    name: str
    config: VtaConfig


def points(seed: int) -> list[Point]:
    """All 192 of `neuhardco`, then the seeded sample of `portable`."""
    drawn = load_space("portable").sample(PORTABLE, np.random.default_rng(seed))
    return [
        *(Point(f"neuhardco/{cfg.name}", cfg) for cfg in load_space("neuhardco").configs()),
        *(Point(f"portable/{index:03}", cfg) for index, cfg in enumerate(drawn)),
    ]


@lru_cache
def quantized(network: str, seed: int) -> Any:
    """The network's module, quantised once in each process for all points."""
    definition = named(network)
    with tempfile.TemporaryDirectory() as folder:
        module = codesign.import_onnx(export(definition, Path(folder, "network.onnx"), seed))
    return quantize_module(module, inputs(definition, 8, seed + 3))


def measure(network: str, point: Point, seed: int) -> dict[str, Any]:
    """One network on one point; what fails becomes the row's ``error``."""
    row: dict[str, Any] = {"point": point.name, "network": network, "error": ""}
    module = quantized(network, seed)
    try:
        package = codesign.compile(module, point.config)
        result = package.run({"x": inputs(named(network), 1, seed + 2)})
    except Exception as error:  # whatever went wrong is this row's result
        return row | {"error": f"{type(error).__name__}: {' '.join(str(error).split())[-300:]}"}
    return row | {
        "outputs_match": result.outputs_match,
        "cycles": result.cycles,
        "macs": result.macs,
        "offloaded_macs": result.offloaded_macs,
    }


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--rerun", action="store_true", help="measure what is missing or old")
    arguments.add_argument("--processes", type=int, default=2, help="of --rerun (default 2)")
    options = arguments.parse_args(argv)
    results = Results("ResNet-18 and MobileNetV2 at 64x64 on every point (T2)")
    seed: int = options.seed
    wanted = points(seed)
    if options.quick:
        drawn = np.random.default_rng(seed).choice(192, QUICK, replace=False)
        wanted = [wanted[i] for i in drawn] + wanted[192 : 192 + QUICK]
    stored = StoredRows(None) if options.quick else StoredRows.load("all_points")
    pairs = {f"{name}/{point.name}": (name, point) for name in NETWORKS for point in wanted}
    sources = [sources_key("benchmarks/networks"), product_key()]
    keys = {
        row: content_key([name, seed, config_text(point.config), *sources])
        for row, (name, point) in pairs.items()
    }
    old = [row for row, key in keys.items() if not stored.is_current(row, key)]
    if options.quick or options.rerun:
        given = {row: (*pairs[row], seed) for row in old}
        stored.measure(measure, given, keys, options.processes, "compiling")
        old = []
    rows = [stored.rows[row] for row in pairs if row in stored.rows]
    if not rows:
        sys.exit(NOTHING_STORED)
    results.claims += claims(rows, len(pairs))
    results.figures |= {"points": len(wanted), "rows missing or of older sources": len(old)}
    if options.json:
        results.figures["rows"] = rows
    for row in rows:
        if row["error"]:
            STDERR.print(f"{row['network']} on {row['point']}: {row['error']}", markup=False)
    results.show(options.json)
    return results.exit_code


def claims(rows: Sequence[dict[str, Any]], wanted: int) -> list[Claim]:
    """Compiled and run, exact; the share on the accelerator is a claim where everything fits."""
    ran = [row for row in rows if not row["error"]]
    exact = sum(row["outputs_match"] for row in ran) / wanted
    shares = [row["offloaded_macs"] / row["macs"] for row in ran if "neuhardco" in row["point"]]
    made = [
        Claim("compile and run", len(ran) / wanted, "share", "1", len(ran) == wanted),
        Claim("equal to the integer reference", exact, "share", "1", exact == 1),
    ]
    if shares:
        least = min(shares)
        name = "MACs offloaded on neuhardco, least"
        made.append(Claim(name, least, "share", "≥ 0.99", least >= 0.99, shares))
    return made


if __name__ == "__main__":
    sys.exit(main())
