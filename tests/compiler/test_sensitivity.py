# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# onnx and onnxruntime carry no usable annotations.
"""Real numbers of every kind of unit, and the errors that the report derives from them."""

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
import torch

import codesign
from codesign.compiler.real import real_output
from codesign.compiler.sensitivity import layer_sensitivity
from relay_passes.spec import QuantizedTensor, UnitSpec
from tests.onnx_models import conv_net, onnxruntime_outputs, qdq_conv, qdq_pool, samples

CFG = codesign.load_config("pynq")


def tensor(*shape: int) -> QuantizedTensor:
    return QuantizedTensor(shape, "int8", 0.1, 0)


@pytest.mark.parametrize(("groups", "dilation"), [(1, 1), (2, 2), (4, 1)])
def test_real_convolution(groups: int, dilation: int) -> None:
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 4, 9, 8)), rng.standard_normal((8, 4 // groups, 3, 3))
    wanted = torch.nn.functional.conv2d(
        torch.from_numpy(x), torch.from_numpy(w), None, 2, 1, dilation, groups
    ).numpy()
    spec = UnitSpec(
        "conv2d",
        (tensor(2, 4, 9, 8),),
        tensor(*wanted.shape),
        weight=w,
        bias=np.ones(8),
        kernel=(3, 3),
        stride=(2, 2),
        padding=(1, 1, 1, 1),
        dilation=(dilation, dilation),
        groups=groups,
        low=0.0,
        high=6.0,
    )
    np.testing.assert_allclose(real_output(spec, (x,)), np.clip(wanted + 1, 0, 6), atol=1e-9)


def test_real_moves_fill_with_zeros() -> None:
    x, y = np.arange(1.0, 5.0).reshape(1, 1, 2, 2), np.full((1, 1, 2, 2), 9.0)
    pad = ("pad", (0, 0, 0, 0, 1, 0, 0, 0))
    moves: Any = (("concat", (1,)), pad)
    spec = UnitSpec("gather", (tensor(1, 1, 2, 2),) * 2, tensor(1, 2, 3, 2), moves=moves)
    out = real_output(spec, (x, y))
    np.testing.assert_array_equal(out.sum(axis=(0, 1))[:1], [[0, 0]])
    np.testing.assert_array_equal(out[:, :, 1:], np.concatenate([x, y], 1))


@pytest.mark.parametrize("has_mul", [False, True])
def test_the_last_layers_error_is_the_networks(has_mul: bool) -> None:
    made, x = conv_net(), samples(8)
    cfg = replace(CFG, has_mul=has_mul)
    package = codesign.compile(made, cfg, calibration=x)
    layers = layer_sensitivity(package, x)
    assert [layer.name for layer in layers] == [unit.name for unit in package.units]
    real, got = onnxruntime_outputs(made, x["x"]), package.reference(x)["y"]
    noise = 10 * np.log10((real**2).sum() / ((real - got) ** 2).sum())
    # The report starts behind the quantisation of the input.
    assert layers[-1].output_sqnr_db == pytest.approx(noise, abs=3.0)
    for layer in layers:
        assert (layer.weight_sqnr_db is not None) == (layer.op == "conv2d")
        assert layer.weight_sqnr_db is None or layer.weight_sqnr_db > (40 if has_mul else 30)
        assert layer.clipped <= 0.01


@pytest.mark.parametrize(
    "made",
    [qdq_conv(), qdq_conv(zero_channel=True), qdq_pool("MaxPool"), qdq_pool("AveragePool")],
    ids=["conv", "zero channel", "max", "average"],
)
def test_single_quantised_layers(made: onnx.ModelProto) -> None:
    shape = [d.dim_value for d in made.graph.input[0].type.tensor_type.shape.dim]
    x = {"x": np.random.default_rng(2).standard_normal((4, *shape[1:])).astype(np.float32) / 2}
    (layer,) = layer_sensitivity(codesign.compile(made, CFG), x)
    assert layer.output_sqnr_db > 25
    assert layer.cosine > 0.995
