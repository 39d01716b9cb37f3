# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportPrivateUsage=false
# tvm and onnx carry no usable annotations.
"""ONNX to a Relax module, through TVM's own importer."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Generator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from codesign.errors import ModelError
from codesign.frontend.fold_shapes import fold_shapes
from codesign.frontend.model import (
    InputShapes,
    graph_inputs,
    is_quantized,
    read_model,
    shape_of,
)
from codesign.frontend.pad_values import with_constant_pad_values
from codesign.frontend.served import refuse_changed_outputs

ONNX_ATTR = "codesign.onnx"
HASH_ATTR = "codesign.hash"
SIGNATURE_ATTR = "codesign.signature"
_NODE = "codesign_node"
"""Attribute of an importer's exception: the operator and name of the node that it concerns."""
_PRINTED = "# Metadata omitted. Use show_meta=True in script() method to show it."
"""What TVM puts into a text that shows a constant."""
_PATCH_LOCK = threading.Lock()


def import_onnx(path_or_model: str | Path | Any, input_shapes: InputShapes | None = None) -> Any:
    """A `tvm.IRModule` (Relax) of an ONNX model, constants inside.

    A float model keeps its ONNX bytes in a module attribute, for the quantise phase of
    `codesign.pipeline`; a model with QuantizeLinear/DequantizeLinear is taken as it is.

    Parameters
    ----------
    path_or_model : path of an ONNX file, or an `onnx.ModelProto`
    input_shapes : static shapes by input name, needed where the model declares dynamic ones

    Raises
    ------
    ModelError
        not ONNX, truncated, dynamic shape, or operators TVM's importer does not know (all named)
        or reads in another way than ONNX defines them.
    """
    model = fold_shapes(read_model(path_or_model, input_shapes))
    module = relax_of(model)
    if not is_quantized(model):
        module = module.with_attr(ONNX_ATTR, model.SerializeToString())
        module = module.with_attr(HASH_ATTR, main_hash(module))
    return module


def relax_of(model: Any) -> Any:
    """The Relax module of a checked ModelProto, with the input signature as an attribute."""
    import onnx
    import tvm
    from tvm.relax.frontend.onnx import from_onnx

    printed = redirect_stdout(io.StringIO())  # the importer prints what it raises
    try:
        with _own_converters(), printed:
            module = from_onnx(with_constant_pad_values(model))
    except tvm.error.OpNotImplemented as error:
        raise ModelError(
            f"the importer does not know these operators: {error}; "
            "QLinear and integer operators need the model in QDQ form"
        ) from error
    except Exception as error:  # the importer lets whatever Python raises through
        text = str(error).replace(_PRINTED, "").strip().splitlines()
        where = getattr(error, _NODE, "the model")
        raise ModelError(
            f"{where} cannot be imported: {text[-1] if text else type(error).__name__}"
        ) from error
    refuse_changed_outputs(model, module)
    inputs = [
        [
            value.name,
            shape_of(value),
            onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name,
        ]
        for value in graph_inputs(model)
    ]
    outputs = [value.name for value in model.graph.output]
    signature = json.dumps({"inputs": inputs, "outputs": outputs})
    return module.with_attr(SIGNATURE_ATTR, signature)


def main_hash(module: Any) -> str:
    """Structural hash of the entry function."""
    import tvm_ffi

    return f"{tvm_ffi.structural_hash(module['main']):016x}"


def signature_of(module: Any) -> tuple[list[tuple[str, tuple[int, ...], str]], list[str]]:
    """Inputs (name, shape, dtype) and output names of a module, the ONNX names where known."""
    if module.attrs and SIGNATURE_ATTR in module.attrs:
        stored = json.loads(str(module.attrs[SIGNATURE_ATTR]))
        return [(n, tuple(s), d) for n, s, d in stored["inputs"]], list(stored["outputs"])
    from tvm import relax

    main = module["main"]
    inputs = [
        (str(p.name), tuple(int(n) for n in p.ty.shape), str(p.ty.dtype)) for p in main.params
    ]
    returned = main.ret_ty
    count = len(returned.fields) if isinstance(returned, relax.TupleType) else 1
    return inputs, [f"output{i}" for i in range(count)]


