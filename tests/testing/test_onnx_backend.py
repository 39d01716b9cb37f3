"""ONNX's own node tests through the compiler: a seeded sample, none worse than in the list."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from codesign.testing.onnx_backend import (
    PASSING,
    CodesignBackend,
    node_test_names,
    statuses,
    stored_statuses,
    worse,
)
from tests.onnx_models import model, onnxruntime_outputs, qdq_conv

STORED = stored_statuses()


def _checked(names: list[str]) -> None:
    found = {name: (status, text) for name, status, text in statuses(names)}
    assert worse(STORED, {name: status for name, (status, _) in found.items()}) == [], found


def test_a_sample_of_the_node_tests() -> None:
    _checked(sorted(np.random.default_rng(0).choice(sorted(STORED), 12, replace=False).tolist()))


@pytest.mark.long
def test_all_node_tests() -> None:
    _checked(node_test_names())


def test_the_list_knows_the_ordinary_operators() -> None:
    for name in ("add", "relu", "basic_conv_with_padding", "maxpool_2d_default", "softmax_axis_1"):
        assert STORED[f"test_{name}"] in PASSING


def test_a_worse_status_is_named() -> None:
    assert worse({"a": "host", "b": "unsupported"}, {"a": "wrong", "b": "host", "c": "error"}) == [
        "a: host before, wrong now"
    ]


def test_the_backend_runs_float_and_quantised_models() -> None:
    x = np.random.default_rng(0).standard_normal((2, 5, 9, 7)).astype(np.float32)
    rep = CodesignBackend.prepare(qdq_conv())
    assert rep.offloaded == 1
    (ours,) = rep.run([x])
    assert np.abs(ours - onnxruntime_outputs(qdq_conv(), x)).max() < 0.5
    made = model([helper.make_node("Exp", ["x"], ["y"])], {}, [2, 5, 9, 7])
    (ours,) = CodesignBackend.run_model(made, {"x": x})
    np.testing.assert_allclose(ours, np.exp(x), rtol=1e-5)
    assert CodesignBackend.supports_device("CPU")
    assert not CodesignBackend.supports_device("CUDA")
    assert CodesignBackend.is_compatible(onnx.ModelProto())
