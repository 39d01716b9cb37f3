"""``codesign trace``: simulate sampled points into a trace store, or export a store."""

from __future__ import annotations

import argparse
import time

from codesign.cli.common import (
    add_calibration_argument,
    notice,
    positive,
    print_json,
    progress,
    seed,
)

NAME = "trace"
HELP = "simulate sampled layers and configurations into a trace store"

_SAMPLINGS = ("random", "sobol", "active")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--network",
        action="append",
        metavar="SPACE|ONNX",
        help="network space (`codesign nn list`) or ONNX file; may be repeated",
    )
    parser.add_argument("--hardware", metavar="SPACE", help="space of `codesign configs list`")
    parser.add_argument(
        "--samples", type=positive, default=1000, metavar="N", help="pairs (default 1000)"
    )
    parser.add_argument(
        "--sampling",
        choices=_SAMPLINGS,
        default="random",
        help="uniform, low discrepancy, or where models disagree (default random)",
    )
    parser.add_argument(
        "--schedules",
        type=positive,
        metavar="K",
        help="simulate K random schedules of every pair beside the best one",
    )
    parser.add_argument("--seed", type=seed, default=0, metavar="S", help="default 0")
    parser.add_argument(
        "--workers", type=positive, default=1, metavar="W", help="processes (default 1)"
    )
    add_calibration_argument(parser)
    parser.add_argument("-o", "--output", required=True, metavar="DB", help="store to add to")
    parser.add_argument(
        "--export",
        metavar="FILE",
        help="then write the whole store as .parquet or .csv; without --network it only does that",
    )
    parser.set_defaults(usage_error=parser.error)


def run(args: argparse.Namespace) -> int:
    """Collect, export, or both; running the same command again adds what is missing."""
    facts: dict[str, object] = {"store": args.output}
    if bool(args.network) != bool(args.hardware) or not (args.network or args.export):
        args.usage_error("give --network and --hardware, or --export FILE, or all three")
    if args.network:
        facts |= _collect(args)
    if args.export:
        facts |= _export(args)
    if args.json:
        print_json(facts)
    return 0


def _collect(args: argparse.Namespace) -> dict[str, object]:
    from codesign.cli.layers import hardware_configs, network_layers
    from codesign.costmodel import collect
    from codesign.store import TraceStore

    started = time.perf_counter()
    configs = hardware_configs(args.hardware, args.seed)
    networks = network_layers(args.network, args.seed, configs[-1], args.calibration)
    layers = list(dict.fromkeys(layer for members in networks.values() for layer in members))
    pairs = min(args.samples, len(layers) * len(configs))
    with TraceStore.open(args.output) as store, progress("simulating", pairs) as advance:
        shown = 0

        def show(done: int, total: int) -> None:
            nonlocal shown
            advance(done - shown)
            shown = done

        done = collect(
            *(layers, configs, args.samples, args.seed, store, args.workers, show),
            sampling=args.sampling,
            schedules=args.schedules or 0,
        )
    seconds = time.perf_counter() - started
    if pairs < args.samples:
        notice(f"{len(layers)} layers x {len(configs)} configurations have only {pairs} pairs")
    if not args.json:
        print(
            f"{pairs} pairs of {len(layers)} layers and {len(configs)} configurations: "
            f"{done.simulated} simulated in {seconds:.1f} s, {done.known} known, "
            f"{done.infeasible} infeasible -> {args.output}"
        )
    return {
        "layers": len(layers),
        "configs": len(configs),
        "samples": pairs,
        "simulated": done.simulated,
        "known": done.known,
        "infeasible": done.infeasible,
        "seconds": round(seconds, 2),
    }


def _export(args: argparse.Namespace) -> dict[str, object]:
    from codesign.store import TraceStore
    from codesign.store.export import export_traces

    with TraceStore.open(args.output, readonly=True) as store:
        rows = export_traces(store, args.export)
    if not args.json:
        print(f"{rows} rows of {args.output} -> {args.export}")
    return {"export": args.export, "rows": rows}
