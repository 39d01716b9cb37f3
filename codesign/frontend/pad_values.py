# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportArgumentType=false
# onnx carries no usable annotations.
"""Pad values that quantisers put behind a DequantizeLinear, made constants again."""

from __future__ import annotations

from typing import Any

from codesign.frontend.model import QUANTIZE_OPS

_VALUE = 2
"""Index of Pad's fill value among its inputs."""


def with_constant_pad_values(model: Any) -> Any:
    """The model with every quantised constant fill value of a Pad as a float constant.

    TVM's importer reads the value when it imports, and onnxruntime's quantiser writes a
    DequantizeLinear there. A copy if anything changes.
    """
    from onnx import ModelProto, numpy_helper
    from onnx.reference import ReferenceEvaluator

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    writers = {node.output[0]: node for node in model.graph.node if node.op_type in QUANTIZE_OPS}

    def value(name: str) -> Any:
        """A constant, or what quantise operators make of one; None for anything else."""
        if name in constants:
            return numpy_helper.to_array(constants[name])
        if name not in writers:
            return None
        operands = {operand: value(operand) for operand in writers[name].input}
        if any(operand is None for operand in operands.values()):
            return None
        return ReferenceEvaluator(writers[name]).run(None, operands)[0]

    made = ModelProto()
    made.CopyFrom(model)
    changed = False
    for node in made.graph.node:
        if node.op_type != "Pad" or len(node.input) <= _VALUE or node.input[_VALUE] not in writers:
            continue
        real = value(node.input[_VALUE])
        if real is not None:
            node.input[_VALUE] = f"{node.output[0]}.value"
            made.graph.initializer.append(numpy_helper.from_array(real, node.input[_VALUE]))
            changed = True
    return made if changed else model
