"""Multipliers: int8 weights kept, nothing overflows, the integers of onnxruntime's int8."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import codesign
from codesign.compiler.fit import Borders, conv_workload
from codesign.compiler.fit.multiplier import fit_multiplied
from codesign.errors import Infeasible
from codesign.kernels import ConvParams, ConvWorkload, bias_capacity
from codesign.kernels.unit import epilogue
from relay_passes import QuantizedTensor, UnitSpec
from tests.onnx_models import onnxruntime_outputs, qdq_conv

CFG = replace(codesign.load_config("pynq"), has_mul=True)
INT32 = 2**31 - 1


def unit(
    rng: np.random.Generator, spread: float = 1.0, zero_in: int = 0, zero_out: int = 0
) -> UnitSpec:
    """A 1x1 convolution of 40 to 12 channels; weight scales vary by ``2**(+-spread)``."""
    weight_scale = 0.003 * np.exp2(rng.uniform(-spread, spread, 12)).astype(np.float32)
    integers = rng.integers(-127, 128, (12, 40, 1, 1))
    bias = rng.integers(-9000, 9000, 12) * (np.float32(0.02) * weight_scale)
    return UnitSpec(
        "conv2d",
        (QuantizedTensor((1, 40, 6, 6), "int8", float(np.float32(0.02)), zero_in),),
        QuantizedTensor((1, 12, 6, 6), "int8", 0.11, zero_out),
        weight=integers * weight_scale[:, None, None, None].astype(np.float64),
        bias=bias.astype(np.float64),
        weight_scale=weight_scale.astype(np.float64),
    )


def fitted(spec: UnitSpec) -> tuple[ConvWorkload, ConvParams]:
    result = fit_multiplied(spec, CFG, conv_workload(spec, Borders(), 1))
    assert not isinstance(result, Infeasible)
    workload, params = result
    assert isinstance(workload, ConvWorkload)
    assert isinstance(params, ConvParams)
    assert workload.multiply
    return workload, params


def run(params: ConvParams, x: NDArray[np.int64]) -> NDArray[np.int64]:
    """The documented integers, with every step but the wrapping sum checked against int32."""
    assert params.scaling is not None
    acc = params.weight[:, :, 0, 0].astype(np.int64) @ x + params.bias[:, None]
    assert np.abs(acc).max() <= INT32
    return scaled(params, acc)


def scaled(params: ConvParams, acc: NDArray[np.int64]) -> NDArray[np.int64]:
    """Outputs of accumulators [O, n]."""
    assert params.scaling is not None
    least, most, multiplier, fraction, offset = params.scaling.astype(np.int64)[..., None]
    clipped = np.clip(acc, least, most)
    assert np.abs(clipped * fraction).max() <= INT32
    total = clipped * multiplier + (clipped * fraction >> params.pre_shift) + offset
    wrapped = total.astype(np.int32).astype(np.int64)
    return np.clip(wrapped >> params.shift, params.low, params.high)


def exact(spec: UnitSpec, x: NDArray[np.int64]) -> NDArray[np.int64]:
    """onnxruntime's QLinearConv: accumulator to float32, times a float32 scale, half to even."""
    assert spec.weight is not None
    assert spec.weight_scale is not None
    assert spec.bias is not None
    source, out = spec.inputs[0], spec.output
    step = np.float32(source.scale) * spec.weight_scale.astype(np.float32)
    weight = np.rint(spec.weight / spec.weight_scale[:, None, None, None])[:, :, 0, 0]
    acc = weight @ (x - source.zero_point) + np.rint(spec.bias / step)[:, None]
    real = acc.astype(np.float32) * (step / np.float32(out.scale))[:, None]
    return np.clip(np.rint(real) + out.zero_point, -128, 127).astype(np.int64)


