# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# onnx's helpers are only partly annotated.
"""A frozen network as QDQ ONNX: int8 weights and activations, any runtime can run it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from codesign.nn.export import OPSET
from codesign.nn.quantization.frozen import FrozenNetwork, FrozenStep
from codesign.nn.quantization.plan import INPUT, Step
from codesign.store.atomic import write_bytes

_IR_VERSION = 9
_TO_THE_END = 2**31 - 1
_OPERATORS = {
    "conv": "Conv",
    "dense": "Gemm",
    "add": "Add",
    "avg_pool": "AveragePool",
    "max_pool": "MaxPool",
    "flatten": "Flatten",
    "concat": "Concat",
    "crop": "Slice",
}


def export_qdq(network: FrozenNetwork, path: str | Path) -> Path:
    """Write ``network`` with input ``x`` float [1, C, H, W] and output ``y``; whole or not at all.

    The same network gives the same bytes.
    """
    path = Path(path)
    write_bytes(path, qdq_model(network).SerializeToString(deterministic=True))
    return path


def qdq_model(network: FrozenNetwork) -> Any:
    """The `onnx.ModelProto` of a frozen network."""
    from onnx import TensorProto, checker, helper

    writer = _Writer()
    writer.quantized("x", INPUT, network.input_scale)
    for frozen in network.steps:
        writer.step(frozen)
    last = network.steps[-1]
    writer.nodes[-1].output[0] = "y"
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        writer.nodes,
        "quantized",
        [value("x", TensorProto.FLOAT, [1, *network.image_shape])],
        [value("y", TensorProto.FLOAT, [1, *last.step.shape])],
        writer.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = _IR_VERSION
    checker.check_model(model)
    return model


class _Writer:
    """Nodes and initializers in order; a step's dequantised output is named after it."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def step(self, frozen: FrozenStep) -> None:
        step = frozen.step
        inputs = [self._real(name) for name in step.inputs]
        raw = f"{step.name}_raw"
        if step.kind in ("conv", "dense"):
            inputs += self._parameters(frozen)
        if step.kind == "crop":
            inputs += self._bounds(step)
        if step.kind == "activation":
            raw = inputs[0]
        else:
            self._node(_OPERATORS[step.kind], inputs, raw, **_attributes(frozen))
        if not step.keeps_scale:
            bounds = [
                self._constant(f"{step.name}_low", frozen.low),
                self._constant(f"{step.name}_high", frozen.high),
            ]
            self._node("Clip", [raw, *bounds], f"{step.name}_clipped")
            raw = f"{step.name}_clipped"
        self.quantized(raw, step.name, frozen.scale)

    def quantized(self, real: str, name: str, scale: np.float32) -> None:
        """QuantizeLinear and DequantizeLinear behind the tensor ``real``."""
        numbers = [
            self._constant(f"{name}_scale", scale),
            self._constant(f"{name}_zero_point", np.int8(0)),
        ]
        self._node("QuantizeLinear", [real, *numbers], f"{name}_int8")
        self._node("DequantizeLinear", [f"{name}_int8", *numbers], self._real(name))

    def _parameters(self, frozen: FrozenStep) -> list[str]:
        assert frozen.weight is not None
        assert frozen.weight_scale is not None
        assert frozen.bias is not None
        name, scale = frozen.step.name, frozen.weight_scale
        numbers = [
            self._constant(f"{name}_weight_int8", frozen.weight),
            self._constant(f"{name}_weight_scale", scale if len(scale) > 1 else scale[0]),
            self._constant(
                f"{name}_weight_zero_point",
                np.zeros(scale.shape, np.int8) if len(scale) > 1 else np.int8(0),
            ),
        ]
        axis = {"axis": 0} if len(scale) > 1 else {}
        self._node("DequantizeLinear", numbers, f"{name}_weight", **axis)
        return [f"{name}_weight", self._constant(f"{name}_bias", frozen.bias)]

    def _bounds(self, step: Step) -> list[str]:
        """Starts, ends and axes of a crop; its first row and column are cut off."""
        numbers = {"starts": step.first, "ends": [_TO_THE_END] * 2, "axes": (2, 3)}
        return [
            self._constant(f"{step.name}_{what}", np.array(value, np.int64))
            for what, value in numbers.items()
        ]

    def _real(self, name: str) -> str:
        return f"{name}_real"

    def _node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> None:
        from onnx import helper

        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))

    def _constant(self, name: str, value: Any) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name


def _attributes(frozen: FrozenStep) -> dict[str, Any]:
    step = frozen.step
    if step.kind == "dense":
        return {"transB": 1}
    if step.kind in ("add", "flatten", "crop"):
        return {}
    if step.kind == "concat":
        return {"axis": 1}
    window: dict[str, Any] = {
        "kernel_shape": list(step.kernel),
        "strides": list(step.stride),
        "pads": [*step.padding, *step.padding],
    }
    if step.kind == "conv":
        return {**window, "dilations": list(step.dilation), "group": step.groups}
    if step.kind == "avg_pool":
        return {**window, "count_include_pad": int(step.count_include_pad)}
    return window
