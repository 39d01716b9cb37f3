"""A trained network from PyTorch to the accelerator: 360 held-out digits through the simulator.

Trains a small residual network on scikit-learn's handwritten digits (8x8 pixels), exports it to
ONNX, compiles it for the `pynq` configuration with calibration images from the training part,
runs every held-out image through the cycle-level simulator, and compares float, onnxruntime-int8
and VTA accuracy.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from claims import STDERR, Claim, Results, parser
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from rich.progress import Progress
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from trained import Block

import codesign

HELD_OUT = 360
CALIBRATION = 128
INPUT = "image"
QUICK_IMAGES = 40
STEP = 20


@dataclass(frozen=True)
class Digits:
    """Images float32[N, 1, 8, 8] in 0..1, labels int64[N]."""

    train_images: NDArray[np.float32]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.float32]
    test_labels: NDArray[np.int64]


def digits(seed: int) -> Digits:
    """The data set, 360 images held out, classes balanced."""
    data: Any = load_digits()
    images = (data.images[:, None] / 16.0).astype(np.float32)
    parts = train_test_split(
        images, data.target, test_size=HELD_OUT, random_state=seed, stratify=data.target
    )
    return Digits(parts[0], parts[2], parts[1], parts[3])


def network() -> nn.Module:
    """Stem, three residual blocks (16, 32, 64 channels), average of the 2x2 map, dense."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, 1, 1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        Block(16, 16, 1),
        Block(16, 32, 2),
        Block(32, 64, 2),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


def train(
    data: Digits, epochs: int, seed: int, build: Callable[[], nn.Module] = network
) -> nn.Module:
    """Train with Adam and one-cycle learning rate; progress on stderr."""
    # One thread: the network is small, and sums are then the same on every machine.
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    model = build()
    images, labels = torch.from_numpy(data.train_images), torch.from_numpy(data.train_labels)
    order = torch.Generator().manual_seed(seed)
    batch, steps = 64, -(-len(images) // 64)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=1e-4)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=epochs * steps)
    for epoch in range(epochs):
        total = 0.0
        for rows in torch.randperm(len(images), generator=order).split(batch):
            loss = nn.functional.cross_entropy(model(_shifted(images[rows], order)), labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            rate.step()
            total += loss.item() * len(rows)
        STDERR.print(f"training: epoch {epoch + 1}/{epochs}, loss {total / len(images):.4f}")
    return model.eval()


def _shifted(images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """The batch moved by up to one pixel in each direction."""
    dy, dx = torch.randint(0, 3, (2,), generator=rng).tolist()
    return nn.functional.pad(images, (1, 1, 1, 1))[:, :, dy : dy + 8, dx : dx + 8]


def export(model: nn.Module, path: Path) -> None:
    """Write the network as ONNX, batch 1."""
    example = torch.zeros(1, 1, 8, 8)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision, we do not
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # inside torch.export
        torch.onnx.export(
            model,
            (example,),
            path,
            input_names=[INPUT],
            output_names=["logits"],
            dynamo=True,
            external_data=False,
            verbose=False,
        )


class _Reader(CalibrationDataReader):
    def __init__(self, images: NDArray[np.float32]) -> None:
        self._batches = iter([{INPUT: image[None]} for image in images])

    def get_next(self) -> dict[str, Any] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        return next(self._batches, None)


def quantise_onnxruntime(model: Path, images: NDArray[np.float32]) -> Path:
    """onnxruntime's own int8 version of the model (QDQ, weights per channel)."""
    prepared, quantised = model.with_suffix(".prepared.onnx"), model.with_suffix(".int8.onnx")
    quant_pre_process(model, prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared,
        quantised,
        _Reader(images),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
    )
    return quantised


def run_onnxruntime(model: Path, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Outputs [N, 10], one image at a time."""
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    outputs: list[Any] = [session.run(None, {INPUT: image[None]})[0] for image in images]
    return np.concatenate(outputs)


def accuracy(outputs: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Top-1, percent."""
    return float(100.0 * (outputs.argmax(axis=1) == labels).mean())


def main() -> int:
    arguments = parser(__doc__ or "")
    arguments.add_argument("-c", "--config", default="pynq", help="configuration (default pynq)")
    arguments.add_argument("--output", type=Path, help="keep model.onnx and module.tar here")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.output or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        results = measure(folder, options.config, options.seed, options.quick)
    results.show(options.json)
    return results.exit_code


def measure(folder: Path, config: str, seed: int, quick: bool) -> Results:
    """Train, export, compile, run; ``quick``: five epochs and 40 images."""
    results = Results(f"Digits, trained here, on `{config}`")
    data = digits(seed)
    model = folder / "digits.onnx"
    export(train(data, 5 if quick else 12, seed), model)
    results.figures["training_seconds"] = round(time.perf_counter() - results.started, 1)
    count = QUICK_IMAGES if quick else HELD_OUT
    images, labels = data.test_images[:count], data.test_labels[:count]
    calibration = data.train_images[:CALIBRATION]

    STDERR.print("onnxruntime: float, then int8")
    in_float = accuracy(run_onnxruntime(model, images), labels)
    in_int8 = accuracy(run_onnxruntime(quantise_onnxruntime(model, calibration), images), labels)

    STDERR.print(f"compiling for {config}")
    package = codesign.compile(
        model, codesign.load_config(config), calibration={INPUT: calibration}
    )
    package.save(folder / "digits.tar")
    outputs, runs = simulate(package, images)
    on_vta, mismatches = accuracy(outputs, labels), sum(run.mismatches for run in runs)
    results.claims += [
        Claim("elements unlike the integer reference", mismatches, "", "0", mismatches == 0),
        Claim("accuracy on the accelerator", on_vta, "%", ">= float - 1", on_vta >= in_float - 1),
    ]
    one = runs[0]
    results.figures |= {
        "accuracy_float_percent": in_float,
        "accuracy_onnxruntime_int8_percent": in_int8,
        "images": len(images),
        "cycles_per_image": one.cycles,
        "lower_bound_cycles_per_image": sum(layer.roofline_cycles for layer in one.layers),
        "ms_per_image": one.latency_ms,
        "utilization_percent": 100 * one.utilization,
        "macs_per_image": one.macs,
        "offloaded_macs_percent": 100 * one.offloaded_macs / one.macs,
        "host_operators": len(one.host_ops),
    }
    return results


def simulate(package: Any, images: NDArray[np.float32]) -> tuple[NDArray[np.float32], list[Any]]:
    """Outputs [N, 10] and the results of runs of ``STEP`` images each; a bar on stderr."""
    runs: list[Any] = []
    with Progress(console=STDERR, transient=True) as bar:
        task = bar.add_task("simulating", total=len(images))
        for start in range(0, len(images), STEP):
            runs.append(package.run({INPUT: images[start : start + STEP]}))
            bar.advance(task, len(images[start : start + STEP]))
    outputs = [next(iter(run.outputs.values())) for run in runs]
    return np.concatenate(outputs), runs


if __name__ == "__main__":
    sys.exit(main())
