"""``codesign predict``: a network's cycles on a configuration, from the cost model."""

from __future__ import annotations

import argparse
import math
from typing import Any

from codesign.cli.common import (
    add_calibration_argument,
    add_config_argument,
    notice,
    print_json,
    print_table,
)

NAME = "predict"
HELP = "predict a network's cycles on a configuration"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", metavar="MODEL.onnx")
    add_config_argument(parser)
    parser.add_argument(
        "-m", "--model", required=True, metavar="model.ubj", help="model of `codesign train`"
    )
    add_calibration_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Print the layers' predictions and their sum; layers on the host are not priced."""
    from codesign.cli.layers import onnx_units
    from codesign.costmodel import CostModel
    from codesign.hw.loader import load_config
    from codesign.kernels import lower_bound

    config = load_config(args.config)
    model = CostModel.load(args.model)
    units = onnx_units(args.network, config, args.calibration)
    cycles = model.predict_units([unit for _, unit in units], [config])[:, 0]
    layers: list[dict[str, Any]] = [
        {
            "name": name,
            "op": unit.op,
            "macs": unit.macs,
            "cycles": None if math.isnan(value) else round(value),
            "bound": lower_bound(unit, config).cycles,
        }
        for (name, unit), value in zip(units, cycles.tolist(), strict=True)
    ]
    priced = [layer["cycles"] for layer in layers]
    total = None if None in priced else sum(priced)
    latency = None if total is None else total / config.frequency_mhz / 1e3
    if total is None:
        notice("a layer fits no schedule: no sum")
    if args.json:
        print_json(
            {
                "model": args.network,
                "config": config.name,
                "level": "T1",
                "cycles": total,
                "latency_ms": latency,
                "layers": layers,
            }
        )
        return 0
    rows = [[layer[key] for key in layers[0]] for layer in layers]
    macs = sum(layer["macs"] for layer in layers)
    bound = sum(layer["bound"] for layer in layers)
    print_table(
        ("layer", "op", "MACs", "cycles (predicted)", "lower bound"),
        [*rows, ("sum", "", macs, total, bound)],
        title=f"{args.network} on {config.name}"
        + ("" if latency is None else f": {latency:.4g} ms predicted (T1)"),
    )
    return 0
