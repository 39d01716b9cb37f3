"""What 8, 6 and 4 bits cost in accuracy, after training and with training, on the accelerator.

Networks like ResNet-20, MobileNetV2 and ConvNeXt (with batch norm and ReLU), small enough to be
trained here, on `digits` (real) and `shapes32` (drawn). "PTQ" calibrates the float network: in the
compiler at 8 bits, in `codesign.nn.quantization` at 8, 6 and 4. "QAT" goes on training it, for
four epochs, as what the accelerator computes, by shifts and, at 8 bits, by multipliers (below 8
bits, for which nothing is claimed, they are left out for time). Every figure is top-1 of the
compiled integer network on all test images, by its integer reference; every element of it must be
the trained network's, and for some images the simulator's too (T2). A loss is against the float
network, which is not trained for those four epochs more: a negative one is their gain.

QAT's peak rate was chosen among 3e-4, 5e-4 and 1e-3 on images that no row trains or tests on, for
int8 with shifts, by the mean top-1 of two seeds: all three networks on `digits` without its test
parts (3e-4 and 1e-3 equal), ConvNeXt- and MobileNet-like on other `shapes32` (5e-4 and 1e-3 within
0.2 points). Four epochs instead of two are worth up to 2 points there. At 1e-3 a single network
lost up to 1.4 points (ResNet- and ConvNeXt-like, `digits`, 288 images) and gained up to 1.5.

The quantiser study trains NAF's, DoReFa's and PACT's quantisers at 4 bits from the same calibrated
network, without an accelerator, by one recipe for all, which was not tuned. NAF and PACT learn
the range of activations from there, DoReFa keeps it; NAF has 2^3 - 1 levels above zero, the others
2^4 - 1 for rectified tensors.

Prints stored results; ``--rerun`` measures the cells that are missing or were made from older
sources, in ``--processes``, and may be killed and started again.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import trained
from claims import STDERR, Claim, Results, parser
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from stored import APART, NOTHING_STORED, StoredRows, sources_key
from torch import nn

import codesign
from codesign.compiler.package import Package
from codesign.hw.config import VtaConfig
from codesign.nn.datasets import DataSet, digits, real, shapes32
from codesign.nn.export import export_onnx
from codesign.nn.quantization import QUANTIZERS, HardwareFit, QuantizedNetwork, Scheme, export_qdq
from codesign.nn.training import Recipe, predictions, seeded, top1, train
from codesign.store.content import content_key

NETWORKS = {
    "ResNet-like": trained.resnet20,
    "MobileNet-like": trained.small_mobilenet_v2,
    "ConvNeXt-like": trained.small_convnext,
}
MACHINES = {"shifts": False, "multipliers": True}
BITS = {"shifts": (8, 6, 4), "multipliers": (8,)}
SEEDS = (0, 1, 2)
CALIBRATION = 128
SIMULATED = 4
SHAPES = (2400, 1000)
"""Training and held-out images of `shapes32`."""
FLOAT = {"digits": Recipe(epochs=8, move_pixels=1), "shapes32": Recipe(epochs=8)}
TUNED = {"epochs": 4, "learning_rate": 1e-3, "weight_decay": 0.0}
STUDIED = {"epochs": 2, "learning_rate": 3e-3, "weight_decay": 0.0}
SOURCES = (
    *("codesign/frontend", "codesign/kernels", "codesign/compiler", "relay_passes"),
    *("codesign/nn/quantization", "codesign/nn/training.py", "codesign/nn/export.py"),
    *(f"codesign/nn/datasets/{name}.py" for name in ("dataset", "digits", "shapes")),
    "benchmarks/trained.py",
)
"""What decides a row, beside the figures above."""
STUDY_BITS = 4
STUDIED_NETWORKS = ("MobileNet-like", "ConvNeXt-like")
STUDY_NOTE = (
    "All from one calibrated float network. NAF and PACT learn the activations' ranges, DoReFa "
    "keeps the calibrated ones."
)
PTQ_LOSS = {
    ("ResNet-like", "multipliers"): 0.5,
    ("MobileNet-like", "multipliers"): 1.0,
    ("ResNet-like", "shifts"): 1.0,
    ("MobileNet-like", "shifts"): 1.5,
}
QAT_LOSS = 0.3


@dataclass(frozen=True)
class Cell:
    """One row of the store: a network trained from a seed on a data set, and all its forms."""

    dataset: str
    network: str
    seed: int

    def __str__(self) -> str:
        return f"{self.dataset}, {self.network}, seed {self.seed}"


def main() -> int:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--rerun", action="store_true", help="measure what is missing or old")
    arguments.add_argument("--only", default="", help="measure cells whose name has this text")
    arguments.add_argument("--processes", type=int, default=1, help="cells at a time (default 1)")
    options = arguments.parse_args()
    logging.disable(logging.WARNING)
    stored = StoredRows(None) if options.quick else StoredRows.load("accuracy")
    cells = [Cell(d, n, s) for s in SEEDS for d in FLOAT for n in NETWORKS]
    if options.quick:
        cells = [Cell("digits", "ResNet-like", options.seed)]
    efforts = [FLOAT, TUNED, STUDIED, STUDY_BITS, BITS, CALIBRATION, SIMULATED, SHAPES]
    key = content_key([efforts, sources_key(*SOURCES, without=APART)])[:16]
    old = [cell for cell in cells if not stored.is_current(str(cell), key)]
    if options.rerun or options.quick:
        due = {str(cell): (cell, options.quick) for cell in old if options.only in str(cell)}
        keys = dict.fromkeys(due, key)
        stored.measure(measure, due, keys, options.processes, "cells")
        old = [cell for cell in old if str(cell) not in due]
    rows = [stored.rows[str(cell)] for cell in cells if str(cell) in stored.rows]
    if not rows:
        STDERR.print(NOTHING_STORED)
        return 1
    results = Results("Accuracy of quantised networks on the accelerator (T2)")
    results.claims.append(exactness(rows))
    if not options.quick:
        results.claims += loss_claims(rows)
    compared = sum(form["elements"] for row in rows for form in row["forms"])
    results.figures |= {
        "cells": len(rows),
        "elements_compared": compared,
        "cells_missing": len(cells) - len(rows),
        "cells_from_older_sources": sum(str(cell) in stored.rows for cell in old),
        "processor_seconds_of_measuring": round(sum(row["seconds"] for row in rows)),
        "rows": rows,
    }
    if not options.json:
        show(rows)
    results.show(options.json)
    return results.exit_code


def measure(cell: Cell, quick: bool) -> dict[str, Any]:
    """Train the float network, then every quantised form of it."""
    logging.disable(logging.WARNING)
    started = time.process_time()
    data = digits(cell.seed) if cell.dataset == "digits" else shapes32(cell.seed, *SHAPES)
    float_recipe = replace(FLOAT[cell.dataset], seed=cell.seed)
    if quick:
        data, float_recipe = data.first(train=500, test=100), replace(float_recipe, epochs=6)
    tuned, studied = replace(float_recipe, **TUNED), replace(float_recipe, **STUDIED)
    channels, side, _ = data.image_shape
    network = train(
        seeded(lambda: NETWORKS[cell.network](channels, side), cell.seed), data, float_recipe
    )
    in_float = top1(network, data.test_images, data.test_labels)
    STDERR.print(f"{cell}: float {in_float:.2f} %, {time.process_time() - started:.0f} s")
    configs = {
        machine: replace(codesign.load_config("pynq"), has_mul=has_mul)
        for machine, has_mul in MACHINES.items()
    }
    forms = compiled(network, data, configs)
    for machine, cfg in configs.items():
        for bits in BITS[machine]:
            hardened = calibrated(network, data, "naf", bits).harden(HardwareFit(cfg))
            start = {"bits": bits, "machine": machine}
            forms.append({"form": "PTQ", **start, **checked(hardened, data, cfg)})
            train(hardened, data, tuned)
            forms.append({"form": "QAT", **start, **checked(hardened, data, cfg)})
            STDERR.print(
                f"  {machine}, {bits} bits: PTQ {forms[-2]['top1']:.2f} %, "
                f"QAT {forms[-1]['top1']:.2f} %, {time.process_time() - started:.0f} s"
            )
    study = {
        name: top1(
            train(calibrated(network, data, name, STUDY_BITS), data, studied),
            data.test_images,
            data.test_labels,
        )
        for name in QUANTIZERS
        if cell.network in STUDIED_NETWORKS
    }
    seconds = time.process_time() - started
    return {
        **{"dataset": cell.dataset, "network": cell.network, "seed": cell.seed},
        **{"float": in_float, "images": len(data.test_labels), "forms": forms, "study": study},
        "seconds": round(seconds, 1),
    }


def calibrated(network: nn.Module, data: DataSet, quantizer: str, bits: int) -> QuantizedNetwork:
    """The network with clips from training images; first and last layer have 8 bits."""
    quantized = QuantizedNetwork(network, data.image_shape, Scheme(quantizer, bits))
    return quantized.calibrate(data.train_images[:CALIBRATION])


def compiled(
    network: nn.Module, data: DataSet, configs: Mapping[str, VtaConfig]
) -> list[dict[str, Any]]:
    """The float network calibrated and compiled for every machine, nothing else."""
    forms: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = export_onnx(network, (1, *data.image_shape), Path(folder) / "float.onnx")
        for machine, cfg in configs.items():
            package = codesign.compile(path, cfg, calibration=real(data.train_images[:CALIBRATION]))
            start = {"form": "PTQ, compiler", "bits": 8, "machine": machine}
            forms.append({**start, **run(package, data, None)})
    return forms


def checked(network: QuantizedNetwork, data: DataSet, cfg: VtaConfig) -> dict[str, Any]:
    """The hardened network compiled, all its outputs against those that training computed."""
    with tempfile.TemporaryDirectory() as folder:
        path = export_qdq(network.freeze(), Path(folder) / "qdq.onnx")
        package = codesign.compile(path, cfg, disabled=("fuse_additions",))
    return run(package, data, predictions(network, data.test_images).numpy())


def run(package: Package, data: DataSet, trained: NDArray[Any] | None) -> dict[str, Any]:
    """Top-1 of the integer network, and how many elements of it are not those of ``trained`` or of
    the simulator."""
    images = real(data.test_images)
    outputs = next(iter(package.reference(images).values()))
    simulation = package.run(images[:SIMULATED])
    simulated = next(iter(simulation.outputs.values()))
    elements = int(simulated.size)
    unequal = int((simulated != outputs[:SIMULATED]).sum()) + simulation.mismatches
    if trained is not None:
        elements += int(outputs.size)
        unequal += int((outputs != trained).sum())
    return {"top1": accuracy(outputs, data), "elements": elements, "unequal": unequal}


def accuracy(outputs: Any, data: DataSet) -> float:
    return float(100.0 * (outputs.argmax(axis=1) == data.test_labels).mean())


def exactness(rows: Sequence[dict[str, Any]]) -> Claim:
    unequal = sum(form["unequal"] for row in rows for form in row["forms"])
    return Claim("elements unlike the trained network's", unequal, "", "0", unequal == 0)


def loss_claims(rows: Sequence[dict[str, Any]]) -> list[Claim]:
    """Losses are means over all cells of a network, in points of top-1."""
    found: list[Claim] = []
    for (network, machine), target in PTQ_LOSS.items():
        lost = losses(rows, network, machine, "PTQ, compiler", 8)
        if lost:
            found.append(claim(f"PTQ loss, int8, {network}, {machine}", lost, target))
    for network in NETWORKS:
        for machine in MACHINES:
            lost = losses(rows, network, machine, "QAT", 8)
            if lost:
                found.append(claim(f"QAT loss, int8, {network}, {machine}", lost, QAT_LOSS))
    return found


def losses(
    rows: Sequence[dict[str, Any]], network: str, machine: str, form: str, bits: int
) -> list[float]:
    return [
        row["float"] - entry["top1"]
        for row in rows
        if row["network"] == network
        for entry in row["forms"]
        if (entry["machine"], entry["form"], entry["bits"]) == (machine, form, bits)
    ]


def claim(name: str, lost: list[float], target: float) -> Claim:
    mean = float(np.mean(lost))
    return Claim(name, mean, "points", f"<= {target}", mean <= target, lost)


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Mean top-1 and spread over seeds, of every form and of the study."""
    table = Table(title="Top-1, percent, mean ± spread over seeds", title_justify="left")
    columns = [(form, bits) for form in ("PTQ", "QAT") for bits in BITS["shifts"]]
    for heading in ("data set", "network", "machine", "seeds", "float", "PTQ, compiler"):
        table.add_column(heading)
    for form, bits in columns:
        table.add_column(f"{form} {bits}")
    study = Table(title=f"Quantisers at {STUDY_BITS} bits, QAT", title_justify="left")
    for heading in ("data set", "network", "float", *QUANTIZERS, "NAF - DoReFa", "NAF - PACT"):
        study.add_column(heading)
    for dataset in FLOAT:
        for network in NETWORKS:
            chosen = [r for r in rows if (r["dataset"], r["network"]) == (dataset, network)]
            if not chosen:
                continue
            real_top1 = spread([row["float"] for row in chosen])
            for machine in MACHINES:
                cells = [
                    spread(
                        [
                            entry["top1"]
                            for row in chosen
                            for entry in row["forms"]
                            if (entry["machine"], entry["form"], entry["bits"])
                            == (machine, form, bits)
                        ]
                    )
                    for form, bits in [("PTQ, compiler", 8), *columns]
                ]
                table.add_row(dataset, network, machine, str(len(chosen)), real_top1, *cells)
            if network not in STUDIED_NETWORKS:
                continue
            values = {name: [row["study"][name] for row in chosen] for name in QUANTIZERS}
            gaps = [
                spread([a - b for a, b in zip(values["naf"], values[rival], strict=True)])
                for rival in ("dorefa", "pact")
            ]
            shown = [spread(v) for v in values.values()]
            study.add_row(dataset, network, real_top1, *shown, *gaps)
    console = Console(highlight=False, width=160)
    console.print(table)
    console.print(study)
    console.print(STUDY_NOTE)


def spread(values: Sequence[float]) -> str:
    if not values:
        return "-"
    deviation = f" ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else ""
    return f"{np.mean(values):.2f}{deviation}"


if __name__ == "__main__":
    sys.exit(main())
