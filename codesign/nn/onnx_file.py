# pyright: reportUnknownMemberType=false
# onnx's protobuf classes carry no usable annotations.
"""What is in an ONNX file, whose tensors may lie in files beside it (external data)."""

from __future__ import annotations

import hashlib
from pathlib import Path


def onnx_content(path: Path) -> bytes:
    """The network in one piece: the file's bytes, or, where tensors lie outside, those of a file
    that has them inside. Of a file that cannot be read as a network, its bytes."""
    import onnx
    from google.protobuf.message import DecodeError
    from onnx.external_data_helper import load_external_data_for_model, uses_external_data

    content = path.read_bytes()
    try:
        model = onnx.load_model_from_string(content)
        if not any(uses_external_data(tensor) for tensor in model.graph.initializer):
            return content
        load_external_data_for_model(model, str(path.parent))
    except (DecodeError, onnx.checker.ValidationError, OSError):
        return content
    return model.SerializeToString()


def onnx_digest(path: Path) -> str:
    """sha256 of the content, by which equal networks are known; of a missing file, its name."""
    return hashlib.sha256(onnx_content(path)).hexdigest() if path.is_file() else str(path)
