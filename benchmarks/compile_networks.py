# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# onnx, onnxruntime and torch carry no usable annotations.
"""Float and QDQ networks compiled and run: exact, close to onnxruntime, offloaded, in time.

For every network: does the run equal the integer reference; 1 - cos(ours, float) against
2 * (1 - cos(onnxruntime int8, float)) + 0.005; the share of the MACs on the accelerator; seconds to
compile. The histogram counts differences to onnxruntime's int8 result in output LSBs.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import codesign

CALIBRATION, SAMPLES, COMPILE_SECONDS, OFFLOADED = 8, 4, 60.0, 0.95
EDGES = (0, 1, 2, 3, 5, 9, 17, 256)


@dataclass(frozen=True)
class Row:
    """One network in one form on one configuration."""

    network: str
    form: str
    outputs_match: bool
    ours: float
    onnxruntime_int8: float
    offloaded: float
    cycles: int
    utilization: float
    over_bound: float
    regions: int
    seconds: float
    lsb_histogram: tuple[int, ...]

    @property
    def allowed(self) -> float:
        return 2 * self.onnxruntime_int8 + 0.005


def networks(folder: Path, quick: bool) -> dict[str, tuple[Path, tuple[int, ...]]]:
    """ONNX files of the networks, random weights."""
    from codesign.nn.export import export_onnx
    from tests.networks import Cell, Mlp, ResNet18, SmallUNet, settled

    size = 64 if quick else 224
    built = {
        "resnet18": (ResNet18(16 if quick else 64), (1, 3, size, size)),
        "nasbench201": (None, (1, 3, 32, 32)),
        "cell": (Cell(), (1, 3, 16, 16)),
        "mlp": (Mlp(), (1, 1, 28, 28)),
        "unet": (SmallUNet(), (1, 3, 64, 64)),
    }
    files: dict[str, tuple[Path, tuple[int, ...]]] = {}
    for name, (module, shape) in built.items():
        path = folder / f"{name}.onnx"
        if module is None:
            _export_nasbench(path)
        else:
            export_onnx(settled(module, 0, shape), shape, path)
        files[name] = (path, shape)
    return files


def _export_nasbench(path: Path) -> None:
    from codesign.nn import load_network_space

    space: Any = load_network_space("nasbench201")
    space.to_onnx(space.sample(np.random.default_rng(0)), path)


class _Reader:
    def __init__(self, data: Any) -> None:
        self._items = iter([{"x": data[i : i + 1]} for i in range(len(data))])

    def get_next(self) -> Any:
        return next(self._items, None)


def quantized(path: Path, calibration: Any, **options: Any) -> Path:
    """The network as onnxruntime quantises it (QDQ)."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    kind = QuantType.QUInt8 if options.pop("unsigned", False) else QuantType.QInt8
    prepared, target = path.with_suffix(".prepared.onnx"), path.with_suffix(".qdq.onnx")
    quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared),
        str(target),
        _Reader(calibration),
        quant_format=QuantFormat.QDQ,
        activation_type=kind,
        weight_type=QuantType.QInt8,
        **options,
    )
    return target


def onnxruntime_outputs(path: Path, x: Any) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(str(path), options)
    return np.concatenate([session.run(None, {"x": x[i : i + 1]})[0] for i in range(len(x))])


