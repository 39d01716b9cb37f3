# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# onnx carries no usable annotations.
"""Arithmetic on shapes, computed before the import: exporters leave it in, TVM's importer trips."""

from __future__ import annotations

from typing import Any

_MOST_ELEMENTS = 4096
"""Larger constants are left to TVM."""
_ROUNDS = 8
_SOURCES = ("Shape", "ConstantOfShape")
"""Operators that such arithmetic starts with."""


def fold_shapes(model: Any) -> Any:
    """The model with every ``Shape`` of a static tensor, and what follows from it, as constants;
    also the widths of pads that exporters compute.

    Only integer and boolean values of few elements; all other nodes stay as they are.
    """
    import onnx

    if not any(node.op_type in _SOURCES for node in model.graph.node):
        return model
    made = onnx.ModelProto()
    made.CopyFrom(model)
    for _ in range(_ROUNDS):
        if not _fold(made):
            break
        made = onnx.shape_inference.infer_shapes(made, data_prop=True)
    _drop_unread(made.graph)
    return made


def _drop_unread(graph: Any) -> None:
    """Remove the constants that only folded nodes read; graphs inside nodes keep all."""
    if any(a.g.node or a.graphs for node in graph.node for a in node.attribute):
        return
    read = {name for node in graph.node for name in node.input} | {v.name for v in graph.output}
    unread = {tensor.name for tensor in graph.initializer} - read
    kept = (
        [node for node in graph.node if node.op_type != "Constant" or node.output[0] in read],
        [tensor for tensor in graph.initializer if tensor.name in read],
        [value for value in graph.input if value.name not in unread],
    )
    for field, values in zip((graph.node, graph.initializer, graph.input), kept, strict=True):
        if len(values) < len(field):
            del field[:]
            field.extend(values)


def _fold(model: Any) -> bool:
    """Replace what can be computed now; whether anything was."""
    from onnx import numpy_helper

    known = {t.name: t for t in model.graph.initializer}
    shapes = {
        v.name: v.type.tensor_type.shape for v in (*model.graph.value_info, *model.graph.input)
    }
    outputs = {value.name for value in model.graph.output}
    kept: list[Any] = []
    folded = False
    for node in model.graph.node:
        values = None if outputs & set(node.output) else _values(node, known, shapes, model)
        if values is None:
            kept.append(node)
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                known[node.output[0]] = node.attribute[0].t
            continue
        folded = True
        for name, value in zip(node.output, values, strict=True):
            known[name] = numpy_helper.from_array(value, name)
            model.graph.initializer.append(known[name])
    del model.graph.node[:]
    model.graph.node.extend(kept)
    return folded


def _values(node: Any, known: Any, shapes: Any, model: Any) -> list[Any] | None:
    """Outputs of a node whose operands are all known and small integers, else None."""
    import numpy as np
    from onnx import helper, numpy_helper
    from onnx.reference import ReferenceEvaluator

    if node.op_type == "Shape" and not node.attribute:
        dims = shapes[node.input[0]].dim if node.input[0] in shapes else []
        static = bool(dims) and all(d.dim_value > 0 for d in dims)
        return [np.array([d.dim_value for d in dims], np.int64)] if static else None
    names = [name for name in node.input if name]
    subgraph = any(a.g.node or a.graphs for a in node.attribute)
    if not names or subgraph or not all(name in known for name in names):
        return None
    operands = {name: numpy_helper.to_array(known[name]) for name in names}
    if any(a.dtype.kind not in "ib" or a.size > _MOST_ELEMENTS for a in operands.values()):
        return None
    inputs = [
        helper.make_tensor_value_info(name, known[name].data_type, None)
        for name in dict.fromkeys(names)
    ]
    results = [helper.make_empty_tensor_value_info(name) for name in node.output]
    graph = helper.make_graph([node], "node", inputs, results)
    try:
        one = helper.make_model(graph, opset_imports=model.opset_import)
        values = [np.asarray(v) for v in ReferenceEvaluator(one).run(None, operands)]
    except Exception:  # the node is left to the importer, which says what is wrong with it
        return None
    small = all(v.dtype.kind in "ib" and v.size <= _MOST_ELEMENTS for v in values)
    return values if small else None
