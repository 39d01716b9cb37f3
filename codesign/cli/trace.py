"""``codesign trace``: simulate random (layer, configuration) pairs into a trace store."""

from __future__ import annotations

import argparse
import time

from codesign.cli.common import add_calibration_argument, notice, positive, print_json, progress

NAME = "trace"
HELP = "simulate sampled layers and configurations into a trace store"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--network",
        required=True,
        action="append",
        metavar="SPACE|ONNX",
        help="network space (`codesign nn list`) or ONNX file; may be repeated",
    )
    parser.add_argument(
        "--hardware", required=True, metavar="SPACE", help="space of `codesign configs list`"
    )
    parser.add_argument("--samples", type=positive, default=1000, metavar="N", help="default 1000")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="default 0")
    parser.add_argument(
        "--workers", type=positive, default=1, metavar="W", help="processes (default 1)"
    )
    add_calibration_argument(parser)
    parser.add_argument("-o", "--output", required=True, metavar="DB", help="store to add to")


def run(args: argparse.Namespace) -> int:
    """Collect; running the same command again adds what is missing."""
    from codesign.cli.layers import hardware_configs, network_layers
    from codesign.costmodel import collect
    from codesign.store import TraceStore

    started = time.perf_counter()
    configs = hardware_configs(args.hardware, args.samples, args.seed)
    networks = network_layers(args.network, args.seed, configs[-1], args.calibration)
    layers = list(dict.fromkeys(layer for members in networks.values() for layer in members))
    with TraceStore.open(args.output) as store, progress("simulating", args.samples) as advance:
        shown = 0

        def show(done: int, total: int) -> None:
            nonlocal shown
            advance(done - shown)
            shown = done

        done = collect(layers, configs, args.samples, args.seed, store, args.workers, show)
    seconds = time.perf_counter() - started
    drawn = done.simulated + done.known
    if drawn < args.samples:
        notice(f"{len(layers)} layers x {len(configs)} configurations have only {drawn} pairs")
    if args.json:
        print_json(
            {
                "store": args.output,
                "layers": len(layers),
                "configs": len(configs),
                "samples": drawn,
                "simulated": done.simulated,
                "known": done.known,
                "infeasible": done.infeasible,
                "seconds": round(seconds, 2),
            }
        )
    else:
        print(
            f"{drawn} pairs of {len(layers)} layers and {len(configs)} configurations: "
            f"{done.simulated} simulated in {seconds:.1f} s, {done.known} known, "
            f"{done.infeasible} infeasible -> {args.output}"
        )
    return 0
