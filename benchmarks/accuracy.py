"""What 8, 6 and 4 bits cost in accuracy, after training and with training, on the accelerator.

Networks like ResNet-20, MobileNetV2 and ConvNeXt (with batch norm and ReLU), small enough to be
trained here, on `digits` (real) and `shapes32` (drawn). "PTQ" calibrates the float network: in the
compiler at 8 bits, in `codesign.nn.quantization` at 8, 6 and 4. "QAT" goes on training it as what
the accelerator computes, by shifts and by multipliers. Every figure is top-1 of the integer network
on held-out images; the compiled network must give the trained one's integers on every element, by
its integer reference and, for some images, on the simulator (T2). The quantiser study trains NAF's,
DoReFa's and PACT's quantisers at 4 bits, all else equal, without an accelerator.

Prints stored results; ``--rerun`` measures the cells that are missing or were made from older
sources, one after the other, and may be killed and started again.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import trained
from claims import STDERR, Claim, Results, parser
from rich.console import Console
from rich.table import Table
from stored import NOTHING_STORED, StoredRows, sources_key
from torch import nn

import codesign
from codesign.nn.datasets import DataSet, digits, real, shapes32
from codesign.nn.export import export_onnx
from codesign.nn.quantization import QUANTIZERS, HardwareFit, QuantizedNetwork, Scheme, export_qdq
from codesign.nn.training import Recipe, predictions, seeded, top1, train

NETWORKS = {
    "ResNet-like": trained.resnet20,
    "MobileNet-like": trained.small_mobilenet_v2,
    "ConvNeXt-like": trained.small_convnext,
}
MACHINES = {"shifts": False, "multipliers": True}
BITS = (8, 6, 4)
SEEDS = (0, 1, 2)
CALIBRATION = 128
COMPARED, SIMULATED = 100, 4
FLOAT = {"digits": Recipe(epochs=8, move_pixels=1), "shapes32": Recipe(epochs=10)}
TUNED = {"epochs": 2, "learning_rate": 3e-4, "weight_decay": 0.0}
STUDIED = {"epochs": 3, "learning_rate": 3e-3, "weight_decay": 0.0}
STUDY_BITS = 4
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
    options = arguments.parse_args()
    logging.disable(logging.WARNING)
    stored = StoredRows(None) if options.quick else StoredRows.load("accuracy")
    cells = [Cell(d, n, s) for s in SEEDS for d in FLOAT for n in NETWORKS]
    if options.quick:
        cells = [Cell("digits", "ResNet-like", options.seed)]
    key = sources_key("codesign/nn/quantization", "codesign/nn/datasets", "codesign/compiler/fit")
    old = [cell for cell in cells if not stored.is_current(str(cell), key)]
    if options.rerun or options.quick:
        for cell in [cell for cell in old if options.only in str(cell)]:
            stored.put(str(cell), key, measure(cell, options.quick))
            old.remove(cell)
    rows = [stored.rows[str(cell)] for cell in cells if str(cell) in stored.rows]
    if not rows:
        STDERR.print(NOTHING_STORED)
        return 1
    results = Results("Accuracy of quantised networks on the accelerator (T2)")
    results.claims += claims(rows)
    results.figures |= {
        "cells": len(rows),
        "cells_missing": len(cells) - len(rows),
        "cells_from_older_sources": sum(str(cell) in stored.rows for cell in old),
        "seconds_of_measuring": round(sum(row["seconds"] for row in rows)),
        "rows": rows,
    }
    if not options.json:
        show(rows)
    results.show(options.json)
    return results.exit_code


def measure(cell: Cell, quick: bool) -> dict[str, Any]:
    """Train the float network, then every quantised form of it."""
    started = time.perf_counter()
    data = digits(cell.seed) if cell.dataset == "digits" else shapes32(cell.seed).first(3000, 1000)
    float_recipe = replace(FLOAT[cell.dataset], seed=cell.seed)
    if quick:
        data, float_recipe = data.first(train=500, test=100), replace(float_recipe, epochs=6)
    tuned, studied = replace(float_recipe, **TUNED), replace(float_recipe, **STUDIED)
    channels, side, _ = data.image_shape
    network = train(
        seeded(lambda: NETWORKS[cell.network](channels, side), cell.seed), data, float_recipe
    )
    in_float = top1(network, data.test_images, data.test_labels)
    STDERR.print(f"{cell}: float {in_float:.2f} %, {time.perf_counter() - started:.0f} s")
    forms: list[dict[str, Any]] = []
    for machine, has_mul in MACHINES.items():
        cfg = replace(codesign.load_config("pynq"), has_mul=has_mul)
        forms.append(
            {"form": "PTQ, compiler", "bits": 8, "machine": machine} | compiled(network, data, cfg)
        )
        for bits in BITS:
            hardened = calibrated(network, data, "naf", bits).harden(HardwareFit(cfg))
            start = {"bits": bits, "machine": machine}
            forms.append({"form": "PTQ", **start} | checked(hardened, data, cfg))
            train(hardened, data, tuned)
            forms.append({"form": "QAT", **start} | checked(hardened, data, cfg))
            STDERR.print(
                f"  {machine}, {bits} bits: PTQ {forms[-2]['top1']:.2f} %, "
                f"QAT {forms[-1]['top1']:.2f} %, {time.perf_counter() - started:.0f} s"
            )
    study = {
        name: top1(
            train(calibrated(network, data, name, STUDY_BITS), data, studied),
            data.test_images,
            data.test_labels,
        )
        for name in QUANTIZERS
    }
    seconds = time.perf_counter() - started
    return {
        **{"dataset": cell.dataset, "network": cell.network, "seed": cell.seed},
        **{"float": in_float, "images": len(data.test_labels), "forms": forms, "study": study},
        "seconds": round(seconds, 1),
    }


def calibrated(network: nn.Module, data: DataSet, quantizer: str, bits: int) -> QuantizedNetwork:
    """The network with clips from training images; first and last layer have 8 bits."""
    quantized = QuantizedNetwork(network, data.image_shape, Scheme(quantizer, bits))
    return quantized.calibrate(data.train_images[:CALIBRATION])


def compiled(network: nn.Module, data: DataSet, cfg: Any) -> dict[str, Any]:
    """The float network calibrated and compiled, nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        path = export_onnx(network, (1, *data.image_shape), Path(folder) / "float.onnx")
        package = codesign.compile(path, cfg, calibration=real(data.train_images[:CALIBRATION]))
    outputs = next(iter(package.reference(real(data.test_images)).values()))
    run = package.run(real(data.test_images[:SIMULATED]))
    simulated = next(iter(run.outputs.values()))
    return {
        "top1": accuracy(outputs, data),
        "elements": int(simulated.size),
        "unequal": int((simulated != outputs[:SIMULATED]).sum()) + run.mismatches,
    }


