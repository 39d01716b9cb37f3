# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# onnx and onnxruntime carry no usable annotations.
"""Multipliers of several digits: every pair of operands gives onnxruntime's output."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import codesign
from codesign.compiler.fit import Borders, fit_unit
from codesign.compiler.fit.digits import Sum, fit_sums
from codesign.errors import Infeasible
from codesign.kernels import ElementwiseParams, ElementwiseWorkload, bias_parts, reference
from codesign.kernels.workload import digits_of
from relay_passes import QuantizedTensor, UnitSpec

CFG = replace(codesign.load_config("pynq"), has_mul=True)
AXIS = np.arange(-128, 128)
PAIRS = np.stack([x.reshape(-1) for x in np.meshgrid(AXIS, AXIS, indexing="ij")]).astype(np.int8)


def qlinear_add(scales: NDArray[np.float32], zeros: NDArray[np.int8]) -> NDArray[np.int8]:
    """onnxruntime's sum of all pairs."""
    names = ("sa", "za", "sb", "zb", "sy", "zy")
    values = [v for pair in zip(scales, zeros, strict=True) for v in pair]
    node = helper.make_node(
        "QLinearAdd", ["a", "sa", "za", "b", "sb", "zb", "sy", "zy"], ["y"], domain="com.microsoft"
    )
    tensors = [helper.make_tensor_value_info(n, TensorProto.INT8, [65536]) for n in "aby"]
    constants = [
        numpy_helper.from_array(np.asarray(v), n) for n, v in zip(names, values, strict=True)
    ]
    graph = helper.make_graph([node], "add", tensors[:2], tensors[2:], constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    session = ort.InferenceSession(made.SerializeToString())
    (found,) = session.run(None, {"a": PAIRS[0], "b": PAIRS[1]})
    return found


@pytest.mark.parametrize("seed", range(6))
def test_every_sum_is_that_of_onnxruntime(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scales = rng.uniform(0.01, 0.1, 3).astype(np.float32)
    zeros = rng.integers(-128, 128, 3).astype(np.int8)
    shape = (1, 1, 256, 256)
    tensors = [
        QuantizedTensor(shape, "int8", float(s), int(z)) for s, z in zip(scales, zeros, strict=True)
    ]
    fitted = fit_unit(UnitSpec("add", tuple(tensors[:2]), tensors[2]), CFG, Borders())
    assert not isinstance(fitted, Infeasible)
    workload, params = fitted
    assert isinstance(workload, ElementwiseWorkload)
    assert isinstance(params, ElementwiseParams)
    got = reference(workload, params, tuple(x.reshape(shape) for x in PAIRS))
    different = got.reshape(-1) != qlinear_add(scales, zeros)
    assert different.sum() <= 1  # of 65536: where the fused multiply-adds round otherwise


@given(value=st.integers(-128 * 65536, 127 * 65536), digits=st.integers(1, 3))
def test_digits_and_parts_of_a_bias_add_up(value: int, digits: int) -> None:
    found = digits_of(value, digits)
    assert sum(d * 256 ** (digits - 1 - i) for i, d in enumerate(found)) == value
    assert all(-128 <= d <= 127 for d in found[1:])
    high, *low = bias_parts(value, digits)
    assert high * 256 ** (digits - 1) + sum(low) == value
    assert all(abs(part) <= 32768 for part in low)


@given(ratio=st.floats(0.001, 60), zero=st.integers(-128, 127))
def test_one_operand_is_exact_with_the_fewest_digits(ratio: float, zero: int) -> None:
    outputs = np.rint(AXIS * ratio).astype(np.int64) + zero
    found = fit_sums([Sum(AXIS[None], outputs, (ratio,))], (-128, 127), CFG)
    assert found is not None
    if not found.exact:  # ties: multiples of a half go to the even side
        assert found.digits == 3
        return
    (multiplier,), bias = found.multipliers[0], found.biases[0]
    got = (multiplier * AXIS + bias + (1 << found.shift >> 1)) >> found.shift
    np.testing.assert_array_equal(np.clip(got, -128, 127), np.clip(outputs, -128, 127))
