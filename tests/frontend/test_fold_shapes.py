# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# onnx carries no usable annotations.
"""Shape arithmetic that exporters leave in a model."""

from typing import Any

import numpy as np
from onnx import helper

import codesign
from codesign.frontend.fold_shapes import fold_shapes
from tests.onnx_models import model, onnxruntime_outputs, samples


def _flattened() -> Any:
    """Convolution, and a reshape to [N, -1] whose N is taken from the tensor itself."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Shape", ["c"], ["s"]),
        helper.make_node("Gather", ["s", "first"], ["n"]),
        helper.make_node("Concat", ["n", "rest"], ["to"], axis=0),
        helper.make_node("Reshape", ["c", "to"], ["y"]),
    ]
    constants = {
        "w": np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32),
        "first": np.array([0], np.int64),
        "rest": np.array([-1], np.int64),
    }
    return model(nodes, constants, [1, 3, 8, 8])


def test_shapes_become_constants() -> None:
    folded = fold_shapes(_flattened())
    assert [node.op_type for node in folded.graph.node] == ["Conv", "Reshape"]
    read = {name for node in folded.graph.node for name in node.input}
    assert {tensor.name for tensor in folded.graph.initializer} <= read
    data = samples(2)["x"]
    np.testing.assert_array_equal(
        onnxruntime_outputs(folded, data), onnxruntime_outputs(_flattened(), data)
    )


def test_the_network_runs() -> None:
    result = codesign.compile(
        _flattened(), codesign.load_config("pynq"), calibration=samples(2)
    ).run(samples(2))
    assert result.outputs_match
    assert result.outputs["y"].shape == (2, 4 * 36)
