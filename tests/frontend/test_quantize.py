# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# onnx and onnxruntime carry no usable annotations.
"""Calibration methods, and equalisation as Before/Expected models."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import codesign
from codesign.errors import ModelError
from codesign.frontend import METHODS, import_onnx, quantize_module
from codesign.frontend.equalise import equalise
from codesign.frontend.mse_ranges import best_range
from tests.onnx_models import conv_net, model, onnxruntime_outputs, samples


def cosine(a: Any, b: Any) -> float:
    return float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_quantises(method: Any, capsys: pytest.CaptureFixture[str]) -> None:
    made, x = conv_net(), samples(6, seed=4)
    package = codesign.compile(
        made, codesign.load_config("pynq"), calibration=samples(16), calibration_method=method
    )
    result = package.run(x)
    assert result.outputs_match
    assert result.offloaded_macs == result.macs
    assert cosine(result.outputs["y"], onnxruntime_outputs(made, x["x"])) > 0.999
    assert capsys.readouterr().out == ""


def test_unknown_methods_are_refused() -> None:
    with pytest.raises(ModelError, match="'guess': allowed are minmax, percentile, mse, entropy"):
        quantize_module(import_onnx(conv_net()), samples(), "guess")  # pyright: ignore[reportArgumentType]


def test_least_squared_error_clips_lone_outliers_only() -> None:
    uniform = np.ones(2048)
    assert best_range(uniform, 3.0) == pytest.approx(3.0, rel=0.02)
    normal = np.exp(-0.5 * (np.arange(2048) / 200.0) ** 2) * 1e6
    normal[-1] = 1.0
    assert best_range(normal, 10.0) < 5.0


def chain(first: Any, bias: Any, depthwise: Any, last: Any, relu: str = "Relu") -> Any:
    """1x1 convolution, ReLU, depthwise convolution, ReLU, 1x1 convolution."""
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"]),
        helper.make_node(relu, ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], group=2),
        helper.make_node(relu, ["c2"], ["r2"]),
        helper.make_node("Conv", ["r2", "w3"], ["y"]),
    ]
    values = {"w1": first, "b1": bias, "w2": depthwise, "w3": last}
    constants = {name: np.asarray(v, np.float32) for name, v in values.items()}
    return model(nodes, constants, [1, 1, 4, 4])


def weights(made: Any) -> dict[str, Any]:
    return {t.name: numpy_helper.to_array(t) for t in made.graph.initializer}


def column(*values: float) -> Any:
    return np.array(values).reshape(-1, 1, 1, 1)


BEFORE = chain(column(64, 1), [32, 4], column(1, 1), column(1, 64).reshape(1, 2, 1, 1))
EXPECTED = chain(column(4, 4), [2, 16], column(4, 4), column(4, 4).reshape(1, 2, 1, 1))


def test_equalise() -> None:
    made = weights(equalise(BEFORE))
    for name, value in weights(EXPECTED).items():
        np.testing.assert_allclose(made[name], value, rtol=5e-3)


def test_equalise_keeps_the_function() -> None:
    rng = np.random.default_rng(0)
    scale = np.exp2(rng.uniform(-4, 4, 2))
    made = chain(
        *(column(*scale), rng.standard_normal(2), column(0.7, -0.3)),
        rng.standard_normal((3, 2, 1, 1)) / scale[:, None, None],
    )
    x = rng.standard_normal((5, 1, 4, 4)).astype(np.float32)
    changed = equalise(made)
    assert np.abs(weights(changed)["w1"] - weights(made)["w1"]).max() > 0.1
    np.testing.assert_allclose(
        onnxruntime_outputs(changed, x), onnxruntime_outputs(made, x), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("relu", ["Sigmoid", "HardSwish"])
def test_only_homogeneous_activations_are_crossed(relu: str) -> None:
    w = weights(BEFORE)
    made = chain(w["w1"], w["b1"], w["w2"], w["w3"], relu)
    assert equalise(made) == made


def test_tensors_that_others_read_stay() -> None:
    made = onnx.ModelProto()
    made.CopyFrom(BEFORE)
    made.graph.output.append(helper.make_tensor_value_info("r1", 1, [1, 2, 4, 4]))
    made.graph.output.append(helper.make_tensor_value_info("r2", 1, [1, 2, 4, 4]))
    assert equalise(made) == made


def test_unequal_channels_survive_a_common_shift() -> None:
    """A network whose channels differ by factors of up to 32, undone by the next layer."""
    rng = np.random.default_rng(1)
    scale = np.exp2(rng.uniform(-5, 0, 16))
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2"], ["y"]),
    ]
    constants = {
        "w1": (rng.standard_normal((16, 3, 3, 3)) * scale[:, None, None, None]).astype(np.float32),
        "b1": (rng.standard_normal(16) * scale).astype(np.float32),
        "w2": (rng.standard_normal((4, 16, 1, 1)) / scale[:, None, None]).astype(np.float32),
    }
    made, x = model(nodes, constants, [1, 3, 8, 8]), samples(4, seed=7)
    cfg = codesign.load_config("pynq")
    result = codesign.compile(made, cfg, calibration=samples(16)).run(x)
    assert cosine(result.outputs["y"], onnxruntime_outputs(made, x["x"])) > 0.999
