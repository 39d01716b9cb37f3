"""``codesign tune``: search schedules for one network on one configuration into a records file.

A schedule is the best of its layer alone, or (``--compose overlap``) the best for the whole stream.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codesign.cli.common import (
    add_calibration_argument,
    add_config_argument,
    add_dataflow_argument,
    notice,
    positive,
    print_json,
    print_table,
    progress,
)
from codesign.cli.layers import quantized_network

if TYPE_CHECKING:
    from codesign.compiler import Package
    from codesign.hw.config import Dataflow, VtaConfig
    from codesign.kernels import Workload
    from codesign.store.records import Outcome, Records

NAME = "tune"
HELP = "search schedules for a network into a records file"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("model", metavar="MODEL.onnx", help="float or quantised (QDQ) ONNX model")
    add_config_argument(parser)
    parser.add_argument("-o", "--output", required=True, metavar="RECORDS", help="file to add to")
    parser.add_argument(
        "--trials",
        type=positive,
        default=32,
        metavar="N",
        help="schedules of each dataflow to simulate for a layer (default %(default)s)",
    )
    parser.add_argument(
        "--compose",
        choices=("exact", "overlap"),
        default="exact",
        help="exact: each layer's fastest schedule, run alone; overlap: the schedules with which "
        "the network's stream is shortest, for `compile --compose overlap`; keep a file for each "
        "(default %(default)s)",
    )
    add_dataflow_argument(parser)
    add_calibration_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Tune what is not recorded yet; a killed run goes on where it stopped."""
    import codesign
    from codesign.store import records

    cfg = codesign.load_config(args.config)
    if args.dataflow is not None:
        cfg = replace(cfg, dataflow=args.dataflow)
    known = records.load(args.output) if Path(args.output).exists() else records.Records({})
    if known.other_versions:
        notice(f"{known.other_versions} records are of another version of the simulator: not used")
    module = quantized_network(args.model, args.calibration)
    in_stream = args.compose == "overlap"
    tuned, before = 0, 0
    while True:  # tuned cycles may make the compiler decide, and ask, otherwise
        package, asked = _compiled(module, cfg, known, in_stream)
        before = before or package.cycles
        missing = [
            workload
            for workload in asked
            if not _is_tuned(known, workload, cfg, args.trials, in_stream)
        ]
        if not missing:
            break
        _tune(missing, package if in_stream else None, cfg, args.trials, args.output)
        tuned += len(missing)
        known = records.load(args.output)
    rows = _rows([(unit.name, unit.workload) for unit in package.units], cfg, known)
    if args.json:
        keys = ("name", "units", "cycles_untuned", "cycles", "cycles_by_bound", "dataflow")
        table = [dict(zip(keys, row, strict=True)) for row in rows]
        network = {"compose": args.compose, "cycles_before": before, "cycles": package.cycles}
        counts = {"records": args.output, "trials": args.trials, "tuned": tuned}
        print_json({**counts, **network, "layers": table})
        return 0
    alone = ("alone, untuned", "alone") if in_stream else ("untuned", "cycles")
    print_table(("layer", "units", *alone, "÷ bound", "dataflow"), rows)
    print(f"{tuned} of {len(asked)} distinct layers tuned -> {args.output}")
    print(f"network, compose {args.compose}: {before} cycles before, {package.cycles} now")
    return 0


def _compiled(
    module: Any, cfg: VtaConfig, known: Records, in_stream: bool
) -> tuple[Package, list[Workload]]:
    """The network compiled with what is known, and the layers to tune: those it consists of, or,
    for schedules of layers alone, all that the compiler asks for."""
    import codesign
    from codesign.kernels import known_schedules

    asked: dict[Workload, None] = {}

    def lookup(workload: Workload, asked_for: VtaConfig, flow: Dataflow | None) -> Outcome | None:
        asked[workload] = None
        return known.lookup(workload, asked_for, flow)

    with known_schedules(lookup):
        package = codesign.compile(module, cfg, compose="overlap" if in_stream else "exact")
    units = dict.fromkeys(unit.workload for unit in package.units)
    return package, list(units if in_stream else asked)


def _is_tuned(
    known: Records, workload: Workload, cfg: VtaConfig, trials: int, in_stream: bool
) -> bool:
    found = known.find(workload, cfg)
    return found is not None and found.trials >= trials and found.in_stream >= in_stream


def _tune(
    workloads: Sequence[Workload], package: Package | None, cfg: VtaConfig, trials: int, path: str
) -> None:
    """Record each layer as soon as it is tuned: alone, or in the streams of ``package``."""
    from codesign.compiler.stream_tuning import tune_in_stream
    from codesign.kernels import best_schedule, measure
    from codesign.store import records

    found = (
        ((workload, best_schedule(workload, cfg, None, trials)) for workload in workloads)
        if package is None
        else (
            (unit.workload, measure(unit.workload, cfg, unit.schedule))
            for unit in tune_in_stream(package, trials, workloads)
        )
    )
    with progress("tuning", len(workloads)) as advance:
        for workload, outcome in found:
            record = records.Record(outcome, trials, in_stream=package is not None)
            records.append(path, workload, cfg, record)
            advance(1)


def _rows(
    units: Sequence[tuple[str, Workload]], cfg: VtaConfig, known: Records
) -> list[tuple[str, int, int, int, float, str]]:
    """One row for each distinct unit: the first one's name, how many there are, what it takes."""
    from codesign.kernels import ScheduleResult, best_schedule, lower_bound

    names: dict[Workload, list[str]] = {}
    for name, workload in units:
        names.setdefault(workload, []).append(name)
    rows: list[tuple[str, int, int, int, float, str]] = []
    for workload, same in names.items():
        found = known.find(workload, cfg)
        usual = best_schedule(workload, cfg)
        assert found is not None
        if isinstance(found.outcome, ScheduleResult) and isinstance(usual, ScheduleResult):
            cycles, flow = found.outcome.cycles, found.outcome.schedule.dataflow
            ratio = cycles / lower_bound(workload, cfg).cycles
            rows.append((same[0], len(same), usual.cycles, cycles, ratio, flow))
    return rows
