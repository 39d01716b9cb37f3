"""Every point of `neuhardco` and 200 of `portable`: ResNet-18 and MobileNetV2 at 64x64, exact.

Prints stored results; ``--rerun`` measures the points that are not there or were made from older
sources, and resumes where it was killed. ``--quick`` measures six points now and stores nothing.
The networks have random weights; every region's outputs are compared with the package's integer
reference. Truth level T2.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from claims import STDERR, Claim, Results, parser
from networks import Network, export, inputs, named
from rich.progress import track
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


def quantized(network: Network, seed: int) -> Any:
    """The network's module, quantised once for all points."""
    with tempfile.TemporaryDirectory() as folder:
        module = codesign.import_onnx(export(network, Path(folder, "network.onnx"), seed))
    return quantize_module(module, inputs(network, 8, seed + 3))


def measure(module: Any, network: Network, point: Point, seed: int) -> dict[str, Any]:
    """One network on one point; what fails becomes the row's ``error``."""
    row: dict[str, Any] = {"point": point.name, "network": network.name, "error": ""}
    try:
        package = codesign.compile(module, point.config)
        result = package.run({"x": inputs(network, 1, seed + 2)})
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
    options = arguments.parse_args(argv)
    wanted = points(options.seed)
    if options.quick:
        drawn = np.random.default_rng(options.seed).choice(192, QUICK, replace=False)
        wanted = [wanted[i] for i in drawn] + wanted[192 : 192 + QUICK]
    stored = StoredRows(None) if options.quick else StoredRows.load("all_points")
    pairs = [(named(name), point) for name in NETWORKS for point in wanted]
    if options.quick or options.rerun:
        modules = {name: quantized(named(name), options.seed) for name in NETWORKS}
        for network, point in track(pairs, "compiling", console=STDERR):
            key = _key(network, point, options.seed)
            if not stored.is_current(_row(network, point), key):
                row = measure(modules[network.name], network, point, options.seed)
                stored.put(_row(network, point), key, row)
    rows = [stored.rows[_row(n, p)] for n, p in pairs if _row(n, p) in stored.rows]
    if not rows:
        sys.exit(NOTHING_STORED)
    stale = sum(stored.rows[_row(n, p)]["key"] != _key(n, p, options.seed)
                for n, p in pairs if _row(n, p) in stored.rows)  # fmt: skip
    results = Results("ResNet-18 and MobileNetV2 at 64x64 on every point (T2)", claims(rows, pairs))
    results.figures |= {"points": len(wanted), "rows of older sources": stale}
    if options.json:
        results.figures["rows"] = rows
    for row in rows:
        if row["error"]:
            STDERR.print(f"{row['network']} on {row['point']}: {row['error']}", markup=False)
    results.show(options.json)
    return results.exit_code


def claims(rows: Sequence[dict[str, Any]], pairs: Sequence[Any]) -> list[Claim]:
    """Compiled and run, exact; the share on the accelerator is a claim where everything fits."""
    ran = [row for row in rows if not row["error"]]
    exact = sum(row["outputs_match"] for row in ran) / len(pairs)
    shares = [row["offloaded_macs"] / row["macs"] for row in ran if "neuhardco" in row["point"]]
    made = [
        Claim("compile and run", len(ran) / len(pairs), "share", "1", len(ran) == len(pairs)),
        Claim("equal to the integer reference", exact, "share", "1", exact == 1),
    ]
    if shares:
        least = min(shares)
        name = "MACs offloaded on neuhardco, least"
        made.append(Claim(name, least, "share", "≥ 0.99", least >= 0.99, shares))
    return made


def _row(network: Network, point: Point) -> str:
    return f"{network.name}/{point.name}"


def _key(network: Network, point: Point, seed: int) -> str:
    definition = sources_key("benchmarks/networks")
    return content_key([network.name, seed, config_text(point.config), definition, product_key()])


if __name__ == "__main__":
    sys.exit(main())
