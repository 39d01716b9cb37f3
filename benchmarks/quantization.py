# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# onnxruntime carries no usable annotations.
"""What int8 on the machine costs against float, and how close it is to onnxruntime's int8.

Networks with random weights, on the QDQ file that onnxruntime makes: 1 - cos(ours, float) against
1.5 x (1 - cos(onnxruntime, float)) + 0.005. Networks trained here on handwritten digits: cosine and
top-1 agreement with the float network. With HAS_MUL: share of the outputs within one LSB of
onnxruntime's int8 kernels on the same file, and of equal ones. A deep network of random weights
amplifies any difference of one LSB, so that this share is high only where (nearly) every integer of
every layer is onnxruntime's: "unfused" is the same share for onnxruntime against itself, int8
kernels against float operators between quantisations. Integers come from the integer reference, and
a run on the simulator confirms them. Truth level T2.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import trained
from claims import STDERR, Claim, Results, parser
from demo_digits import INPUT, digits, network, quantise_onnxruntime, train
from demo_digits import export as export_digits
from networks import export, inputs, quantize
from networks.definitions import named
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import codesign

RANDOM = ("resnet18_64", "mobilenet_v2_64", "ds_cnn", "conv_autoencoder", "anomaly_detector")
TRAINED = {
    "digits": network,
    "ResNet-like": trained.resnet,
    "MobileNetV1-like": trained.mobilenet_v1,
    "MobileNetV2-like": trained.mobilenet_v2,
}
CALIBRATION, SAMPLES, EPOCHS = 8, 8, 12
COSINE, AGREEMENT, ONE_LSB = 0.99, 0.97, 0.99
QUICK_TRAINED = ("digits", "MobileNetV1-like")


@dataclass(frozen=True)
class Row:
    """One network in one form; distances are 1 - cosine to the float network.

    ``one_lsb`` and ``unfused_one_lsb`` are shares of outputs within one LSB of onnxruntime's int8
    kernels, of the machine and of onnxruntime without fusion; ``equal`` is the machine's share of
    equal outputs, ``agreement`` that of equal top-1.
    """

    network: str
    form: str
    exact: bool
    distance: float
    onnxruntime_distance: float
    agreement: float
    one_lsb: float | None = None
    equal: float | None = None
    unfused_one_lsb: float | None = None

    @property
    def over_allowed(self) -> float:
        return self.distance / (1.5 * self.onnxruntime_distance + 0.005)


def main() -> int:
    arguments = parser(__doc__ or "")
    arguments.add_argument("-c", "--config", default="pynq", help="configuration (default pynq)")
    options = arguments.parse_args()
    logging.disable(logging.WARNING)
    results = Results(f"Quantisation on `{options.config}`")
    cfg = codesign.load_config(options.config)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        names = RANDOM[2:] if options.quick else RANDOM
        random = [row for name in names for row in random_rows(name, cfg, folder, options)]
        learnt = trained_rows(cfg, folder, options)
    results.claims += claims(random, learnt)
    results.figures["rows"] = [asdict(row) for row in (*random, *learnt)]
    if not options.json:
        show([*random, *learnt])
    results.show(options.json)
    return results.exit_code


def random_rows(name: str, cfg: Any, folder: Path, options: Any) -> list[Row]:
    """A network with random weights: float file by shifts, onnxruntime's QDQ file with MUL."""
    STDERR.print(name)
    definition = named(name)
    source = export(definition, folder / f"{name}.onnx", options.seed)
    calibration = inputs(definition, CALIBRATION, options.seed + 2)
    x = inputs(definition, 2 if options.quick else SAMPLES, options.seed + 3)
    qdq = quantize(source, calibration)
    real, theirs = outputs(source, x), outputs(qdq, x)
    with_mul = replace(cfg, has_mul=True)
    forms = {
        "float, shifts": codesign.compile(source, cfg, calibration=calibration),
        "QDQ, shifts": codesign.compile(qdq, cfg),
        "QDQ, multipliers": codesign.compile(qdq, with_mul),
    }
    step, integers = output_step(qdq), outputs(qdq, x, fused=True)
    rows: list[Row] = []
    for form, package in forms.items():
        ours, exact = run(package, x)
        row = compared(name, form, exact, ours, real, theirs)
        if form == "QDQ, multipliers":
            row = replace(
                row,
                one_lsb=within(ours, integers, step, 1),
                equal=within(ours, integers, step, 0),
                unfused_one_lsb=within(theirs, integers, step, 1),
            )
        rows.append(row)
    return rows


