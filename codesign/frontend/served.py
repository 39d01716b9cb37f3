# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportAttributeAccessIssue=false
# tvm and onnx carry no usable annotations.
"""What TVM's importer would take and get wrong, refused before and after it runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from codesign.errors import ModelError

_TYPES = ("FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16", "BOOL",
          *(f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)))  # fmt: skip
_CONSTANT_OPERANDS = {"Expand": (1,), "NonMaxSuppression": (2, 3, 4)}
"""Operands that TVM's importer reads as if they were constants."""


def refuse_unserved(model: Any) -> None:
    """Refuse element types and modes that have no meaning in a compiled network.

    Raises
    ------
    ModelError
        tensors of other types than numbers of 8 bits and more (float8, int4, strings, ...), graph
        inputs or outputs that are no tensors, batch norm in training mode, infinity of one sign,
        maxima of regions of interest, no permutation of axes, inputs of the graph where only
        constants are served.
    """
    from onnx import TensorProto

    for name, number in _element_types(model):
        known = number in TensorProto.DataType.values()
        kind = TensorProto.DataType.Name(number) if known else str(number)
        if kind not in _TYPES:
            raise ModelError(
                f"tensor {name!r} has the type {kind}; served are {', '.join(_TYPES).lower()}"
            )

    def where(node: Any) -> str:
        return f"{node.op_type} {node.name or ', '.join(node.output)!r}"

    inputs = {v.name for v in model.graph.input} - {t.name for t in model.graph.initializer}
    for node in model.graph.node:
        for index in _CONSTANT_OPERANDS.get(node.op_type, ()):
            if index < len(node.input) and node.input[index] in inputs:
                raise ModelError(
                    f"{where(node)}: operand {node.input[index]!r} must be a constant, and is an "
                    "input of the graph"
                )
        numbers = {a.name: a.i for a in node.attribute}
        if numbers.get("training_mode"):
            raise ModelError(
                f"{where(node)} is in training mode; export the network for evaluation"
            )
        if node.op_type == "IsInf" and 0 in (
            numbers.get("detect_positive", 1),
            numbers.get("detect_negative", 1),
        ):
            raise ModelError(f"{where(node)} looks for one sign only; both are served")
        axes = [int(n) for a in node.attribute if a.name == "perm" for n in a.ints]
        if node.op_type == "Transpose" and sorted(axes) != list(range(len(axes))):
            raise ModelError(f"{where(node)} has perm {axes}; every axis must be there once")
        if node.op_type == "RoiAlign" and any(a.s == b"max" for a in node.attribute):
            raise ModelError(f"{where(node)} takes the maximum; the average is served")


def _element_types(model: Any) -> Iterator[tuple[str, int]]:
    graph = model.graph
    for value in (*graph.input, *graph.output):
        if not value.type.HasField("tensor_type"):
            raise ModelError(
                f"graph input or output {value.name!r} is a {value.type.WhichOneof('value')}; "
                "only tensors are served"
            )
    for value in (*graph.input, *graph.value_info, *graph.output):
        if value.type.HasField("tensor_type"):
            yield value.name, value.type.tensor_type.elem_type
    for tensor in graph.initializer:
        yield tensor.name, tensor.data_type


def refuse_changed_outputs(model: Any, module: Any) -> None:
    """Refuse a module whose outputs have other shapes or types than the model's.

    Raises
    ------
    ModelError
        TVM's importer read an operator in another way than ONNX defines it.
    """
    from onnx import helper
    from tvm import relax

    returned = module["main"].ret_ty
    found = list(returned.fields) if isinstance(returned, relax.TupleType) else [returned]
    if len(found) != len(model.graph.output):
        raise ModelError(f"the importer makes {len(found)} of {len(model.graph.output)} outputs")
    for value, made in zip(model.graph.output, found, strict=True):
        about = value.type.tensor_type
        kind = helper.tensor_dtype_to_np_dtype(about.elem_type).name
        dims = [d.dim_value for d in about.shape.dim] if about.HasField("shape") else None
        own = getattr(made, "shape", None)
        sizes = None if own is None else [_size(n) for n in own]
        made_kind = str(getattr(made, "dtype", "nothing"))
        if made_kind != kind or not _agree(dims, sizes):
            raise ModelError(
                f"output {value.name!r} is {kind} {dims} in the model and {made_kind} {sizes} "
                "as imported: TVM's importer does not serve one of the operators before it"
            )


def _size(expr: Any) -> int:
    """A static size, or 0."""
    value = getattr(expr, "value", None)
    return int(value) if value is not None else 0


def _agree(declared: list[int] | None, imported: list[int] | None) -> bool:
    if declared is None or imported is None:
        return True
    same = (a == b or a == 0 or b == 0 for a, b in zip(declared, imported, strict=False))
    return len(declared) == len(imported) and all(same)
