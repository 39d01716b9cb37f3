"""The network zoo: every network of `networks`, float and QDQ, compiled and run bit-exactly.

Prints the stored table; ``--rerun`` measures what is missing, failed or changed since (network
definitions, configuration, or the sources of compiler, kernels and simulator), each network in a
process of its own, and resumes where it was killed. ``--markdown`` prints the table of the README,
values of the two forms apart by a slash. ``--quick``
measures a few small networks now and stores nothing. The two forms: "float" is quantised by
codesign from calibration images, "qdq" is the file that onnxruntime's static quantiser makes.
``offloaded`` is a share of all MACs for convolutional networks, and of those with constant weights
for the others. Truth level T2.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
from claims import STDERR, Claim, Results, parser
from networks import NETWORKS, Network, constant_weight_macs, export, inputs, named, quantize
from networks.prepare import onnxruntime_outputs
from rich.console import Console
from rich.table import Table
from stored import NOTHING_STORED, StoredRows, product_key, sources_key

import codesign
from codesign.store.content import config_text, content_key

FORMS = ("float", "qdq")
QUICK = ("ds_cnn", "resnet8", "anomaly_detector", "conv_autoencoder", "bert_encoder")
CALIBRATION, SAMPLES, QUICK_SAMPLES = 8, 10, 2
CNN_SHARE = 0.99
SECONDS = 1200
"""A network that takes longer is reported as a failure."""


def main(argv: Sequence[str] | None = None) -> int:
    options = _arguments(argv)
    if options.measure:
        print(json.dumps(measure(named(options.measure), options)))
        return 0
    chosen = [n for n in NETWORKS if not options.networks or n.name in options.networks]
    stored = StoredRows(None) if options.quick else StoredRows.load("zoo")
    if options.quick:
        chosen = [n for n in chosen if n.name in (options.networks or QUICK)]
    if options.quick or options.rerun:
        _measure_missing(chosen, stored, options)
    rows = [
        stored.rows[name]
        for network in chosen
        for name in (_row_name(network, form) for form in FORMS)
        if name in stored.rows
    ]
    if not rows:
        sys.exit(NOTHING_STORED)
    results = Results(f"zoo on {options.config} (T2)", claims(rows, len(chosen)))
    keys = {network.name: _key(network, options) for network in chosen}
    stale = sum(row["key"] != keys[row["network"]] for row in rows)
    results.figures |= {"networks": len(chosen), "rows of older sources": stale}
    if options.json:
        results.figures["rows"] = rows
    elif options.markdown:
        print("\n".join(markdown(rows)))
        return results.exit_code
    else:
        _show(rows)
    results.show(options.json)
    return results.exit_code


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    made = parser(__doc__ or "")
    made.add_argument("-c", "--config", default="pynq", help="configuration (default pynq)")
    made.add_argument(
        "--rerun", action="store_true", help="measure what changed since it was stored"
    )
    made.add_argument("--markdown", action="store_true", help="print the table of the README")
    made.add_argument(
        "--processes", type=int, default=os.cpu_count(), help="networks at a time (default: cores)"
    )
    made.add_argument("--networks", nargs="+", metavar="NAME", help="only these")
    made.add_argument("--measure", metavar="NAME", help=argparse.SUPPRESS)
    return made.parse_args(argv)


def _measure_missing(
    chosen: Sequence[Network], stored: StoredRows, options: argparse.Namespace
) -> None:
    """Store rows of the networks that have none, failed ones, or rows made from something else."""

    def done(name: str, key: str) -> bool:
        return stored.is_current(name, key) and not stored.rows[name]["error"]

    with ThreadPoolExecutor(options.processes) as pool:
        waiting = {
            pool.submit(_measure_apart, network, options): (network, key)
            for network, key in ((network, _key(network, options)) for network in chosen)
            if not all(done(_row_name(network, form), key) for form in FORMS)
        }
        for measured in as_completed(waiting):
            network, key = waiting[measured]
            for form, row in measured.result().items():
                stored.put(_row_name(network, form), key, row)


def _row_name(network: Network, form: str) -> str:
    return f"{network.name}/{form}"


def _key(network: Network, options: argparse.Namespace) -> str:
    config = config_text(codesign.load_config(options.config))
    definition = sources_key("benchmarks/networks")
    made_from = [network.name, network.shape, options.seed, config, definition, product_key()]
    return content_key(made_from)


def _measure_apart(network: Network, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Rows by form, measured in a process of their own: a crash there is a row that says so."""
    command = [sys.executable, __file__, "--measure", network.name, "-c", options.config]
    command += ["--seed", str(options.seed), *(["--quick"] if options.quick else [])]
    started = time.perf_counter()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        rows: dict[str, dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        rows = _failed(network, f"took more than {SECONDS} s")
    except (IndexError, ValueError):
        last = [line for line in done.stderr.splitlines() if line.strip()] or ["no output"]
        rows = _failed(network, f"exit status {done.returncode}: {last[-1]}")
    errors = "; ".join(f"{form}: {row['error']}" for form, row in rows.items() if row["error"])
    STDERR.print(f"{network.name}: {time.perf_counter() - started:.0f} s {errors}", markup=False)
    return rows


def _failed(network: Network, error: str) -> dict[str, dict[str, Any]]:
    row = {"network": network.name, "kind": network.kind, "error": error}
    return {form: {**row, "form": form} for form in FORMS}


def measure(network: Network, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Both rows of a network; what fails becomes the row's ``error``."""
    logging.disable(logging.WARNING)
    cfg = codesign.load_config(options.config)
    x = inputs(network, QUICK_SAMPLES if options.quick else SAMPLES, options.seed + 2)
    calibration = inputs(network, CALIBRATION, options.seed + 3)
    rows: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = export(network, Path(folder, f"{network.name}.onnx"), options.seed)
        wanted = onnxruntime_outputs(path, x)
        qdq = quantize(path, calibration)
        constant = constant_weight_macs(path)
        theirs = onnxruntime_outputs(qdq, x)
        for form in FORMS:
            row = _failed(network, "")[form]
            try:
                model, data = (path, calibration) if form == "float" else (qdq, None)
                row |= _compile_and_run(model, cfg, data, x, wanted)
            except Exception as error:  # whatever went wrong is this row's result
                text = " ".join(str(error).split())
                row["error"] = f"{type(error).__name__}: {text[-300:]}"
            else:
                row |= {"constant_macs": constant, "distance_int8": distance(theirs, wanted)}
            rows[form] = row
    return rows


def _compile_and_run(path: Path, cfg: Any, calibration: Any, x: Any, wanted: Any) -> dict[str, Any]:
    started = time.perf_counter()
    package = codesign.compile(path, cfg, calibration=calibration)
    compiled = time.perf_counter()
    result = package.run({"x": x})
    ran = time.perf_counter()
    bound = sum(layer.roofline_cycles for layer in result.layers)
    return {
        "outputs_match": result.outputs_match,
        "samples": result.samples,
        "distance": distance(list(result.outputs.values()), wanted),
        "macs": result.macs,
        "offloaded_macs": result.offloaded_macs,
        "regions": len(package.graphs),
        "host_ops": len(package.host_ops),
        "cycles": result.cycles,
        "utilization": result.utilization,
        "peak_dram_bytes": result.peak_dram_bytes,
        "over_bound": result.cycles / bound if bound else 0.0,
        "compile_s": round(compiled - started, 1),
        "run_s": round(ran - compiled, 1),
    }


def distance(ours: Sequence[Any], theirs: Sequence[Any]) -> float:
    """1 - cosine over all outputs together."""
    a, b = (np.concatenate([o.astype(np.float64).ravel() for o in side]) for side in (ours, theirs))
    return float(1 - a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-30))


def offloaded(row: dict[str, Any]) -> float:
    """Share of the MACs that the accelerator should have."""
    whole = row["macs"] if row["kind"] == "cnn" else row["constant_macs"]
    return row["offloaded_macs"] / whole if whole else 1.0


def claims(rows: Sequence[dict[str, Any]], networks: int) -> list[Claim]:
    """What must hold over the rows."""
    ran = [row for row in rows if not row["error"]]
    exact = sum(row["outputs_match"] for row in ran)
    total = len(FORMS) * networks
    made = [
        Claim("compile and run", len(ran) / total, "share", "1", len(ran) == total),
        Claim("equal to the integer reference", exact / total, "share", "1", exact == total),
    ]
    for kinds, name, least in (
        (("cnn",), "MACs offloaded, convolutional networks, least", CNN_SHARE),
        (("attention", "mlp"), "constant-weight MACs offloaded, the others, least", 1.0),
    ):
        shares = [offloaded(row) for row in ran if row["kind"] in kinds]
        if shares:
            holds = min(shares) >= least
            made.append(Claim(name, min(shares), "share", f"≥ {least:g}", holds, shares))
    return made


_COLUMNS: tuple[tuple[str, Callable[[dict[str, Any]], str]], ...] = (
    ("million MACs", lambda row: f"{row['macs'] / 1e6:.1f}"),
    ("offloaded", lambda row: f"{100 * offloaded(row):.4g} %"),
    ("regions", lambda row: str(row["regions"])),
    ("thousand cycles", lambda row: f"{row['cycles'] / 1e3:.0f}"),
    ("utilisation", lambda row: f"{100 * row['utilization']:.0f} %"),
    ("÷ bound", lambda row: f"{row['over_bound']:.2f}"),
    ("peak DRAM, MB", lambda row: f"{row['peak_dram_bytes'] / 1e6:.1f}"),
    ("compile, s", lambda row: f"{row['compile_s']:.0f}"),
)


def markdown(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Lines of the README's table: a network each, float / QDQ where the forms differ."""
    lines = [
        "| network | " + " | ".join(title for title, _ in _COLUMNS) + " |",
        "|---" + "|---:" * len(_COLUMNS) + "|",
    ]
    for name in dict.fromkeys(row["network"] for row in rows):
        forms = [row for row in rows if row["network"] == name]
        cells = [
            " / ".join(dict.fromkeys("failed" if row["error"] else text(row) for row in forms))
            for _, text in _COLUMNS
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def _show(rows: Sequence[dict[str, Any]]) -> None:
    table = Table(title="zoo", title_justify="left")
    headings = ("network", "form", "match", "MMACs", "offloaded", "regions", "host ops", "kcycles",
                "utilisation", "÷ bound", "DRAM MB", "compile s", "run s",
                "1-cos", "1-cos int8")  # fmt: skip
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("network", "form") else "right")
    for row in rows:
        if row["error"]:
            table.add_row(row["network"], row["form"], f"[red]{row['error'][:60]}[/]")
            continue
        table.add_row(
            row["network"],
            row["form"],
            "yes" if row["outputs_match"] else "[red]no[/]",
            f"{row['macs'] / 1e6:.1f}",
            f"{offloaded(row):.2%}",
            str(row["regions"]),
            str(row["host_ops"]),
            f"{row['cycles'] / 1e3:.0f}",
            f"{row['utilization']:.1%}",
            f"{row['over_bound']:.3f}",
            f"{row['peak_dram_bytes'] / 1e6:.2f}",
            f"{row['compile_s']:.1f}",
            f"{row['run_s']:.1f}",
            f"{row['distance']:.4f}",
            f"{row['distance_int8']:.4f}",
        )
    Console(highlight=False, width=160).print(table)


if __name__ == "__main__":
    sys.exit(main())