def distance(a: Any, b: Any) -> float:
    """1 - cosine."""
    a, b = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    return float(1 - a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def measure(name: str, path: Path, shape: tuple[int, ...], config: str) -> list[Row]:
    """The float network and two QDQ forms of it."""
    rng = np.random.default_rng(0)
    calibration = rng.standard_normal((CALIBRATION, *shape[1:])).astype(np.float32)
    x = rng.standard_normal((SAMPLES, *shape[1:])).astype(np.float32)
    wanted = onnxruntime_outputs(path, x)
    symmetric = {"ActivationSymmetric": True, "WeightSymmetric": True}
    forms = {
        "QDQ int8": {"extra_options": symmetric},
        "QDQ uint8": {"unsigned": True},
        "float": {"extra_options": symmetric, "per_channel": True},
    }
    rows: list[Row] = []
    for form, options in forms.items():
        qdq = quantized(path, calibration, **options)
        model, data = (path, {"x": calibration}) if form == "float" else (qdq, None)
        started = time.perf_counter()
        package = codesign.compile(model, codesign.load_config(config), calibration=data)
        seconds = time.perf_counter() - started
        result = package.run({"x": x})
        output = next(iter(result.outputs.values()))
        theirs = onnxruntime_outputs(qdq, x)
        bound = sum(layer.roofline_cycles for layer in result.layers)
        rows.append(
            Row(
                name,
                form,
                result.outputs_match,
                distance(output, wanted),
                distance(theirs, wanted),
                result.offloaded_macs / result.macs,
                result.cycles,
                result.utilization,
                result.cycles / bound,
                len(package.graphs),
                seconds,
                histogram(output, theirs),
            )
        )
    return rows


def histogram(ours: Any, theirs: Any) -> tuple[int, ...]:
    """Elements by difference in output LSBs, in the bins of `EDGES`."""
    step = np.unique(np.abs(np.diff(np.unique(theirs))).round(9))
    lsb = float(step[step > 1e-7].min(initial=1.0)) if len(step) else 1.0
    steps = np.rint(np.abs(ours - theirs) / lsb)
    return tuple(int(n) for n in np.histogram(steps, EDGES)[0])


def claims(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What must hold, over all rows."""
    worst = max(rows, key=lambda r: r.ours / r.allowed)
    resnet = [r for r in rows if r.network == "resnet18"]
    return [
        _claim("networks equal to their integer reference", sum(r.outputs_match for r in rows),
               "networks", len(rows), all(r.outputs_match for r in rows), len(rows)),
        _claim("(1 - cos) / (2 x onnxruntime's + 0.005), worst", worst.ours / worst.allowed,
               "ratio", 1.0, worst.ours <= worst.allowed, len(rows)),
        _claim("ResNet-18 MACs offloaded", min(r.offloaded for r in resnet), "share", OFFLOADED,
               min(r.offloaded for r in resnet) >= OFFLOADED, len(resnet)),
        _claim("compile time, longest", max(r.seconds for r in rows), "s", COMPILE_SECONDS,
               max(r.seconds for r in rows) <= COMPILE_SECONDS, len(rows)),
    ]  # fmt: skip


def _claim(
    name: str, value: float, unit: str, target: float, holds: bool, samples: int
) -> dict[str, Any]:
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "target": target,
        "holds": holds,
        "samples": samples,
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--quick", action="store_true", help="a narrow ResNet-18 at 64x64")
    parser.add_argument("-c", "--config", default="pynq")
    args = parser.parse_args(argv)
    logging.disable(logging.WARNING)
    started = time.perf_counter()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, (path, shape) in networks(Path(folder), args.quick).items():
            rows += measure(name, path, shape, args.config)
    made = claims(rows)
    if args.json:
        packages = ("codesign", "apache-tvm", "onnxruntime")
        document = {
            "claims": made,
            "figures": {"config": args.config, "edges": EDGES, "rows": [asdict(r) for r in rows]},
            "environment": {
                "python": platform.python_version(),
                "cpus": os.cpu_count(),
                **{p: version(p) for p in packages},
            },
            "seconds": time.perf_counter() - started,
        }
        print(json.dumps(document, indent=1))
    else:
        _show(rows, made)
    return 0 if all(claim["holds"] for claim in made) else 1


def _show(rows: Sequence[Row], made: Sequence[dict[str, Any]]) -> None:
    bins = [f"{a}" if b == a + 1 else f"{a}-{b - 1}" for a, b in pairwise(EDGES)]
    print(
        f"{'network':<12} {'form':<10} {'match':<6} {'1-cos ours':>10} {'ort int8':>9} "
        f"{'allowed':>8} {'offload':>8} {'cycles':>9} {'util':>6} "
        f"{'/bound':>7} {'compile':>8} LSBs " + " ".join(f"{b:>6}" for b in bins)
    )
    for r in rows:
        print(
            f"{r.network:<12} {r.form:<10} {r.outputs_match!s:<6} {r.ours:10.5f} "
            f"{r.onnxruntime_int8:9.5f} {r.allowed:8.5f} {r.offloaded:8.1%} {r.cycles:>9} "
            f"{r.utilization:6.1%} {r.over_bound:7.3f} {r.seconds:6.1f} s      "
            + " ".join(f"{n:>6}" for n in r.lsb_histogram)
        )
    for claim in made:
        verdict = "holds" if claim["holds"] else "FAILS"
        figure = f"{claim['value']:.4g} {claim['unit']} (target {claim['target']:g})"
        print(f"{verdict}: {claim['name']}: {figure}")


if __name__ == "__main__":
    sys.exit(main())
