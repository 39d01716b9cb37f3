"""``codesign tune``: search schedules for one network on one configuration into a records file."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from codesign.cli.common import add_config_argument, notice, print_json, print_table, progress

if TYPE_CHECKING:
    from codesign.hw.config import Dataflow, VtaConfig
    from codesign.kernels import Workload
    from codesign.store.records import Outcome

NAME = "tune"
HELP = "search schedules for a network into a records file"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("model", metavar="MODEL.onnx", help="float or quantised (QDQ) ONNX model")
    add_config_argument(parser)
    parser.add_argument("-o", "--output", required=True, metavar="RECORDS", help="file to add to")
    parser.add_argument(
        "--trials",
        type=_positive,
        default=32,
        metavar="N",
        help="schedules of each dataflow to simulate for a layer (default %(default)s)",
    )
    parser.add_argument(
        "--dataflow",
        choices=("auto", "ws", "os", "is", "rs"),
        help="instead of the configuration's",
    )
    parser.add_argument(
        "--calibration", metavar="DATA.npz", help="one array per input, samples first; float models"
    )


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def run(args: argparse.Namespace) -> int:
    """Tune what is not recorded yet; a killed run goes on where it stopped."""
    import codesign
    from codesign.cli.layers import onnx_units
    from codesign.kernels import ScheduleResult, best_schedule, known_schedules, lower_bound
    from codesign.store import records

    cfg = codesign.load_config(args.config)
    if args.dataflow is not None:
        cfg = replace(cfg, dataflow=args.dataflow)
    known = records.load(args.output) if Path(args.output).exists() else records.Records({})
    if known.other_versions:
        notice(f"{known.other_versions} records are of another version of the simulator: not used")
    layers: dict[Workload, list[str]] = {}

    def ask(workload: Workload, asked: VtaConfig, dataflow: Dataflow | None) -> Outcome | None:
        """Notes what the compiler asks for: more than the units that it settles on."""
        layers.setdefault(workload, [])
        return known.lookup(workload, asked, dataflow)

    with known_schedules(ask):
        units = onnx_units(args.model, cfg, args.calibration)
    for name, workload in units:
        layers[workload].append(name)
    rows: list[tuple[str, int, int, int, float, str]] = []
    tuned = 0
    with progress("tuning", len(layers)) as advance:
        for workload, names in layers.items():
            found = known.find(workload, cfg)
            if found is None or found.trials < args.trials:
                outcome = best_schedule(workload, cfg, None, args.trials)
                found = records.Record(outcome, args.trials)
                records.append(args.output, workload, cfg, found)
                tuned += 1
            usual = best_schedule(workload, cfg)
            if isinstance(found.outcome, ScheduleResult) and isinstance(usual, ScheduleResult):
                cycles, flow = found.outcome.cycles, found.outcome.schedule.dataflow
                ratio = cycles / lower_bound(workload, cfg).cycles
                if names:
                    rows.append((names[0], len(names), usual.cycles, cycles, ratio, flow))
            advance(1)
    if args.json:
        keys = ("name", "units", "cycles_untuned", "cycles", "cycles_by_bound", "dataflow")
        table = [dict(zip(keys, row, strict=True)) for row in rows]
        print_json({"records": args.output, "trials": args.trials, "tuned": tuned, "layers": table})
        return 0
    print_table(("layer", "units", "untuned", "cycles", "÷ bound", "dataflow"), rows)
    print(f"{tuned} of {len(layers)} distinct layers tuned -> {args.output}")
    return 0
