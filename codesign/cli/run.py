"""``codesign run``: a package on the simulator, checked against its integer reference."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from codesign.cli.common import print_json, print_table
from codesign.cli.streams import read_streams
from codesign.errors import DataError
from codesign.store.atomic import atomic_path, refuse_unwritable

if TYPE_CHECKING:
    from codesign.compiler import LayerResult, Package, RunResult

NAME = "run"
HELP = "run a package on the simulator"
_MISMATCH = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("package", metavar="module.tar", help="what codesign compile wrote")
    parser.add_argument(
        "-i", "--inputs", metavar="IN.npz", help="one array per input, samples first"
    )
    parser.add_argument("-o", "--outputs", metavar="OUT.npz", help="write the network's outputs")
    parser.add_argument(
        "--fill-mode",
        choices=("random", "ones", "zeros"),
        default="random",
        help="inputs where none are given (%(default)s)",
    )
    parser.add_argument("--profile", action="store_true", help="figures of every layer")
    parser.add_argument(
        "--engine",
        choices=("cpp", "reference"),
        default="cpp",
        help="reference: the executable specification, hundreds of times slower (%(default)s)",
    )
    parser.add_argument(
        "--timeline", metavar="T.json", help="write the modules' activity for Perfetto"
    )
    parser.add_argument("--print-time", action="store_true", help="wall time of the simulation")


def run(args: argparse.Namespace) -> int:
    """Run, print, and write the outputs; 1 if the run differs from the integer reference."""
    from codesign.compiler import Package

    if args.outputs and not args.outputs.endswith(".npz"):
        raise DataError(f"{args.outputs}: outputs are written as .npz; give a name that ends so")
    for path in filter(None, (args.outputs, args.timeline)):
        refuse_unwritable(path)
    package = Package.load(args.package)
    inputs = args.inputs or filled(package, args.fill_mode)
    started = time.perf_counter()
    result = package.run(inputs, args.engine)
    seconds = time.perf_counter() - started
    if args.outputs:
        _write(args.outputs, result.outputs)
    if args.timeline:
        _write_timeline(args.package, args.timeline)
    if args.json:
        print_json({**result.to_json(), **({"seconds": seconds} if args.print_time else {})})
    else:
        _show(result, args.profile, seconds if args.print_time else None)
    return 0 if result.outputs_match else _MISMATCH


def filled(package: Package, mode: str) -> dict[str, Any]:
    """One declared batch of seeded random numbers, ones or zeros for every input."""
    rng = np.random.default_rng(0)
    made: dict[str, Any] = {}
    for port in package.inputs:
        kind = np.dtype(port.dtype)
        if mode == "random":
            made[port.name] = rng.standard_normal(port.shape).astype(kind)
        else:
            made[port.name] = np.full(port.shape, int(mode == "ones"), kind)
    return made


def _write(path: str, outputs: dict[str, Any]) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        np.savez(handle, **outputs)


def _write_timeline(package: str, path: str) -> None:
    """The units one after another, as they run, in Chrome's trace-event format."""
    from codesign.isa import decode
    from codesign.sim import Simulator
    from codesign.sim.timeline import chrome_trace, join

    traces: list[dict[str, Any]] = []
    launch = 0
    for stream in read_streams(Path(package), None):
        result = Simulator(stream.cfg).run(stream.instructions, None, timing_only=True)
        table = decode(stream.instructions, stream.cfg)
        traces.append(chrome_trace(result, table, stream.cfg, stream.name, launch))
        launch += result.cycles
    if not traces:
        raise DataError(f"{package}: nothing runs on the accelerator, so there is no timeline")
    with atomic_path(path) as temporary, temporary.open("w") as handle:
        json.dump(join(traces), handle)


def _show(result: RunResult, profile: bool, seconds: float | None) -> None:
    if profile:
        _profile(result)
    offloaded = result.offloaded_macs / result.macs if result.macs else 0.0
    match = "yes" if result.outputs_match else f"NO: {result.first_mismatch}"
    print(f"{result.model} on {result.config}, {result.samples} sample(s); per declared batch:")
    bound = f", {result.cycles / result.roofline_cycles:.3f} x the lower bound"
    print(f"  cycles         {result.cycles}{bound if result.cycles else ''} ({result.compose})")
    print(f"  latency        {result.latency_ms:.4g} ms")
    print(f"  energy         {result.energy_mj:.4g} mJ (estimated)")
    print(f"  MACs           {result.macs}, {offloaded:.1%} offloaded")
    print(f"  utilization    {result.utilization:.1%}")
    print(f"  DRAM           {result.dram_bytes} bytes moved, {result.peak_dram_bytes} taken")
    print(f"  outputs match  {match}")
    if seconds is not None:
        print(f"  wall time      {seconds:.3f} s")


def _profile(result: RunResult) -> None:
    """Every layer, the network, and what the host does."""
    columns = ("layer", "op", "dataflow", "bound by", "cycles", "lower bound", "÷ bound")
    rows = [(x.name, x.op, x.dataflow, x.bound, *_figures(x)) for x in result.layers]
    if rows:
        rows.append(("network", "", "", "", *_figures(result)))
    print_table((*columns, "utilization", "ceiling", "DRAM bytes"), rows)
    print_table(
        ("host operator", "buffer", "bytes", "reason"),
        [(op.name, op.buffer, op.bytes, op.reason) for op in result.host_ops],
    )
    print_table(
        ("energy (estimated)", "mJ", "share"),
        [
            (part, value, f"{value / result.energy_mj:.1%}" if result.energy_mj else "–")
            for part, value in result.energy_parts_mj.items()
        ],
    )


def _figures(x: LayerResult | RunResult) -> tuple[object, ...]:
    ratio = x.cycles / x.roofline_cycles
    return x.cycles, x.roofline_cycles, ratio, x.utilization, x.ceiling, x.dram_bytes