@given(
    seed=st.integers(0, 2**32 - 1),
    spread=st.sampled_from([0.0, 1.0, 3.0]),
    zeros=st.tuples(st.integers(-128, 127), st.integers(-128, 127)),
)
def test_outputs_are_those_of_onnxruntime(seed: int, spread: float, zeros: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    spec = unit(rng, spread, *zeros)
    workload, params = fitted(spec)
    x = np.concatenate([rng.integers(-128, 128, (40, 300)), rng.choice([-128, 127], (40, 100))], 1)
    difference = np.abs(run(params, x) - exact(spec, x))
    assert difference.max() <= 1
    assert (difference > 0).sum() <= 4
    peak = int(np.abs(params.bias.astype(np.int64)).max())
    assert peak <= bias_capacity(CFG, workload.bias_tiles)
    assert 2 <= params.shift <= 30
    assert 0 <= params.pre_shift <= 15


@pytest.mark.parametrize("zeros", [(0, 0), (-128, -128), (127, 127), (-128, 127)])
@pytest.mark.parametrize("spread", [0.5, 3.0])
def test_every_accumulator_gives_its_output(zeros: tuple[int, int], spread: float) -> None:
    """All of them, one by one: one in a million may miss what float32 rounds to a half."""
    spec = unit(np.random.default_rng(1), spread, *zeros)
    assert spec.weight_scale is not None
    assert spec.bias is not None
    _, params = fitted(spec)
    step = np.float32(0.02) * spec.weight_scale.astype(np.float32)
    own = np.rint(spec.bias / step).astype(np.int64)
    weight = params.weight[:, :, 0, 0].astype(np.int64)
    wrong = count = 0
    for channel in range(12):
        one = replace_channel(params, channel)
        ends = weight[channel] * (np.array([[-128], [127]]) - zeros[0])
        least, most = ends.min(axis=0).sum(), ends.max(axis=0).sum()
        acc = np.arange(least, most + 1) + own[channel]
        moved = params.bias[channel] + zeros[0] * weight[channel].sum() - own[channel]
        got = scaled(one, (acc + moved)[None])
        real = acc.astype(np.float32) * (step / np.float32(0.11))[channel]
        want = np.clip(np.rint(real) + zeros[1], -128, 127)
        assert np.abs(got - want).max() <= 1
        wrong += int((got != want).sum())
        count += acc.size
    assert wrong <= 2e-6 * count


def replace_channel(params: ConvParams, channel: int) -> ConvParams:
    """The numbers of one channel alone."""
    assert params.scaling is not None
    return replace(params, scaling=params.scaling[:, channel : channel + 1])


def test_the_networks_int8_weights_are_kept() -> None:
    spec = unit(np.random.default_rng(0))
    assert spec.weight is not None
    assert spec.weight_scale is not None
    _, params = fitted(spec)
    kept = np.rint(spec.weight / spec.weight_scale[:, None, None, None])
    np.testing.assert_array_equal(params.weight, kept)


def test_float_weights_are_rounded_per_channel() -> None:
    spec = replace(unit(np.random.default_rng(0)), weight_scale=None)
    _, params = fitted(spec)
    np.testing.assert_array_equal(np.abs(params.weight).max(axis=(1, 2, 3)), 127)


def test_channels_without_weights_give_their_bias() -> None:
    spec = unit(np.random.default_rng(0))
    assert spec.weight is not None
    assert spec.bias is not None
    weight, bias = spec.weight.copy(), spec.bias.copy()
    weight[[3, 5]], bias[3], bias[5] = 0.0, 3.3, 0.0
    scale = np.where(np.arange(12) == 3, 1e-38, spec.weight_scale)
    spec = replace(spec, weight=weight, bias=bias, weight_scale=scale)
    _, params = fitted(spec)
    out = run(params, np.full((40, 2), 77))
    assert (out[3] == 30).all()
    assert (out[5] == 0).all()
    none = replace(spec, weight=np.zeros_like(weight))
    x = np.full((40, 2), -5)
    want = np.clip(np.rint(bias / 0.11), -128, 127)
    np.testing.assert_array_equal(run(fitted(none)[1], x), np.stack([want, want], axis=1))


def test_a_channel_of_tiny_weights_does_not_cost_the_others_bits() -> None:
    rng = np.random.default_rng(2)
    spec = unit(rng, spread=0.0)
    assert spec.weight is not None
    assert spec.weight_scale is not None
    weight, scale = spec.weight.copy(), spec.weight_scale.copy()
    weight[0] *= 2.0**-12
    scale[0] *= 2.0**-12
    spec = replace(spec, weight=weight, weight_scale=scale)
    x = rng.integers(-128, 128, (40, 2000))
    assert np.abs(run(fitted(spec)[1], x) - exact(spec, x)).max() <= 1


def test_bits_dropped_before_the_multiplication_fit_a_shift() -> None:
    """Accumulators of more than 31 bits: weights are made coarser, nothing is refused."""
    rng = np.random.default_rng(0)
    spec = UnitSpec(
        "conv2d",
        (QuantizedTensor((1, 40000, 1, 1), "int8", 1.0, 0),),
        QuantizedTensor((1, 2, 1, 1), "int8", 1.0, 0),
        weight=rng.choice([-127.0, 127.0], (2, 40000, 1, 1)) * 2.0**-24,
        weight_scale=np.full(2, 2.0**-24),
    )
    workload, params = fitted(spec)
    assert params.pre_shift <= 15
    epilogue(workload, params)
    x = rng.integers(-128, 128, (40000, 3))
    assert spec.weight is not None
    wanted = np.clip(spec.weight[:, :, 0, 0] @ x, -128, 127)
    assert np.abs(run(params, x) - wanted).max() <= 1


def test_scales_beyond_a_multiplier_are_refused() -> None:
    spec = unit(np.random.default_rng(0))
    source = replace(spec.inputs[0], scale=1e13)
    result = fit_multiplied(replace(spec, inputs=(source,)), CFG, conv_workload(spec, Borders(), 1))
    assert isinstance(result, Infeasible)
    assert result.constraint == "weight_range"


@pytest.mark.parametrize(("kind", "zero_in", "zero_out"), [(np.int8, 0, 0), (np.uint8, 117, 31)])
def test_networks_run_within_one_step_of_onnxruntime(
    kind: Any, zero_in: int, zero_out: int
) -> None:
    made = qdq_conv(kind, zero_in, zero_out, zero_channel=True)
    x = np.random.default_rng(5).standard_normal((20, 5, 9, 7)).astype(np.float32)
    result = codesign.compile(made, CFG).run({"x": x})
    assert result.outputs_match
    assert result.offloaded_macs == result.macs
    steps = np.rint(np.abs(result.outputs["y"] - onnxruntime_outputs(made, x)) / np.float32(0.09))
    assert steps.max() <= 1
    assert (steps == 0).mean() > 0.99
