# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# torch's and onnx's exporters are only partly annotated.
"""torch module → ONNX file: static shapes, weights inside, written whole or not at all."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import warnings
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

OPSET = 18


def export_onnx(module: nn.Module, input_shape: tuple[int, ...], path: str | Path) -> Path:
    """Write ``module`` (in evaluation mode) as one ONNX file with input ``x`` and output ``y``.

    ``input_shape`` is [N, C, H, W]. The same module gives the same bytes. The file is written
    under a temporary name and renamed, so that it is never half there.
    """
    import onnx
    import torch

    path = Path(path)
    sample = torch.zeros(input_shape)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        temporary = Path(folder) / "model.onnx"
        with warnings.catch_warnings(), _quiet_log():
            warnings.simplefilter("ignore")  # the exporter warns about its own internals
            program = torch.onnx.export(
                module.eval(),
                (sample,),
                input_names=["x"],
                output_names=["y"],
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
        assert program is not None
        model = program.model_proto
        for node in model.graph.node:
            del node.metadata_props[:]
            node.ClearField("doc_string")
        for value in [*model.graph.input, *model.graph.output, *model.graph.value_info]:
            del value.metadata_props[:]
        for tensor in model.graph.initializer:
            del tensor.metadata_props[:]
        del model.graph.metadata_props[:]
        del model.metadata_props[:]
        model.ClearField("doc_string")
        onnx.checker.check_model(model)
        temporary.write_bytes(model.SerializeToString(deterministic=True))
        os.replace(temporary, path)
    return path


@contextlib.contextmanager
def _quiet_log() -> Generator[None]:
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