def trained_rows(cfg: Any, folder: Path, options: Any) -> list[Row]:
    """Networks trained on digits, by shifts and with MUL, against their float form."""
    data = digits(options.seed)
    calibration = data.train_images[:128]
    images = data.test_images
    rows: list[Row] = []
    for name, build in TRAINED.items():
        if options.quick and name not in QUICK_TRAINED:
            continue
        path = folder / f"{name}.onnx"
        export_digits(train(data, EPOCHS, options.seed, build), path)
        real = outputs(path, images, name=INPUT)
        theirs = outputs(quantise_onnxruntime(path, calibration), images, name=INPUT)
        for form, chosen in (("shifts", cfg), ("multipliers", replace(cfg, has_mul=True))):
            package = codesign.compile(path, chosen, calibration=calibration)
            ours, exact = run(package, images)
            rows.append(compared(name, f"trained, {form}", exact, ours, real, theirs))
    return rows


def run(package: Any, x: NDArray[Any]) -> tuple[NDArray[Any], bool]:
    """Outputs by the integer reference, and whether a run on the simulator equals it."""
    ours = next(iter(package.reference(x).values()))
    simulated = package.run(x[:1])
    first = next(iter(simulated.outputs.values()))
    return ours, simulated.outputs_match and bool(np.array_equal(first, ours[:1]))


def outputs(
    path: Path, x: NDArray[Any], name: str = "x", fused: bool = False
) -> NDArray[np.float32]:
    """The first output by onnxruntime, one sample at a time: float operators, or int8 kernels."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    if fused:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        # Else int8 tensors become uint8 ones and only some operators find their int8 kernel.
        options.add_session_config_entry("session.qdqisint8allowed", "1")
    session = ort.InferenceSession(str(path), options)
    found: list[Any] = [session.run(None, {name: sample[None]})[0] for sample in x]
    return np.concatenate(found)


def output_step(path: Path) -> float:
    """Scale of the quantisation of the first output."""
    graph = onnx.load(str(path)).graph
    scales = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    last = next(node for node in graph.node if graph.output[0].name in node.output)
    return float(scales[last.input[1]])


def compared(
    name: str, form: str, exact: bool, ours: NDArray[Any], real: NDArray[Any], theirs: NDArray[Any]
) -> Row:
    """The row of one set of outputs."""
    flat = [a.reshape(len(a), -1) for a in (ours, real)]
    agreement = float((flat[0].argmax(axis=1) == flat[1].argmax(axis=1)).mean())
    return Row(name, form, exact, distance(ours, real), distance(theirs, real), agreement)


def distance(a: NDArray[Any], b: NDArray[Any]) -> float:
    """1 - cosine."""
    x, y = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    return float(1 - x @ y / (np.linalg.norm(x) * np.linalg.norm(y)))


def within(ours: NDArray[Any], theirs: NDArray[Any], step: float, most: int) -> float:
    """Share of elements at most so many steps apart."""
    return float((np.rint(np.abs(ours - theirs) / step) <= most).mean())


def claims(random: list[Row], learnt: list[Row]) -> list[Claim]:
    """What must hold over all rows."""
    every = [*random, *learnt]
    inexact = sum(not row.exact for row in every)
    shifts = [row.over_allowed for row in random if row.form == "QDQ, shifts"]
    cosines = [1 - row.distance for row in learnt]
    agreements = [row.agreement for row in learnt]
    shares = [row.one_lsb for row in random if row.one_lsb is not None]
    agree, share = min(agreements), min(shares)
    return [
        Claim("runs unlike the integer reference", inexact, "", "0", inexact == 0),
        Claim(
            *("(1 - cos) / (1.5 x onnxruntime's + 0.005), worst", max(shifts), "", "<= 1"),
            *(max(shifts) <= 1, shifts),
        ),
        Claim(
            *("cosine to float, trained, least", min(cosines), "", f">= {COSINE}"),
            *(min(cosines) >= COSINE, cosines),
        ),
        Claim(
            *("top-1 agreement with float, trained, least", agree, "", f">= {AGREEMENT}"),
            *(agree >= AGREEMENT, agreements),
        ),
        Claim(
            *("outputs within 1 LSB of onnxruntime, HAS_MUL, least", share, "", f">= {ONE_LSB}"),
            *(share >= ONE_LSB, shares),
        ),
    ]


def show(rows: list[Row]) -> None:
    """Every row, on stdout."""
    table = Table(title="1 - cosine to the float network", title_justify="left")
    for heading in ("network", "form", "exact", "ours", "onnxruntime", "top-1", "<= 1 LSB"):
        table.add_column(heading)
    table.add_column("equal")
    table.add_column("unfused")
    for row in rows:
        shares = [
            "" if share is None else f"{share:.2%}"
            for share in (row.one_lsb, row.equal, row.unfused_one_lsb)
        ]
        table.add_row(
            *(row.network, row.form, str(row.exact), f"{row.distance:.5f}"),
            *(f"{row.onnxruntime_distance:.5f}", f"{row.agreement:.1%}", *shares),
        )
    Console(highlight=False).print(table)


if __name__ == "__main__":
    sys.exit(main())