def checked(network: QuantizedNetwork, data: DataSet, cfg: Any) -> dict[str, Any]:
    """Top-1 of the hardened network, and its elements unlike those of the compiled one."""
    ours = predictions(network, data.test_images).numpy()
    with tempfile.TemporaryDirectory() as folder:
        path = export_qdq(network.freeze(), Path(folder) / "qdq.onnx")
        package = codesign.compile(path, cfg, disabled=("fuse_additions",))
    x = real(data.test_images[:COMPARED])
    outputs = next(iter(package.reference(x).values()))
    run = package.run(x[:SIMULATED])
    simulated = next(iter(run.outputs.values()))
    return {
        "top1": accuracy(ours, data),
        "elements": int(outputs.size + simulated.size),
        "unequal": int((outputs != ours[:COMPARED]).sum())
        + int((simulated != ours[:SIMULATED]).sum()),
    }


def accuracy(outputs: Any, data: DataSet) -> float:
    return float(100.0 * (outputs.argmax(axis=1) == data.test_labels).mean())


def claims(rows: Sequence[dict[str, Any]]) -> list[Claim]:
    """Losses are means over all cells of a network, in points of top-1."""
    unequal = sum(form["unequal"] for row in rows for form in row["forms"])
    found = [Claim("elements unlike the trained network's", unequal, "", "0", unequal == 0)]
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
    columns = [(form, bits) for form in ("PTQ", "QAT") for bits in BITS]
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


def spread(values: Sequence[float]) -> str:
    deviation = f" ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else ""
    return f"{np.mean(values):.2f}{deviation}"


if __name__ == "__main__":
    sys.exit(main())
