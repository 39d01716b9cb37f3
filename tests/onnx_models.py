# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# onnx carries no usable annotations.
"""Small ONNX models built node by node, float and QDQ, without torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def model(
    nodes: list[Any], constants: dict[str, Any], shape: Any, out: Any = None, opset: int = 17
) -> Any:
    """A checked model from input ``x`` to output ``y``."""
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, out)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return onnx.shape_inference.infer_shapes(made)


def conv_net(seed: int = 0, shape: Any = (1, 3, 8, 8), width: int = 8) -> Any:
    """Conv, ReLU, max pool, conv with Clip(0, 6), global average pool."""
    rng = np.random.default_rng(seed)
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node(
            "MaxPool", ["r1"], ["p1"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]
        ),
        helper.make_node("Conv", ["p1", "w2", "b2"], ["c2"]),
        helper.make_node("Clip", ["c2", "low", "high"], ["r2"]),
        helper.make_node("GlobalAveragePool", ["r2"], ["y"]),
    ]
    constants = {
        "w1": rng.standard_normal((width, 3, 3, 3)).astype(np.float32) / 4,
        "b1": rng.standard_normal(width).astype(np.float32) / 4,
        "w2": rng.standard_normal((width, width, 1, 1)).astype(np.float32),
        "b2": rng.standard_normal(width).astype(np.float32) / 4,
        "low": np.float32(0),
        "high": np.float32(6),
    }
    return model(nodes, constants, list(shape))


def qdq_conv(
    activation: Any = np.uint8,
    zero_in: int = 117,
    zero_out: int = 31,
    weight_zero: int = 0,
    pad: int = 1,
    kernel: int = 3,
    zero_channel: bool = False,
    dilation: int = 1,
    weights: Any = np.int8,
) -> Any:
    """One quantised convolution between per-tensor activations, per-channel weights."""
    rng = np.random.default_rng(3)
    weight = rng.integers(-127, 128, (6, 5, kernel, kernel)).astype(weights)
    if zero_channel:
        weight[2] = 0
    scales = (rng.random(6) * 0.004 + 0.002).astype(np.float32)
    constants = {
        "sx": np.float32(0.03),
        "zx": np.asarray(zero_in, activation),
        "sy": np.float32(0.09),
        "zy": np.asarray(zero_out, activation),
        "w": weight,
        "sw": scales,
        "zw": np.full(6, weight_zero, weights),
        "b": rng.integers(-3000, 3000, 6).astype(np.int32),
        "sb": (scales * np.float32(0.03)).astype(np.float32),
        "zb": np.zeros(6, np.int32),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "sx", "zx"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "sx", "zx"], ["xf"]),
        helper.make_node("DequantizeLinear", ["w", "sw", "zw"], ["wf"], axis=0),
        helper.make_node("DequantizeLinear", ["b", "sb", "zb"], ["bf"], axis=0),
        helper.make_node(
            "Conv", ["xf", "wf", "bf"], ["c"], pads=[pad] * 4, dilations=[dilation, dilation]
        ),
        helper.make_node("QuantizeLinear", ["c", "sy", "zy"], ["cq"]),
        helper.make_node("DequantizeLinear", ["cq", "sy", "zy"], ["y"]),
    ]
    return model(nodes, constants, [2, 5, 9, 7], opset=17 if weights is np.int8 else 21)


def qdq_pool(kind: str, count_include_pad: int = 0, zero: int = 5) -> Any:
    """One quantised pooling, 3x3, padded, with equal scales."""
    attributes: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]}
    if kind == "AveragePool":
        attributes["count_include_pad"] = count_include_pad
    constants = {"s": np.float32(0.03), "z": np.int8(zero)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xf"]),
        helper.make_node(kind, ["xf"], ["p"], **attributes),
        helper.make_node("QuantizeLinear", ["p", "s", "z"], ["pq"]),
        helper.make_node("DequantizeLinear", ["pq", "s", "z"], ["y"]),
    ]
    return model(nodes, constants, [1, 5, 9, 7])


def samples(count: int = 4, shape: tuple[int, ...] = (3, 8, 8), seed: int = 1) -> dict[str, Any]:
    """Normal noise for input ``x``."""
    rng = np.random.default_rng(seed)
    return {"x": rng.standard_normal((count, *shape)).astype(np.float32)}


def onnxruntime_outputs(made: Any, x: Any, fused: bool = False) -> Any:
    """What onnxruntime computes, samples one declared batch at a time; with its int8 kernels?"""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    if fused:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.add_session_config_entry("session.qdqisint8allowed", "1")
    session = ort.InferenceSession(made.SerializeToString(), options)
    batch = session.get_inputs()[0].shape[0]
    return np.concatenate(
        [session.run(None, {"x": x[i : i + batch]})[0] for i in range(0, len(x), batch)]
    )
