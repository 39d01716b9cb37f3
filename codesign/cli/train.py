"""``codesign train``: XGBoost on a trace store, with its errors on unseen groups."""

from __future__ import annotations

import argparse

from codesign.cli.common import notice, print_json, print_table

NAME = "train"
HELP = "train the cost model on a trace store"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("store", metavar="DB", help="trace store made by `codesign trace`")
    parser.add_argument(
        "-o", "--output", required=True, metavar="model.ubj", help="model; model.json goes beside"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="default 0")
    parser.add_argument(
        "--network",
        action="append",
        metavar="SPACE|ONNX",
        help="networks to hold out for the error on unseen networks; may be repeated",
    )


def run(args: argparse.Namespace) -> int:
    """Train on all rows; the errors printed come from models that lack the held-out groups."""
    from codesign.cli.layers import network_layers
    from codesign.costmodel import read, train
    from codesign.store import TraceStore

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
        ("test on", "held out", "rows", "mean %", "median %", "p95 %", "Spearman"),
        [
            (name.replace("_", " "), e.held_out, e.test_rows, e.mape, e.median, e.p95, e.spearman)
            for name, e in errors.by_split.items()
        ],
        title=f"{len(rows.cycles)} traces, {len(rows.workloads)} layer shapes, "
        f"{len(rows.configs)} configurations -> {args.output}",
    )
    for name, why in errors.missing.items():
        notice(f"{name.replace('_', ' ')}: {why}")
    return 0
