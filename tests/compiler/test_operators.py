# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# torch, onnx and onnxruntime carry no usable annotations.
"""Small networks of every family, float and QDQ: exact, and all that can be on the accelerator."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

import codesign
from codesign.isa import check
from tests.networks import (
    DilatedNet,
    PaddedNet,
    ParametricNet,
    PreactivationDenseNet,
    ShuffledNet,
    SmallDenseNet,
    SmallMobileNet,
    SmallShuffleNet,
    TransposedUNet,
    VisionBlock,
    exported,
)
from tests.onnx_models import onnxruntime_outputs

CFG = codesign.load_config("pynq")
BORDERS = {"quantize", "dequantize"}
NETWORKS = {
    "mobilenet": SmallMobileNet,
    "shufflenet": SmallShuffleNet,
    "densenet": SmallDenseNet,
    "preactivation": PreactivationDenseNet,
    "prelu": ParametricNet,
    "padded": PaddedNet,
    "shuffled": ShuffledNet,
    "dilated": DilatedNet,
    "unet": TransposedUNet,
}
SHAPE = (1, 3, 16, 16)


def images(count: int, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {"x": rng.standard_normal((count, *SHAPE[1:])).astype(np.float32)}


class _Batches(CalibrationDataReader):
    def __init__(self) -> None:
        self._batches = iter([{"x": image[None]} for image in images(4)["x"]])

    def get_next(self) -> Any:
        return next(self._batches, None)


def quantized(model: Any, folder: Path) -> Any:
    """The model in QDQ form, as onnxruntime makes it: uint8 activations with zero points."""
    paths = [str(folder / name) for name in ("float.onnx", "prepared.onnx", "qdq.onnx")]
    onnx.save(model, paths[0])
    quant_pre_process(paths[0], paths[1], skip_symbolic_shape=True)
    quantize_static(
        paths[1],
        paths[2],
        _Batches(),
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        extra_options={"WeightSymmetric": True, "MatMulConstBOnly": True},
    )
    return onnx.load(paths[2])


def cosine(a: Any, b: Any) -> float:
    return float(a.ravel() @ b.ravel() / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize("name", NETWORKS)
def test_convolutional_networks_leave_nothing_to_the_host(name: str) -> None:
    model = exported(NETWORKS[name](), SHAPE)
    package = codesign.compile(model, CFG, calibration=images(4))
    data = images(2, 1)
    result = package.run(data)
    assert result.outputs_match
    assert result.offloaded_macs == result.macs > 0
    assert {op.op for op in result.host_ops} == BORDERS
    assert len(package.graphs) == 1
    assert cosine(result.outputs["y"], onnxruntime_outputs(model, data["x"])) > 0.98


def test_concatenations_of_one_scale_need_no_copies() -> None:
    package = codesign.compile(exported(SmallDenseNet(), SHAPE), CFG, calibration=images(4))
    assert {unit.workload.op for unit in package.units} == {"conv2d", "avg_pool2d"}


@pytest.mark.parametrize(
    ("name", "other", "kinds"),
    [
        ("mobilenet", "de10nano", {"conv2d", "depthwise_conv2d", "dense"}),
        ("shufflenet", "ultra96", {"conv2d", "gather", "avg_pool2d"}),
        ("densenet", "zcu104", {"conv2d", "avg_pool2d"}),
        ("unet", "de10nano", {"conv2d", "conv2d_transpose", "max_pool2d"}),
    ],
)
def test_streams_of_stock_machines_are_portable(name: str, other: str, kinds: set[str]) -> None:
    model = exported(NETWORKS[name](), SHAPE)
    for preset in ("pynq", other):
        package = codesign.compile(model, codesign.load_config(preset), calibration=images(4))
        assert kinds <= {unit.workload.op for unit in package.units}
        for _, program, stream in package.streams:
            memory, base = package.memory_image(program.graph.name)
            found = check(stream.instructions, package.config, memory, base, portable=True)
            assert found == []


@pytest.mark.long
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("blocks", [(0, 3, 3), (2, 4, 4), (0, 3, 5), (0, 5, 4)])
def test_batches_and_blocks(name: str, blocks: tuple[int, int, int]) -> None:
    batch, block_in, block_out = blocks
    cfg = replace(CFG, log_batch=batch, log_block_in=block_in, log_block_out=block_out)
    package = codesign.compile(exported(NETWORKS[name](), SHAPE), cfg, calibration=images(4))
    assert package.run(images(3, 1)).outputs_match
    assert package.offloaded_macs >= 0.9 * package.macs


@pytest.mark.long
@pytest.mark.parametrize("name", NETWORKS)
def test_qdq_networks(name: str, tmp_path: Path) -> None:
    model = quantized(exported(NETWORKS[name](), SHAPE), tmp_path)
    result = codesign.compile(model, CFG).run(images(2, 1))
    assert result.outputs_match
    assert result.offloaded_macs >= 0.99 * result.macs
    wanted = onnxruntime_outputs(model, images(2, 1)["x"])
    assert cosine(result.outputs["y"], wanted) > 0.97


@pytest.mark.parametrize("qdq", [False, pytest.param(True, marks=pytest.mark.long)])
def test_attention_leaves_products_of_activations_to_the_host(qdq: bool, tmp_path: Path) -> None:
    model = exported(VisionBlock(), SHAPE)
    if qdq:
        model = quantized(model, tmp_path)
    package = codesign.compile(model, CFG, calibration=None if qdq else images(4))
    data = images(2, 1)
    result = package.run(data)
    assert result.outputs_match
    products = 2 * 16 * 16 * 32
    assert result.offloaded_macs == result.macs - products
    assert sum(layer.op in ("dense", "conv2d") for layer in result.layers) == 7
    assert cosine(result.outputs["y"], onnxruntime_outputs(model, data["x"])) > 0.97


@pytest.mark.parametrize("name", ["mobilenet", "densenet", "shufflenet"])
def test_multipliers_are_within_a_step_of_onnxruntime(name: str, tmp_path: Path) -> None:
    model = quantized(exported(NETWORKS[name](), SHAPE), tmp_path)
    data = images(20, 2)
    package = codesign.compile(model, replace(CFG, has_mul=True))
    ours = package.reference(data)["y"]
    theirs = onnxruntime_outputs(model, data["x"], fused=True)
    scale = np.unique(np.abs(np.diff(np.unique(theirs)))).min()
    steps = np.rint(np.abs(ours - theirs) / scale)
    assert (steps <= 1).mean() >= 0.99
    assert (steps == 0).mean() >= 0.85  # averages of one scale end in halves, which go up here
