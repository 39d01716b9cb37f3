"""``codesign tune``: search schedules for one network on one configuration into a records file."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from codesign.cli.common import add_config_argument, notice, print_json, print_table, progress

NAME = "tune"
HELP = "search schedules for a network on a configuration into a records file"


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
    from codesign.errors import Infeasible
    from codesign.kernels import best_schedule, lower_bound
    from codesign.store import records

    cfg = codesign.load_config(args.config)
    if args.dataflow is not None:
        cfg = replace(cfg, dataflow=args.dataflow)
    known = records.load(args.output) if Path(args.output).exists() else records.Records({})
    units = onnx_units(args.model, cfg, args.calibration)
    layers = list(dict.fromkeys(workload for _, workload in units))
    rows: list[tuple[str, int, int, float, str]] = []
    tuned = 0
    with progress("tuning", len(layers)) as advance:
        for workload in layers:
            record = known.find(workload, cfg)
            if record is None or record.trials < args.trials:
                record = records.Record(
                    best_schedule(workload, cfg, None, args.trials), args.trials
                )
                records.append(args.output, workload, cfg, record)
                tuned += 1
            if not isinstance(record.outcome, Infeasible):
                usual = best_schedule(workload, cfg)
                before = record.outcome if isinstance(usual, Infeasible) else usual
                cycles, bound = record.outcome.cycles, lower_bound(workload, cfg).cycles
                name = next(name for name, unit in units if unit == workload)
                flow = record.outcome.schedule.dataflow
                rows.append((name, before.cycles, cycles, cycles / bound, flow))
            advance(1)
    count = {unit: sum(other == unit for _, other in units) for unit in layers}
    if args.json:
        keys = ("name", "cycles_untuned", "cycles", "cycles_by_bound", "dataflow")
        table = [dict(zip(keys, row, strict=True)) for row in rows]
        print_json({"records": args.output, "layers": table, "tuned": tuned, "trials": args.trials})
        return 0
    print_table(("layer", "untuned", "cycles", "÷ bound", "dataflow"), rows)
    print(
        f"{tuned} of {len(layers)} distinct layers ({sum(count.values())} units) -> {args.output}"
    )
    if known.other_versions:
        notice(f"{known.other_versions} records are of another version of the simulator: not used")
    return 0
