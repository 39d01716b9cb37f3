# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# onnx's helpers are only partly annotated.
"""The ONNX file of a `GraphModule`, node by node: the same bytes every time, in milliseconds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from codesign.nn.export import OPSET, export_onnx
from codesign.nn.graph import Node
from codesign.nn.graph_module import fused
from codesign.store.atomic import write_bytes

if TYPE_CHECKING:
    from codesign.nn.graph_module import GraphModule

_OPERATORS = {
    "conv": "Conv",
    "pointwise": "Conv",
    "norm": "Conv",
    "relu": "Relu",
    "relu6": "Clip",
    "add": "Add",
    "concat": "Concat",
    "crop": "Slice",
    "avg_pool": "AveragePool",
    "max_pool": "MaxPool",
    "global_pool": "GlobalAveragePool",
    "dense": "Gemm",
    "gate": "Mul",
}
_CONSTANTS = {
    "zero": np.float32(0),
    "six": np.float32(6),
    "first": np.array([1, 1], np.int64),
    "last": np.array([2**31, 2**31], np.int64),
    "rows": np.array([2, 3], np.int64),
}


def save_onnx(module: GraphModule, input_shape: tuple[int, ...], path: str | Path) -> Path:
    """Write ``module`` (evaluation mode, batch norms folded) with input ``x`` and output ``y``.

    ``input_shape`` is [N, C, H, W]. The file is written whole or not at all.
    """
    graph, path = module.graph, Path(path)
    module = fused(module)
    if graph.output is None:
        return export_onnx(module, input_shape, path)
    live = graph.live()
    names = {index: "x" if graph.nodes[index].kind == "input" else f"t{index}" for index in live}
    names[graph.output] = "y"
    nodes: list[onnx.NodeProto] = []
    weights: dict[str, Any] = {}
    used: set[str] = set()
    for index in live:
        node = graph.nodes[index]
        if node.kind == "input":
            continue
        inputs = [names[source] for source in node.inputs]
        if node.kind in ("conv", "pointwise", "norm", "dense"):
            part: Any = module.parts[node.name]
            parameters = [f"{node.name}.weight", f"{node.name}.bias"]
            weights |= zip(parameters, (part.weight, part.bias), strict=True)
            if node.kind == "dense" and graph.nodes[node.inputs[0]].kind != "dense":
                flat = f"flat{index}"
                nodes.append(helper.make_node("Flatten", inputs, [flat], axis=1))
                inputs = [flat]
            inputs += parameters
        if node.kind == "gate":
            nodes.append(helper.make_node("Sigmoid", inputs[1:], [f"gate{index}"]))
            inputs[1] = f"gate{index}"
        constants = _constants(node)
        used.update(constants)
        operator, operands = _OPERATORS[node.kind], [*inputs, *constants]
        nodes.append(helper.make_node(operator, operands, [names[index]], **_attributes(node)))
    tensors = [numpy_helper.from_array(w.detach().numpy(), name) for name, w in weights.items()]
    tensors += [
        numpy_helper.from_array(np.asarray(value), name)
        for name, value in _CONSTANTS.items()
        if name in used
    ]
    output = [input_shape[0], graph.nodes[graph.output].channels]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "network",
            [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, input_shape)],
            [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, output)],
            tensors,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=10,
        producer_name="codesign",
    )
    onnx.checker.check_model(model)
    write_bytes(path, model.SerializeToString(deterministic=True))
    return path


def _constants(node: Node) -> list[str]:
    if node.kind == "relu6":
        return ["zero", "six"]
    return ["first", "last", "rows"] if node.kind == "crop" else []


def _attributes(node: Node) -> dict[str, Any]:
    if node.kind == "dense":
        return {"transB": 1}
    if node.kind == "concat":
        return {"axis": 1}
    if node.kind not in ("conv", "pointwise", "norm", "max_pool", "avg_pool"):
        return {}
    kernel, stride, padding, dilation = node.window
    window = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [padding] * 4}
    if node.kind == "conv":
        return {**window, "dilations": [dilation] * 2, "group": node.groups}
    return {**window, "count_include_pad": 0} if node.kind == "avg_pool" else window
