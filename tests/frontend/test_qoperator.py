# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# onnx and onnxruntime carry no usable annotations.
"""QOperator models become QDQ ones with the values that onnxruntime gives the originals."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import codesign
from codesign.errors import ModelError
from codesign.frontend.model import is_quantized, read_model
from tests.onnx_models import conv_net, onnxruntime_outputs, samples

SCALES: dict[str, Any] = {
    "sx": np.float32(0.031), "zx": np.int8(7), "sw": np.float32(0.02), "zw": np.int8(0),
    "sy": np.float32(0.05), "zy": np.int8(-3),
}  # fmt: skip


def quantised(data: Any, folder: Path, per_channel: bool) -> Any:
    from onnxruntime.quantization import QuantFormat, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader:
        items = iter([{"x": row[None]} for row in data["x"]])

        def get_next(self) -> Any:
            return next(self.items, None)

    source, target = str(folder / "float.onnx"), str(folder / "qoperator.onnx")
    onnx.save(conv_net(), source)
    quant_pre_process(source, source, skip_symbolic_shape=True)
    quantize_static(
        source,
        target,
        cast("Any", Reader()),
        quant_format=QuantFormat.QOperator,
        per_channel=per_channel,
    )
    return onnx.load(target)


@pytest.mark.parametrize("per_channel", [False, True])
def test_quantised_networks_compile_and_match(tmp_path: Path, per_channel: bool) -> None:
    made = quantised(samples(8), tmp_path, per_channel)
    assert "QLinearConv" in {node.op_type for node in made.graph.node}
    rewritten = read_model(made)
    assert is_quantized(rewritten)
    assert {n.domain for n in rewritten.graph.node} == {""}
    x = samples(6, seed=5)["x"]
    wanted = onnxruntime_outputs(made, x)
    step = float(np.diff(np.unique(wanted)).min())
    assert np.abs(onnxruntime_outputs(rewritten, x) - wanted).max() <= 1.01 * step
    package = codesign.compile(made, codesign.load_config("pynq"))
    result = package.run({"x": x})
    assert result.outputs_match
    assert result.offloaded_macs == result.macs
    assert np.abs(result.outputs["y"] - wanted).max() <= 4.01 * step


def network(nodes: list[Any], constants: dict[str, Any], shape: list[int]) -> Any:
    """``nodes`` from int8 ``q`` to int8 ``r`` between QuantizeLinear and DequantizeLinear."""
    first = helper.make_node("QuantizeLinear", ["x", "sx", "zx"], ["q"])
    last = helper.make_node("DequantizeLinear", ["r", "sy", "zy"], ["y"])
    return unchecked([first, *nodes, last], {**SCALES, **constants}, shape)


def unchecked(nodes: list[Any], constants: dict[str, Any], shape: list[int]) -> Any:
    """A model without inferred shapes, onnxruntime's own operators allowed."""
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, list("abcd")[: len(shape)])],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def contrib(op: str, inputs: str, **attributes: Any) -> Any:
    domain = "" if op in ("QLinearMatMul", "QLinearConv") else "com.microsoft"
    return helper.make_node(op, inputs.split(), ["r"], domain=domain, **attributes)


def matmul(columns: int) -> Any:
    rng = np.random.default_rng(0)
    scales = rng.random(columns).astype(np.float32) / 50
    weight = rng.integers(-127, 128, (9, columns)).astype(np.int8)
    nodes = [contrib("QLinearMatMul", "q sx zx w ss zs sy zy")]
    return network(nodes, {"w": weight, "ss": scales, "zs": np.zeros(columns, np.int8)}, [3, 9])


def gemm() -> Any:
    rng = np.random.default_rng(0)
    weight = rng.integers(-127, 128, (4, 9)).astype(np.int8)
    bias = rng.integers(-500, 500, 4).astype(np.int32)
    node = contrib("QGemm", "q sx zx w sw zw b sy zy", transB=1, alpha=0.5)
    return network([node], {"w": weight, "b": bias}, [3, 9])


def conv_integer() -> Any:
    weight = np.random.default_rng(0).integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "sx", "zx"], ["q"]),
        helper.make_node("ConvInteger", ["q", "w", "zx"], ["i"], pads=[1, 1, 1, 1]),
        helper.make_node("Cast", ["i"], ["y"], to=TensorProto.FLOAT),
    ]
    return unchecked(nodes, {**SCALES, "w": weight}, [1, 3, 6, 6])


