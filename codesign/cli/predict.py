"""``codesign predict``: a network's cycles on a configuration, from the cost model."""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from codesign.cli.common import (
    add_calibration_argument,
    add_config_argument,
    notice,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from codesign.hw.config import VtaConfig
    from codesign.kernels.workload import Workload

NAME = "predict"
HELP = "predict a network's cycles on a configuration"

_SUMMED = {"cycles": "cycles", "low": "sum_of_low", "high": "sum_of_high", "energy_mj": "energy_mj"}
"""What layers have -> the name of its sum: limits of a sum are no interval of it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "network",
        metavar="MODEL.onnx|SPACE:GENOTYPE",
        help="ONNX file, or a network of a space of `codesign nn list`",
    )
    add_config_argument(parser)
    parser.add_argument(
        "-m", "--model", required=True, metavar="model.ubj", help="model of `codesign train`"
    )
    add_calibration_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Print the layers' predictions and their sum; layers on the host are not priced."""
    from codesign.costmodel import CostModel
    from codesign.costmodel.intervals import NOMINAL
    from codesign.hw.loader import load_config

    config = load_config(args.config)
    model = CostModel.load(args.model)
    units = _named_units(args.network, config, args.calibration)
    layers = _layers(model, units, config)
    total = {name: _sum(layers, key) for key, name in _SUMMED.items()}
    cycles = total["cycles"]
    latency = None if cycles is None else cycles / config.frequency_mhz / 1e3
    if model.other_simulator is not None:
        notice(f"{args.model}: trained on traces of another simulator ({model.other_simulator})")
    _, (of_config,) = model.extrapolation([], [config])
    for reason in of_config:
        notice(f"extrapolation: {config.name} has {reason} of the traces")
    for layer in layers:
        for reason in layer["extrapolation"]:
            notice(f"extrapolation: {layer['name']} has {reason} of the traces")
    if cycles is None:
        notice("a layer fits no schedule: no sum")
    if args.json:
        facts = {"model": args.network, "config": config.name, "level": "T1"}
        interval = {"nominal": NOMINAL, "config_extrapolation": of_config}
        print_json({**facts, **total, "latency_ms": latency, **interval, "layers": layers})
        return 0
    _print(args.network, config, layers, total, latency)
    return 0


def _named_units(
    network: str, config: VtaConfig, calibration: str | None
) -> list[tuple[str, Workload, int]]:
    """(name, unit, count); a genotype's units are named by what they are."""
    from codesign.cli.layers import onnx_units
    from codesign.costmodel import on_config
    from codesign.nn import load_network_space, space_names

    name, _, genotype = network.partition(":")
    if name in space_names() and genotype:
        space = load_network_space(name)
        counts: Counter[Workload] = Counter()
        for layer, count in space.layers(space.from_json(genotype), borders=True):
            counts[on_config(layer, config)] += count
        return [(_title(unit), unit, count) for unit, count in counts.items()]
    return [(title, unit, 1) for title, unit in onnx_units(network, config, calibration)]


def _title(layer: Workload) -> str:
    kernel = getattr(layer, "kernel", None)
    window = "" if kernel is None else f" {kernel[0]}x{kernel[1]}"
    channels = getattr(layer, "in_channels", None) or getattr(layer, "channels", "")
    return f"{layer.op}{window} {channels}x{layer.out_height}x{layer.out_width}"


def _layers(
    model: Any, units: Sequence[tuple[str, Workload, int]], config: VtaConfig
) -> list[dict[str, Any]]:
    """One row a unit; cycles, limits and energy of a single execution."""
    from codesign.kernels import lower_bound

    workloads = [unit for _, unit, _ in units]
    found = model.predict(workloads, [config])
    flags, _ = model.extrapolation(workloads, [config])
    return [
        {
            "name": name,
            "op": unit.op,
            "count": count,
            "macs": unit.macs,
            "cycles": _whole(found.cycles[row, 0]),
            "low": _whole(found.low[row, 0]),
            "high": _whole(found.high[row, 0]),
            "bound": lower_bound(unit, config).cycles,
            "energy_mj": _number(found.energy_mj[row, 0]),
            "feasible": _number(found.feasible[row, 0]),
            "extrapolation": flags[row],
        }
        for row, (name, unit, count) in enumerate(units)
    ]


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _whole(value: float) -> int | None:
    return None if math.isnan(value) else round(value)


def _sum(layers: Sequence[dict[str, Any]], key: str) -> Any:
    """Over all executions, None where one is missing. Summed limits are those of layers whose
    errors all point the same way."""
    if any(layer[key] is None for layer in layers):
        return None
    return sum(layer["count"] * layer[key] for layer in layers)


def _print(
    network: str,
    config: VtaConfig,
    layers: Sequence[dict[str, Any]],
    total: dict[str, Any],
    latency: float | None,
) -> None:
    from codesign.costmodel.intervals import NOMINAL

    columns = ("name", "op", "count", "macs", "cycles", "low", "high", "bound", "energy_mj")
    rows = [
        [*(layer[key] for key in columns), "yes" if layer["extrapolation"] else ""]
        for layer in layers
    ]
    macs, bound = (sum(la["count"] * la[key] for la in layers) for key in ("macs", "bound"))
    limits = (*(total[name] for name in ("cycles", "sum_of_low", "sum_of_high")), bound)
    sums = (sum(layer["count"] for layer in layers), macs, *limits, total["energy_mj"])
    headings = ("layer", "op", "count", "MACs", "cycles (predicted)", f"{NOMINAL:.0%}* from", "to")
    print_table(
        (*headings, "lower bound", "mJ (estimated)", "extrapolated"),
        [*rows, ("sum; limits are sums of limits", "", *sums, "")],
        title=f"{network} on {config.name}"
        + ("" if latency is None else f": {latency:.4g} ms predicted (T1)"),
    )
    notice(f"* limits hold {NOMINAL:.0%} of the pairs of layers like those traced, on new hardware")
