"""From a network's definition to files: settled weights, natural inputs, ONNX, its QDQ form."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from networks.definitions import Network

OPSET = 18
TOKENS = 1000


def inputs(network: Network, count: int, seed: int) -> NDArray[Any]:
    """``count`` inputs: images with a natural 1/f spectrum, token numbers, or normal noise."""
    rng = np.random.default_rng(seed)
    shape = (count, *network.shape[1:])
    if network.name.startswith("bert"):
        return rng.integers(0, TOKENS, shape)
    noise = rng.standard_normal(shape)
    if len(shape) == 4:
        rows, columns = np.fft.fftfreq(shape[2]), np.fft.rfftfreq(shape[3])
        frequency = np.hypot(rows[:, None], columns[None]) + 1 / max(shape[2:])
        grey = noise.mean(axis=1, keepdims=True) * np.sqrt(shape[1])
        mixed = 0.8 * grey + 0.6 * noise
        noise = np.fft.irfft2(np.fft.rfft2(mixed) / frequency, s=shape[2:])
        noise /= noise.std(axis=(1, 2, 3), keepdims=True)
    return noise.astype(np.float32)


def export(network: Network, path: Path, seed: int = 0) -> Path:
    """Write the network as ONNX with seeded weights, through either of torch's exporters."""
    import onnx
    import torch

    torch.manual_seed(seed)
    module = network.build()
    _settle(module, network, seed)
    sample = torch.from_numpy(inputs(network, network.shape[0], seed))
    script = network.source == "timm"  # files of both exporters are about
    buffer = io.BytesIO()
    with _quiet(), torch.no_grad():
        made = torch.onnx.export(
            module,
            (sample,),
            buffer if script else None,
            input_names=["x"],
            opset_version=17 if script else OPSET,
            dynamo=not script,
            verbose=False,
        )
    model = onnx.load_from_string(buffer.getvalue()) if script else made.model_proto
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def _settle(module: Any, network: Network, seed: int) -> None:
    """Weights that keep activations at one size, norms without zeros, statistics of real inputs.

    Libraries initialise the last norm of a block and the gates of residuals to (nearly) nothing:
    such a network would be tried on its shortcuts alone.
    """
    import torch
    from torch import nn

    for child in module.modules():
        if isinstance(child, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.kaiming_normal_(child.weight, nonlinearity="relu")
            if child.bias is not None:
                nn.init.normal_(child.bias, std=0.1)
        elif isinstance(child, nn.modules.batchnorm._BatchNorm):
            child.momentum = None
    with torch.no_grad():
        for parameter in module.parameters():
            first = float(parameter.flatten()[0])
            if parameter.numel() > 1 and bool((parameter == first).all()):
                centre = first if first in (0.0, 1.0) else 0.1  # a gate of a residual
                parameter.copy_(centre + 0.2 * torch.randn_like(parameter))
        module.train()
        batch = max(1, min(8, 8 * 96 * 96 // int(np.prod(network.shape[-2:]))))
        module(torch.from_numpy(inputs(network, max(2, batch), seed + 1)))
    module.eval()


def quantize(path: Path, calibration: NDArray[Any]) -> Path:
    """The QDQ file that onnxruntime's static quantiser makes: int8, asymmetric activations."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared, target = path.with_suffix(".prepared.onnx"), path.with_suffix(".qdq.onnx")
    with _quiet():
        quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(target),
            _Reader(calibration),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
        )
    return target


class _Reader:
    """onnxruntime's CalibrationDataReader, one sample at a time."""

    def __init__(self, data: NDArray[Any]) -> None:
        self._items: Iterator[dict[str, Any]] = iter(
            [{"x": data[i : i + 1]} for i in range(len(data))]
        )

    def get_next(self) -> dict[str, Any] | None:
        return next(self._items, None)


def onnxruntime_outputs(path: Path, x: NDArray[Any]) -> list[NDArray[Any]]:
    """Every output of the file, stacked over the samples, computed without fusion."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(str(path), options)
    runs = [session.run(None, {"x": x[i : i + 1]}) for i in range(len(x))]
    return [np.concatenate(arrays) for arrays in zip(*runs, strict=True)]


def constant_weight_macs(path: Path) -> int:
    """Multiply-accumulates of Conv, ConvTranspose, Gemm and MatMul whose weights are constants.

    ``path`` is a file that `quantize` got: beside it lies the one with constants folded.
    """
    import onnx

    prepared = path.with_suffix(".prepared.onnx")
    model = onnx.shape_inference.infer_shapes(onnx.load(str(prepared)), data_prop=True)
    graph = model.graph
    sizes = {t.name: tuple(t.dims) for t in graph.initializer}
    constant = set(sizes)
    for value in [*graph.value_info, *graph.input, *graph.output]:
        sizes[value.name] = tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
    total = 0
    for node in graph.node:
        if all(name in constant for name in node.input if name):
            constant |= set(node.output)
        if node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
            continue
        source, weight = node.input[:2]
        if weight in constant and source not in constant:
            moved = sizes[source if node.op_type == "ConvTranspose" else node.output[0]]
            shape = sizes[weight]
            transposed = any(a.name == "transB" and a.i for a in node.attribute)
            inner = {"Gemm": shape[1] if transposed else shape[0], "MatMul": shape[-2]}
            total += int(np.prod(moved)) * inner.get(node.op_type, int(np.prod(shape[1:])))
    return total


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Exporters and quantisers warn about their own internals."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
