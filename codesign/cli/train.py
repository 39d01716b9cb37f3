"""``codesign train``: XGBoost on a trace store, with its errors on unseen groups."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from codesign.cli.common import notice, print_json, print_table, seed

if TYPE_CHECKING:
    from codesign.costmodel import SplitError

NAME = "train"
HELP = "train the cost model on a trace store"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("store", metavar="DB", help="trace store made by `codesign trace`")
    parser.add_argument(
        "-o", "--output", required=True, metavar="model.ubj", help="model; model.json goes beside"
    )
    parser.add_argument("--seed", type=seed, default=0, metavar="S", help="default 0")
    parser.add_argument(
        "--network",
        action="append",
        metavar="SPACE|ONNX",
        help="a family of networks; of two or more, some are held out with all their layers for "
        "the error on unseen networks",
    )


def _row(name: str, e: SplitError) -> tuple[object, ...]:
    inside = None if e.coverage is None else f"{e.coverage:.1%}"
    errors = (e.mape, e.median, e.p95, e.spearman)
    return (name.replace("_", " "), e.held_out, e.test_rows, *errors, inside)


def run(args: argparse.Namespace) -> int:
    """Train on all rows; the errors printed come from models that lack the held-out groups."""
    from codesign.cli.layers import network_layers
    from codesign.costmodel import manifest, read, train
    from codesign.store import TraceStore

    manifest.check_target(Path(args.output))
    with TraceStore.open(args.store, readonly=True) as store:
        rows = read(store)
    networks = None
    if args.network:
        networks = network_layers(args.network, args.seed, rows.configs[0])
    model, errors = train(rows, args.seed, networks=networks)
    model.save(args.output)
    if args.json:
        print_json({"model": args.output, **model.manifest})
        return 0
    print_table(
        ("test on", "held out", "rows", "mean %", "median %", "p95 %", "Spearman", "in interval"),
        [_row(name, error) for name, error in errors.by_split.items()]
        + [_row(f"{name}, energy", error) for name, error in errors.energy.items()],
        title=f"{len(rows.cycles)} traces, {len(rows.workloads)} layer shapes, "
        f"{len(rows.configs)} configurations -> {args.output}",
    )
    for name, why in errors.missing.items():
        notice(f"{name.replace('_', ' ')}: {why}")
    return 0
