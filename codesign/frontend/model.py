# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# onnx's protobuf classes carry no usable annotations.
"""Reading ONNX files: every way a file can be wrong becomes a `ModelError`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from codesign.errors import ModelError
from codesign.frontend.qoperator import is_qoperator, to_qdq
from codesign.frontend.served import refuse_unserved

InputShapes = Mapping[str, Sequence[int]]
QUANTIZE_OPS = frozenset({"QuantizeLinear", "DequantizeLinear"})
_HINT = "give it with --input-shapes 'NAME:[1,3,224,224]' or input_shapes={...}"


def read_model(path_or_model: str | Path | Any, input_shapes: InputShapes | None = None) -> Any:
    """The `onnx.ModelProto` of a file, checked, every input shape static, QOperator made QDQ.

    Parameters
    ----------
    path_or_model : path, or a ModelProto (copied, never changed)
    input_shapes : replacement shapes by graph input name

    Raises
    ------
    ModelError
        not an ONNX file, truncated, invalid, an input with a dynamic shape, or an integer operator
        without QDQ form.
    """
    import onnx

    if isinstance(path_or_model, (str, Path)):
        model, where = _load(Path(path_or_model)), str(path_or_model)
    elif isinstance(path_or_model, onnx.ModelProto):
        model, where = onnx.ModelProto(), "model"
        model.CopyFrom(path_or_model)
    else:
        raise ModelError(
            f"model: a path or an onnx.ModelProto is allowed, got {type(path_or_model).__name__}"
        )
    if not model.graph.node:
        raise ModelError(
            f"{where}: the ONNX graph has no nodes; not a network, or a truncated file"
        )
    _refuse_opset(model, where)
    _fix_input_shapes(model, dict(input_shapes or {}), where)
    try:
        onnx.checker.check_model(model)
        if is_qoperator(model):
            model = to_qdq(model)
        model = onnx.shape_inference.infer_shapes(model)
    except onnx.checker.ValidationError as error:
        raise ModelError(f"{where}: not a valid ONNX model: {_first_line(error)}") from error
    except UnicodeDecodeError as error:  # the checker's text quotes what is no text
        raise ModelError(
            f"{where}: not a valid ONNX model: a name is not UTF-8: {error}"
        ) from error
    except onnx.shape_inference.InferenceError as error:
        raise ModelError(f"{where}: shapes do not fit together: {_first_line(error)}") from error
    refuse_unserved(model)
    return model


def graph_inputs(model: Any) -> list[Any]:
    """Inputs of the graph that are not initializers, in order."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in constants]


def shape_of(value: Any) -> tuple[int, ...]:
    """Static shape of a graph input or output."""
    return tuple(int(d.dim_value) for d in value.type.tensor_type.shape.dim)


def is_quantized(model: Any) -> bool:
    """Whether the graph already carries quantisation (QDQ)."""
    return any(node.op_type in QUANTIZE_OPS for node in model.graph.node)


def _load(path: Path) -> Any:
    import onnx
    from google.protobuf.message import DecodeError

    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise ModelError(f"{path}: {what}; give the path of an ONNX model")
    try:
        return onnx.load(str(path))
    except DecodeError as error:
        raise ModelError(
            f"{path}: not an ONNX file, or truncated ({_first_line(error)})"
        ) from error
    except (OSError, onnx.checker.ValidationError) as error:
        raise ModelError(f"{path}: external data cannot be read: {_first_line(error)}") from error


def _refuse_opset(model: Any, where: str) -> None:
    import onnx

    newest = onnx.defs.onnx_opset_version()
    for entry in model.opset_import:
        if entry.domain in ("", "ai.onnx") and not 1 <= entry.version <= newest:
            raise ModelError(
                f"{where}: opset {entry.version}; onnx {onnx.__version__} knows 1 to {newest}; "
                "export the model again with one of these"
            )


def _fix_input_shapes(model: Any, shapes: dict[str, Sequence[int]], where: str) -> None:
    inputs = {value.name: value for value in graph_inputs(model)}
    unknown = sorted(set(shapes) - set(inputs))
    if unknown:
        raise ModelError(
            f"{where}: input shapes name {', '.join(unknown)}; the graph's inputs are "
            f"{', '.join(inputs)}"
        )
    for name, value in inputs.items():
        dims = value.type.tensor_type.shape.dim
        if name in shapes:
            _set_dims(dims, name, tuple(int(n) for n in shapes[name]), where)
        shown = [d.dim_param or (d.dim_value if d.dim_value > 0 else "?") for d in dims]
        if not value.type.tensor_type.HasField("shape") or any(d.dim_value <= 0 for d in dims):
            raise ModelError(f"{where}: input {name!r} has the dynamic shape {shown}; {_HINT}")
    if shapes:
        del model.graph.value_info[:]
        for output in model.graph.output:
            for d in output.type.tensor_type.shape.dim:
                d.ClearField("dim_value")
                d.ClearField("dim_param")


def _set_dims(dims: Any, name: str, shape: tuple[int, ...], where: str) -> None:
    if len(dims) not in (0, len(shape)) or any(n < 1 for n in shape):
        raise ModelError(
            f"{where}: input {name!r} has {len(dims)} axes, got the shape {list(shape)}; "
            "give one positive size per axis"
        )
    del dims[len(shape) :]
    while len(dims) < len(shape):
        dims.add()
    for d, n in zip(dims, shape, strict=True):
        d.dim_value = n


def _first_line(error: Exception) -> str:
    """The error's first line; two where that ends in a colon."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return " ".join(lines[: 2 if lines[0].endswith(":") else 1])