MODELS = {
    "matmul": lambda: matmul(5),
    "gemm": gemm,
    "add": lambda: network([contrib("QLinearAdd", "q sx zx q sx zx sy zy")], {}, [2, 5]),
    "mul": lambda: network([contrib("QLinearMul", "q sx zx q sx zx sy zy")], {}, [2, 5]),
    "sigmoid": lambda: network([contrib("QLinearSigmoid", "q sx zx sy zy")], {}, [2, 5]),
    "leaky": lambda: network([contrib("QLinearLeakyRelu", "q sx zx sy zy", alpha=0.1)], {}, [2, 5]),
    "mean": lambda: network(
        [contrib("QLinearGlobalAveragePool", "q sx zx sy zy", channels_last=0)], {}, [1, 4, 5, 5]
    ),
    "pool": lambda: network(
        [contrib("QLinearAveragePool", "q sx zx sy zy", kernel_shape=[3, 3], pads=[1, 1, 1, 1])],
        {},
        [1, 4, 5, 5],
    ),
    "concat": lambda: network(
        [contrib("QLinearConcat", "sy zy q sx zx q sx zx", axis=1)], {}, [1, 4, 5, 5]
    ),
    "conv integer": conv_integer,
}


@pytest.mark.parametrize("name", MODELS)
def test_operators_match_onnxruntime(name: str) -> None:
    made = MODELS[name]()
    rewritten = read_model(made)
    shape = tuple(d.dim_value for d in made.graph.input[0].type.tensor_type.shape.dim)
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32) * 2
    wanted = onnxruntime_outputs(made, x)
    got = onnxruntime_outputs(rewritten, x)
    one_step = 0.0501 if name != "conv integer" else 0.0
    assert np.abs(got - wanted).max() <= one_step
    codesign.import_onnx(made)


def test_moving_operators_get_a_pair_of_their_own() -> None:
    pool = helper.make_node("MaxPool", ["q"], ["p"], kernel_shape=[2, 2])
    made = network([pool, contrib("QLinearAdd", "p sx zx p sx zx sy zy")], {}, [1, 4, 5, 5])
    rewritten = read_model(made)
    found = next(n for n in rewritten.graph.node if n.op_type == "MaxPool")
    producers = {o: n.op_type for n in rewritten.graph.node for o in n.output}
    assert producers[found.input[0]] == "DequantizeLinear"


@pytest.mark.parametrize("inputs", ["q pads", "q pads five", "q pads zx"])
@pytest.mark.parametrize("mode", ["constant", "reflect"])
def test_padding_writes_integers(inputs: str, mode: str) -> None:
    """Without a value the integer 0, which is no real 0 here."""
    pad = helper.make_node("Pad", inputs.split(), ["r"], mode=mode)
    constants = {"pads": np.array([0, 0, 1, 2, 0, 0, 2, 1], np.int64), "five": np.int8(5)}
    constants |= {"sy": SCALES["sx"], "zy": SCALES["zx"]}
    made = network([pad], constants, [1, 2, 4, 4])
    x = np.random.default_rng(1).standard_normal((1, 2, 4, 4)).astype(np.float32)
    wanted = onnxruntime_outputs(made, x)
    np.testing.assert_array_equal(onnxruntime_outputs(read_model(made), x), wanted)
    if mode == "constant":
        result = codesign.compile(made, codesign.load_config("pynq")).run({"x": x})
        assert result.outputs_match
        np.testing.assert_allclose(result.outputs["y"], wanted, atol=1e-6)


def test_refusals_name_node_and_operator() -> None:
    node = contrib("QLinearWhere", "q q sx zx q sx zx sy zy")
    node.name = "choose"
    with pytest.raises(ModelError, match=r"'choose' \(QLinearWhere\).*no QDQ form.*QuantFormat"):
        read_model(network([node], {}, [2, 5]))
    softmax = contrib("QLinearSoftmax", "q sx zx sy zy", opset=12)
    with pytest.raises(ModelError, match=r"writes 'r' \(QLinearSoftmax\).*operator sets before"):
        read_model(network([softmax], {}, [2, 5]))
    conv = contrib("QLinearConv", "q x zx w sw zw sy zy b")
    constants = {"w": np.zeros((2, 4, 1, 1), np.int8), "b": np.zeros(2, np.int32)}
    with pytest.raises(ModelError, match="its scale 'x' is no constant"):
        read_model(network([conv], constants, [1, 4, 5, 5]))
