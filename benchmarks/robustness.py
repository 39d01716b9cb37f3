"""What is thrown at the compiler: mutated files, random networks, and upstream's own rules.

10 000 mutated ONNX files compile or are refused with exit code 4 (`codesign.testing.onnx_fuzz`);
2 000 random graphs on random configurations equal their integer reference and come near onnxruntime
(`codesign.testing.random_graphs`); instruction streams of whole networks for the stock
configurations pass `codesign check --portable`, with their memory.

Prints stored results; ``--rerun`` measures the parts that are missing or were made from older
sources, in ``--processes``, and resumes where it was killed. Truth level T2.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from claims import STDERR, Claim, Results, parser
from networks import export, inputs, named
from stored import NOTHING_STORED, StoredRows, product_key, sources_key

import codesign
from codesign.store.content import content_key

PRESETS = ("pynq", "de10nano", "ultra96", "zcu104")
NETWORKS = ("resnet18", "mobilenet_v2", "inception_v3", "shufflenet_v2_x0_5", "unet",
            "unet_nearest")  # fmt: skip
UNITS = ("avg_pool2d", "conv2d", "conv2d + add", "conv2d_transpose", "dense", "depthwise_conv2d",
         "gather", "max_pool2d")  # fmt: skip
FILES, GRAPHS = 10_000, 2_000
FILES_A_PART, GRAPHS_A_PART = 250, 50
MOST_STEPS = 8


@dataclass(frozen=True)
class Part:
    """A function of this file and its arguments: a stored row."""

    measure: Callable[..., dict[str, Any]]
    arguments: tuple[Any, ...]

    @property
    def name(self) -> str:
        return " ".join([self.measure.__name__, *map(str, self.arguments)])


def mutated(first: int, count: int, seed: int) -> dict[str, Any]:
    """Kinds of outcomes of mutated files, and every finding."""
    from codesign.testing.onnx_fuzz import fuzz

    outcomes = list(fuzz(count, seed, first=first))
    findings = [f"case {o.case}: {o.kind}: {o.text}" for o in outcomes if o.is_finding]
    return {"count": count, "kinds": Counter(o.kind for o in outcomes), "findings": findings}


def graphs(part: int, count: int, seed: int) -> dict[str, Any]:
    """Random networks on random configurations, and every one that breaks the law."""
    import hypothesis

    from codesign.hw.config import VtaConfig
    from codesign.testing.random_graphs import GraphSpec, assert_exact, configs, graph_specs

    findings: list[str] = []
    tried = 0

    @hypothesis.seed(1000 * seed + part)
    @hypothesis.settings(
        max_examples=count,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(graph_specs(MOST_STEPS), configs())
    def law(spec: GraphSpec, cfg: VtaConfig) -> None:
        nonlocal tried
        tried += 1
        try:
            assert_exact(spec, cfg)
        except Exception as error:  # whatever went wrong is a finding, and the rest is still tried
            findings.append(f"{type(error).__name__}: {str(error)[:300]}: {spec} on {cfg.name}")

    law()
    return {"count": tried, "findings": findings}


def portable(network: str, preset: str, seed: int) -> dict[str, Any]:
    """Instructions of a network's streams, and what upstream would not run as it is."""
    from codesign.isa import check

    definition = named(network)
    cfg = codesign.load_config(preset)
    with tempfile.TemporaryDirectory() as folder:
        path = export(definition, Path(folder, "network.onnx"), seed)
        package = codesign.compile(path, cfg, calibration=inputs(definition, 4, seed + 3))
    images = {graph.name: package.memory_image(graph.name) for graph in package.graphs}
    count, findings = 0, list[str]()
    for name, program, stream in package.streams:
        memory, base = images[program.graph.name]
        found = check(stream.instructions, cfg, memory=memory, base_address=base, portable=True)
        findings += [f"{network} on {preset}, {name}: {finding}" for finding in found]
        count += len(stream.instructions)
    return {"count": count, "findings": findings, "kinds": Counter(map(_kind, package.units))}


def _kind(unit: Any) -> str:
    fused = getattr(unit.workload, "residual_border", None) is not None
    return f"{unit.workload.op}{' + add' if fused else ''}"


def parts(quick: bool, seed: int) -> list[Part]:
    """All parts, the longest first."""
    if quick:
        return [Part(portable, ("unet", "pynq", seed)), Part(graphs, (0, 10, seed)),
                Part(mutated, (0, 100, seed))]  # fmt: skip
    return [
        *(Part(portable, (network, preset, seed)) for network in NETWORKS for preset in PRESETS),
        *(Part(graphs, (k, GRAPHS_A_PART, seed)) for k in range(GRAPHS // GRAPHS_A_PART)),
        *(Part(mutated, (k, FILES_A_PART, seed)) for k in range(0, FILES, FILES_A_PART)),
    ]


def _measure(part: Part) -> dict[str, Any]:
    return {"part": part.name, **part.measure(*part.arguments)}


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--rerun", action="store_true", help="measure what is missing or old")
    arguments.add_argument("--processes", type=int, default=2, help="of --rerun (default 2)")
    options = arguments.parse_args(argv)
    results = Results("Robustness (T2)")
    wanted = {part.name: part for part in parts(options.quick, options.seed)}
    stored = StoredRows(None) if options.quick else StoredRows.load("robustness")
    kit = ("strategies.py",)  # checks search strategies, no compiler
    tests = sources_key("codesign/testing", "benchmarks/networks", without=kit)
    sources = [product_key(), tests]
    keys = {name: content_key([name, *sources]) for name in wanted}
    old = [name for name, key in keys.items() if not stored.is_current(name, key)]
    if options.quick or options.rerun:
        given = {name: (wanted[name],) for name in old}
        stored.measure(_measure, given, keys, options.processes, "trying")
        old = []
    rows = {name: stored.rows[name] for name in wanted if name in stored.rows}
    if not rows:
        sys.exit(NOTHING_STORED)
    results.claims += claims(rows, options.quick)
    results.figures |= figures(rows) | {"parts missing or of older sources": len(old)}
    for row in rows.values():
        for finding in row["findings"]:
            STDERR.print(f"{row['part']}: {finding}", markup=False)
    results.show(options.json)
    return results.exit_code


def claims(rows: dict[str, dict[str, Any]], quick: bool) -> list[Claim]:
    """No findings among as many as were promised."""

    def none_of(what: str, name: str, least: int) -> Claim:
        mine = [row for row in rows.values() if row["part"].startswith(f"{what} ")]
        count = sum(row["count"] for row in mine)
        found = sum(len(row["findings"]) for row in mine)
        holds = not found and count >= (1 if quick else least)
        return Claim(f"{count:,} {name}", found, "findings", "0", holds)

    made = [
        none_of("mutated", "mutated ONNX files, crashes and wrong errors", FILES),
        none_of("graphs", "random graphs on random configurations, mismatches", GRAPHS),
        none_of("portable", "instructions for stock machines, portable check", 1),
    ]
    if not quick:
        missing = set(UNITS) - set(_units(rows))
        made.append(Claim("kinds of units not among them", len(missing), "kinds", "0", not missing))
    return made


def _units(rows: dict[str, dict[str, Any]]) -> Counter[str]:
    return sum(
        (Counter(row["kinds"]) for row in rows.values() if row["part"].startswith("portable ")),
        Counter[str](),
    )


def figures(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """How many mutated files were good enough to compile; units behind the streams."""
    compiled = sum(row.get("kinds", {}).get("compiled", 0) for row in rows.values())
    return {"mutated files that compile": compiled, "units by kind": dict(_units(rows))}


if __name__ == "__main__":
    sys.exit(main())
