"""``codesign nn``: network spaces, sampled networks as ONNX, accuracies of networks."""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from typing import Any

from codesign.cli.common import positive, print_json, print_table, seed

NAME = "nn"
HELP = "list, sample and look up networks of a space"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = verbs.add_parser("list", help="the network spaces")
    sample = verbs.add_parser("sample", help="draw a network; with -o, export it to ONNX")
    sample.add_argument("space", metavar="SPACE")
    sample.add_argument("--genotype", metavar="TEXT", help="this network instead of a random one")
    sample.add_argument("-o", "--output", metavar="ONNX", help="file to write (untrained weights)")
    sample.add_argument("--seed", type=seed, default=0, help="of the draw and the weights")
    accuracy = verbs.add_parser("accuracy", help="accuracy of a network: looked up, or trained")
    accuracy.add_argument("space", metavar="SPACE")
    accuracy.add_argument("genotype", metavar="GENOTYPE")
    accuracy.add_argument("--split", default="", help="split of the table, default its first")
    accuracy.add_argument(
        "--source",
        choices=("table", "train", "supernet"),
        default="table",
        help="published accuracies (default), training here, or weights of a supernet",
    )
    accuracy.add_argument("--epochs", type=positive, help="of training (default 10)")
    accuracy.add_argument(
        "--seeds", type=seed, nargs="+", metavar="N", help="of training (default 0)"
    )
    accuracy.add_argument("--path", metavar="FOLDER", help="files of the data set, if it has any")
    accuracy.add_argument("--store", metavar="FILE", help="keeps measured accuracies (train)")
    accuracy.add_argument("--checkpoint", metavar="FILE", help="keeps the weights (supernet)")
    accuracy.set_defaults(usage_error=accuracy.error)
    for verb in (sample, accuracy):
        verb.add_argument("--dataset", help="data set, default the space's own")
        verb.add_argument(
            "--resolution", type=int, metavar="PIXELS", help="default the space's own"
        )
    for verb in (listing, sample, accuracy):
        verb.add_argument("--json", action="store_true", default=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    return {"list": _list, "sample": _sample, "accuracy": _accuracy}[args.action](args)


def _list(args: argparse.Namespace) -> int:
    from codesign.nn import load_network_space, space_names
    from codesign.nn.tables import table_names

    rows: list[dict[str, Any]] = []
    for space in map(load_network_space, space_names()):
        facts = {"name": space.name, "networks": space.count(), "dataset": space.dataset}
        rows.append({**facts, "input": list(space.input_shape), "tables": table_names(space.name)})
    if args.json:
        print_json(rows)
        return 0
    shown = [
        (
            row["name"],
            f"{row['networks']:,}" if row["networks"] < 10**9 else f"{row['networks']:.3g}",
            row["dataset"],
            "x".join(map(str, row["input"])),
            ", ".join(row["tables"]) or "-",
        )
        for row in rows
    ]
    print_table(("space", "networks", "data set", "input", "trained accuracies"), shown)
    return 0


def _sample(args: argparse.Namespace) -> int:
    import numpy as np

    from codesign.nn import load_network_space

    space = load_network_space(args.space, args.dataset, args.resolution)
    if args.genotype is None:
        genotype = space.sample(np.random.default_rng(args.seed))
    else:
        genotype = space.from_json(args.genotype)
    macs = sum(workload.macs * count for workload, count in space.layers(genotype))
    if args.output is not None:
        space.to_onnx(genotype, args.output, args.seed)
    text = space.to_json(genotype)
    if args.json:
        weights = None if args.output is None else "untrained"
        facts = {"space": space.name, "genotype": text, "macs": macs}
        print_json({**facts, "onnx": args.output, "weights": weights})
    else:
        print(text)
    return 0


def _accuracy(args: argparse.Namespace) -> int:
    from codesign.nn import TableAccuracy, load_network_space
    from codesign.nn.trained import SupernetAccuracy, TrainedAccuracy
    from codesign.search import AccuracyChoice, NetworkChoice
    from codesign.search.accuracy import accuracy_source

    of_training = ("path", "epochs", "seeds")
    given = {name: getattr(args, name) for name in of_training if getattr(args, name) is not None}
    if args.source == "table" and given:
        args.usage_error(
            f"argument --{next(iter(given))}: --source table trains nothing; leave it out, or add "
            "--source train or --source supernet"
        )
    if "seeds" in given:
        given["seeds"] = tuple(given["seeds"])
    space = load_network_space(args.space, args.dataset, args.resolution)
    text = space.to_json(space.from_json(args.genotype))
    choice = AccuracyChoice(
        args.source,
        args.dataset if args.source == "table" else args.dataset or space.dataset,
        args.split or None,
        store=args.store,
        checkpoint=args.checkpoint,
        **given,
    )
    networks = NetworkChoice(args.space, args.dataset, resolution=args.resolution)
    source = accuracy_source(networks, choice)
    value = float(source.lookup([text])[0])
    what = source.what
    if isinstance(source, TableAccuracy):
        between = float(source.spread([text])[0])  # nan: the table has one figure for the network
        what = replace(what, spread=None if math.isnan(between) else between)
    final = None
    if isinstance(source, (TrainedAccuracy, SupernetAccuracy)):
        final = float(source.tested([text])[0])
    if args.json:
        print_json({"genotype": text, "accuracy": value, "test": final, **vars(what)})
        return 0
    spread = "" if what.spread is None else f" ± {what.spread:.2f}"
    on = f"{what.dataset} {what.split}, {what.kind}"
    print(f"{value:.2f}{spread} % top-1, {on}, {what.source}, seeds: {what.seeds}")
    if final is not None:
        print(f"{final:.2f} % top-1, {what.dataset} test")
    return 0