@contextmanager
def _own_converters() -> Generator[None]:
    """Make the importer turn constant Clip and zero Pad into Relax operators, for this import, and
    SpaceToDepth into the order of channels that its mode asks for.

    Its exceptions name the node, under `_NODE`.
    """
    import numpy as np
    import tvm
    from tvm import relax
    from tvm.relax.frontend.onnx import onnx_frontend

    def bound(value: Any, default: float) -> float | None:
        if value is None:
            return default
        return float(value.value.numpy()) if isinstance(value, tvm.ir.GenericConst) else None

    class Clip(onnx_frontend.Clip):
        @classmethod
        def _impl_v1(cls, bb: Any, inputs: Any, attr: Any, params: Any) -> Any:
            low = float(attr.get("min", -np.inf))
            high = float(attr.get("max", np.inf))
            return bb.emit(relax.op.clip(inputs[0], low, high))

        @classmethod
        def _impl_v13(cls, bb: Any, inputs: Any, attr: Any, params: Any) -> Any:
            low, high = bound(inputs[1], -np.inf), bound(inputs[2], np.inf)
            floating = "float" in str(inputs[0].ty.dtype)
            if low is None or high is None or not floating or np.isnan([low, high]).any():
                return super()._impl_v13(bb, inputs, attr, params)
            return bb.emit(relax.op.clip(inputs[0], low, high))

    class Pad(onnx_frontend.Pad):
        @classmethod
        def _lower_pad(
            cls, bb: Any, inputs: Any, attr: Any, params: Any, allowed_modes: Any
        ) -> Any:
            before, after, value = cls._parse_pads_and_axes(inputs, params)
            zeros = attr.get("mode", b"constant") == b"constant" and value == 0
            floating = "float" in str(inputs[0].ty.dtype)
            if not zeros or not floating or min((*before, *after), default=0) < 0:
                return super()._lower_pad(bb, inputs, attr, params, allowed_modes)
            widths = [n for sides in zip(before, after, strict=True) for n in sides]
            return bb.emit(relax.op.nn.pad(inputs[0], widths, "constant", 0.0))

    importer = onnx_frontend.ONNXGraphImporter

    def located(self: Any, op: str, inputs: Any, attr: Any, opset: int) -> Any:
        try:
            return convert(self, op, inputs, attr, opset)
        except Exception as error:
            name = attr["tvm_custom"]["name"]
            setattr(error, _NODE, f"{op} {name!r}" if name else f"an unnamed {op}")
            raise

    class SpaceToDepth(onnx_frontend.SpaceToDepth):
        @classmethod
        def _impl_v1(cls, bb: Any, inputs: Any, attr: Any, params: Any) -> Any:
            if attr.get("mode", b"DCR") == b"DCR":
                return super()._impl_v1(bb, inputs, attr, params)
            size = int(attr["blocksize"])
            n, c, h, w = inputs[0].ty.shape
            rows, columns = h // size, w // size
            blocks = bb.emit(relax.op.reshape(inputs[0], (n, c, rows, size, columns, size)))
            turned = bb.emit(relax.op.permute_dims(blocks, [0, 1, 3, 5, 2, 4]))
            return bb.emit(relax.op.reshape(turned, (n, c * size * size, rows, columns)))

    with _PATCH_LOCK:
        original, convert = onnx_frontend._get_convert_map, importer._convert_operator

        def patched() -> Any:
            return {**original(), "Clip": Clip, "Pad": Pad, "SpaceToDepth": SpaceToDepth}

        onnx_frontend._get_convert_map = patched
        importer._convert_operator = located
        try:
            yield
        finally:
            onnx_frontend._get_convert_map = original
            importer._convert_operator = convert
