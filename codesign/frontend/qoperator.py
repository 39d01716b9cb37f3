# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# onnx's protobuf classes carry no usable annotations.
"""QOperator models (QLinearConv, QGemm, QLinearAdd, ...) rewritten to QDQ form, node by node.

An operator on integers becomes the real one between DequantizeLinear and QuantizeLinear with the
same scales: the same function up to the rounding of exact halves. Operators that only move or
compare quantised values get the pair of the tensor that they read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ModelError

MICROSOFT = "com.microsoft"
_MOVING = frozenset(
    (
        *("MaxPool", "Pad", "Resize", "Reshape", "Flatten", "Squeeze", "Unsqueeze"),
        *("Transpose", "Split", "Slice", "Identity"),
    )
)

_EXACT = 2**24
"""Integers up to here are float32 values."""


def is_qoperator(model: Any) -> bool:
    """Whether a node computes on quantised tensors directly."""
    return any(_integer(node) for node in model.graph.node)


def to_qdq(model: Any) -> Any:
    """The model with every integer operator in QDQ form; others are copied.

    Raises
    ------
    ModelError
        an integer operator without QDQ form, or one whose scales are not constants; names the node.
    """
    import onnx

    rewriter = _Rewriter(model)
    for node in model.graph.node:
        rewriter.rewrite(node)
    made = onnx.ModelProto()
    made.CopyFrom(model)
    del made.graph.node[:], made.graph.value_info[:], made.opset_import[:]
    made.graph.node.extend(rewriter.nodes)
    made.graph.initializer.extend(rewriter.constants_made)
    domains = {node.domain for node in rewriter.nodes} | {""}
    opsets = [o for o in model.opset_import if o.domain in domains or o.domain == "ai.onnx"]
    made.opset_import.extend(opsets)
    return made if _opset(made) >= 13 else onnx.version_converter.convert_version(made, 13)


def _integer(node: Any) -> bool:
    name = node.op_type
    if node.domain == MICROSOFT:
        return name.startswith("Q") or "Integer" in name
    return name in ("QLinearConv", "QLinearMatMul", "ConvInteger")


def _opset(model: Any) -> int:
    return next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 1)


class _Rewriter:
    """New nodes in order, and the scale and zero point of every quantised tensor."""

    def __init__(self, model: Any) -> None:
        from onnx import numpy_helper

        self.nodes: list[Any] = []
        self.constants_made: list[Any] = []
        self.opset = _opset(model)
        self._constants: dict[str, NDArray[Any]] = {
            t.name: numpy_helper.to_array(t) for t in model.graph.initializer
        }
        self._pairs: dict[str, tuple[str, str]] = {}
        self._used = {name for node in model.graph.node for name in (*node.input, *node.output)}
        self._used |= set(self._constants)

    def rewrite(self, node: Any) -> None:
        """Append the nodes that ``node`` becomes."""
        from onnx import numpy_helper

        inputs = list(node.input)
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            self._constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            quantised = node.output[0] if node.op_type == "QuantizeLinear" else inputs[0]
            self._pairs[quantised] = (inputs[1], inputs[2] if len(inputs) > 2 else "")
        if _integer(node):
            form = _FORMS.get(node.op_type)
            if form is None:
                raise self.refused(node, "it has no QDQ form")
            form(self, node)
        elif node.op_type in _MOVING and not node.domain and inputs[0] in self._pairs:
            self._moved(node)
        else:
            self.nodes.append(node)

    def refused(self, node: Any, why: str) -> ModelError:
        """The error that names a node."""
        where = f"node {node.name!r}" if node.name else f"the node that writes {node.output[0]!r}"
        return ModelError(
            f"{where} ({node.op_type}): {why}; export the network with quantised operators in QDQ "
            "form (onnxruntime: quant_format=QuantFormat.QDQ), or as a float model"
        )

    def value(self, node: Any, name: str, what: str) -> NDArray[Any]:
        """A constant input."""
        if name not in self._constants:
            raise self.refused(node, f"its {what} {name!r} is no constant")
        return self._constants[name]

    def constant(self, value: NDArray[Any] | np.float32, stem: str) -> str:
        from onnx import numpy_helper

        name = self.fresh(stem)
        self._constants[name] = np.asarray(value)
        self.constants_made.append(numpy_helper.from_array(self._constants[name], name))
        return name

    def fresh(self, stem: str) -> str:
        name, number = stem, 0
        while name in self._used:
            number += 1
            name = f"{stem}_{number}"
        self._used.add(name)
        return name

    def emit(
        self, op: str, inputs: list[str], stem: str, attributes: Mapping[str, Any] | None = None
    ) -> str:
        """A new node; the name of its output."""
        from onnx import helper

        output = self.fresh(f"{stem}_{op}")
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **(attributes or {})))
        return output

    def real(self, name: str, scale: str, zero: str, axis: int | None = None) -> str:
        """The dequantised tensor; ``axis`` where the scale is a vector."""
        along = axis is not None and self._constants.get(scale, np.zeros(1)).size > 1
        inputs = [name, scale, zero] if zero else [name, scale]
        return self.emit("DequantizeLinear", inputs, name, {"axis": axis} if along else None)

    def quantised(self, real: str, scale: str, zero: str, output: str) -> None:
        """``output`` as the quantised ``real``."""
        from onnx import helper

        self._pairs[output] = (scale, zero)
        inputs = [real, scale, zero] if zero else [real, scale]
        self.nodes.append(helper.make_node("QuantizeLinear", inputs, [output], name=output))

    def _integer_zero(self, zero: str) -> str:
        """What Pad writes where no value is given: the integer 0, not the real one."""
        kind = self._constants[zero].dtype if zero in self._constants else np.dtype(np.uint8)
        return self.constant(np.zeros((), kind), "pad_value")

    def _moved(self, node: Any) -> None:
        scale, zero = self._pairs[node.input[0]]
        inputs = [self.real(node.input[0], scale, zero), *node.input[1:]]
        constant = _attributes(node).get("mode", b"constant") == b"constant"
        if node.op_type == "Pad" and constant and len(inputs) > 1:
            given = inputs[2] if len(inputs) > 2 else ""
            inputs[2:3] = [self.real(given or self._integer_zero(zero), scale, zero)]
        from onnx import helper

        outputs = [self.fresh(f"{name}_real") for name in node.output]
        moved = helper.make_node(node.op_type, inputs, outputs, name=node.name)
        moved.attribute.extend(node.attribute)
        self.nodes.append(moved)
        for real, output in zip(outputs, node.output, strict=True):
            self.quantised(real, scale, zero, output)


def _attributes(node: Any, *without: str) -> dict[str, Any]:
    from onnx import helper

    return {a.name: helper.get_attribute_value(a) for a in node.attribute if a.name not in without}


def _inputs(node: Any, count: int) -> list[str]:
    """Input names, "" for those left out."""
    names = list(node.input)
    return names + [""] * (count - len(names))


def _bias(rewriter: _Rewriter, bias: str, scale: NDArray[Any]) -> str:
    """int32 ``bias`` in real numbers, its scale that of the accumulator."""
    flat = np.asarray(scale, np.float32).reshape(-1)
    name = rewriter.constant(flat if flat.size > 1 else flat.reshape(()), f"{bias}_scale")
    zero = rewriter.constant(np.zeros(flat.size if flat.size > 1 else (), np.int32), f"{bias}_zero")
    return rewriter.real(bias, name, zero, 0)


def _conv(rewriter: _Rewriter, node: Any) -> None:
    x, xs, xz, w, ws, wz, ys, yz, bias = _inputs(node, 9)
    inputs = [rewriter.real(x, xs, xz), rewriter.real(w, ws, wz, 0)]
    if bias:
        scales = rewriter.value(node, xs, "scale") * rewriter.value(node, ws, "scale")
        inputs.append(_bias(rewriter, bias, scales))
    real = rewriter.emit("Conv", inputs, node.output[0], _attributes(node))
    rewriter.quantised(real, ys, yz, node.output[0])


def _gemm(rewriter: _Rewriter, node: Any) -> None:
    a, a_s, az, b, bs, bz, c, ys, yz = _inputs(node, 9)
    attributes = _attributes(node)
    column = 0 if attributes.get("transB", 0) else 1
    inputs = [rewriter.real(a, a_s, az), rewriter.real(b, bs, bz, column)]
    if c:
        scales = rewriter.value(node, a_s, "scale") * rewriter.value(node, bs, "scale")
        scales = np.float32(attributes.get("alpha", 1.0)) * scales
        bias = rewriter.value(node, c, "bias")
        if scales.size > 1 and bias.ndim != 1:
            c = rewriter.constant(bias.reshape(-1), f"{c}_flat")
        inputs.append(_bias(rewriter, c, scales))
    if ys:
        real = rewriter.emit("Gemm", inputs, node.output[0], attributes)
        rewriter.quantised(real, ys, yz, node.output[0])
        return
    from onnx import helper

    rewriter.nodes.append(helper.make_node("Gemm", inputs, [node.output[0]], **attributes))


def _matmul(rewriter: _Rewriter, node: Any) -> None:
    a, a_s, az, b, bs, bz, ys, yz = _inputs(node, 8)
    axis = None
    if rewriter.value(node, bs, "scale").size > 1:
        axis = rewriter.value(node, b, "second operand with a scale a column").ndim - 1
    if rewriter.value(node, a_s, "scale").size > 1:
        raise rewriter.refused(node, "its first operand has a scale for every row")
    inputs = [rewriter.real(a, a_s, az), rewriter.real(b, bs, bz, axis)]
    real = rewriter.emit("MatMul", inputs, node.output[0])
    rewriter.quantised(real, ys, yz, node.output[0])


def _binary(op: str) -> Callable[[_Rewriter, Any], None]:
    def form(rewriter: _Rewriter, node: Any) -> None:
        a, a_s, az, b, bs, bz, ys, yz = _inputs(node, 8)
        inputs = [rewriter.real(a, a_s, az), rewriter.real(b, bs, bz)]
        rewriter.quantised(rewriter.emit(op, inputs, node.output[0]), ys, yz, node.output[0])

    return form


def _unary(op: str) -> Callable[[_Rewriter, Any], None]:
    def form(rewriter: _Rewriter, node: Any) -> None:
        x, xs, xz, ys, yz = _inputs(node, 5)
        attributes = _attributes(node, "channels_last", "opset")
        if _attributes(node).get("channels_last", 0):
            raise rewriter.refused(node, "channels_last=1; 0 is allowed")
        if op == "Softmax" and _attributes(node).get("opset", 13) < 13:
            raise rewriter.refused(node, "the softmax of operator sets before 13")
        inputs = [rewriter.real(x, xs, xz)]
        if op == "ReduceMean" and rewriter.opset >= 18 and "axes" in attributes:
            axes = np.asarray(attributes.pop("axes"), np.int64)
            inputs.append(rewriter.constant(axes, f"{node.output[0]}_axes"))
        real = rewriter.emit(op, inputs, node.output[0], attributes)
        rewriter.quantised(real, ys, yz, node.output[0])

    return form


def _concat(rewriter: _Rewriter, node: Any) -> None:
    ys, yz, *rest = node.input
    inputs = [rewriter.real(*rest[i : i + 3]) for i in range(0, len(rest), 3)]
    real = rewriter.emit("Concat", inputs, node.output[0], _attributes(node))
    rewriter.quantised(real, ys, yz, node.output[0])


def _conv_integer(rewriter: _Rewriter, node: Any) -> None:
    """In floats, which hold the sums exactly; its scales come later, so the host computes it."""
    from onnx import TensorProto, helper

    x, w, xz, wz = _inputs(node, 4)
    if any(rewriter.value(node, z, "zero point").size > 1 for z in (xz, wz) if z):
        raise rewriter.refused(node, "its zero point is a vector; a scalar is allowed")
    weight = rewriter.value(node, w, "weight").astype(np.int64)
    weight = weight - (int(rewriter.value(node, wz, "zero point").item()) if wz else 0)
    reach = int(np.abs(weight).reshape(len(weight), -1).sum(axis=1).max(initial=0)) * 255
    if reach > _EXACT:
        raise rewriter.refused(node, f"its sums may reach {reach}; {_EXACT} is allowed")
    one = rewriter.constant(np.float32(1.0), "one")
    inputs = [rewriter.real(x, one, xz), rewriter.real(w, one, wz)]
    total = rewriter.emit("Conv", inputs, node.output[0], _attributes(node))
    rewriter.nodes.append(helper.make_node("Cast", [total], [node.output[0]], to=TensorProto.INT32))


_FORMS: Mapping[str, Callable[[_Rewriter, Any], None]] = {
    "QLinearConv": _conv,
    "QGemm": _gemm,
    "QLinearMatMul": _matmul,
    "QLinearAdd": _binary("Add"),
    "QLinearMul": _binary("Mul"),
    "QLinearGlobalAveragePool": _unary("GlobalAveragePool"),
    "QLinearAveragePool": _unary("AveragePool"),
    "QLinearReduceMean": _unary("ReduceMean"),
    "QLinearSigmoid": _unary("Sigmoid"),
    "QLinearLeakyRelu": _unary("LeakyRelu"),
    "QLinearSoftmax": _unary("Softmax"),
    "QLinearConcat": _concat,
    "ConvInteger": _conv_integer,
}
