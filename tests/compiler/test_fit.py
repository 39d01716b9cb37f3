"""Fitting: shifts, biases, zero points, and what does not fit."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import codesign
from codesign.compiler.fit import convolution, fit_unit, needed_border
from codesign.compiler.real import real_output
from codesign.errors import Infeasible
from codesign.kernels import (
    ConvParams,
    ElementwiseParams,
    PoolParams,
    bias_capacity,
    default_bias_tiles,
    reference,
)
from relay_passes import QuantizedTensor, UnitSpec

CFG = codesign.load_config("pynq")


def tensor(
    shape: tuple[int, ...], scale: float, zero: int = 0, dtype: str = "int8"
) -> QuantizedTensor:
    return QuantizedTensor(shape, dtype, scale, zero)


def conv(zero_in: int = 0, zero_out: int = 0, dtype: str = "int8", gain: float = 1.0) -> UnitSpec:
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((6, 5, 3, 3)) * 0.1 * gain
    return UnitSpec(
        "conv2d",
        (tensor((1, 5, 7, 6), 0.02, zero_in, dtype),),
        tensor((1, 6, 7, 6), 0.05, zero_out, dtype),
        weight=weight,
        bias=rng.standard_normal(6),
        kernel=(3, 3),
        padding=(1, 1, 1, 1),
    )


@pytest.mark.parametrize(
    ("zero_in", "zero_out", "dtype"), [(0, 0, "int8"), (7, -9, "int8"), (130, 3, "uint8")]
)
def test_convolution_is_within_one_step_of_real_numbers(
    zero_in: int, zero_out: int, dtype: str
) -> None:
    spec = conv(zero_in, zero_out, dtype)
    fitted = fit_unit(spec, CFG)
    assert not isinstance(fitted, Infeasible)
    workload, params = fitted
    shift = 128 if dtype == "uint8" else 0
    x = np.random.default_rng(1).integers(-40, 40, (1, 5, 7, 6)).astype(np.int8)
    got = reference(workload, params, (x,)).astype(float)
    assert spec.weight is not None
    assert spec.bias is not None
    padded = np.pad((x - (zero_in - shift)) * 0.02, ((0, 0), (0, 0), (1, 1), (1, 1)))
    view = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    real = np.einsum("nchwyx,ocyx->nohw", view, spec.weight) + spec.bias[:, None, None]
    wanted = np.clip(real / 0.05 + zero_out - shift, -128, 127)
    assert np.abs(got - wanted).max() <= 1.5


@pytest.mark.parametrize("padding", [(2, 1, 2, 3), (-1, 0, 1, 2)])
def test_transposed_convolution_of_an_input_with_a_zero_point(
    padding: tuple[int, int, int, int],
) -> None:
    zero = 37
    spec = replace(conv(zero, -20, gain=2.0), up=(2, 3), padding=padding)
    rows, columns = (
        (n - 1) * up + 1 + padding[axis] + padding[axis + 2] - 2
        for axis, (n, up) in enumerate(zip((7, 6), spec.up, strict=True))
    )
    spec = replace(spec, output=replace(spec.output, shape=(1, 6, rows, columns)))
    fitted = fit_unit(spec, CFG)
    assert not isinstance(fitted, Infeasible)
    assert spec.weight is not None
    # Phases with different taps differ in their sums.
    assert len(np.unique(fitted[1].bias[:, 0])) > 2  # type: ignore[union-attr, index]
    x = np.random.default_rng(1).integers(-40, 80, (1, 5, 7, 6)).astype(np.int8)
    wanted = real_output(spec, (0.02 * (x.astype(float) - zero),)) / 0.05 - 20
    got = reference(*fitted, (x,)).astype(float)
    assert np.abs(got - np.clip(wanted, -128, 127)).max() <= 1.5


def test_bias_fits_what_the_tiles_carry() -> None:
    fitted = fit_unit(conv(gain=1e-4), CFG)
    assert not isinstance(fitted, Infeasible)
    workload, params = fitted
    assert isinstance(params, ConvParams)
    assert workload.bias_tiles == default_bias_tiles(CFG)  # type: ignore[union-attr]
    peak = np.abs(params.bias.astype(int)).max() + (1 << params.shift >> 1)
    assert peak <= bias_capacity(CFG, default_bias_tiles(CFG))


def test_too_large_weights_are_refused() -> None:
    fitted = fit_unit(conv(gain=1e4), CFG)
    assert isinstance(fitted, Infeasible)
    assert fitted.constraint == "weight_range"


def test_all_zero_channel() -> None:
    spec = conv()
    assert spec.weight is not None
    spec.weight[:] = 0
    fitted = fit_unit(spec, CFG)
    assert not isinstance(fitted, Infeasible)
    assert not fitted[1].weight.any()  # type: ignore[union-attr]


def test_border_only_where_load_cannot_pad() -> None:
    assert needed_border(conv(), CFG) == 0
    assert needed_border(conv(zero_in=3), CFG) == 1
    wide = UnitSpec("conv2d", conv().inputs, conv().output, padding=(16, 0, 0, 0))
    assert needed_border(wide, CFG) == 16


@given(
    st.floats(0.001, 0.2),
    st.floats(0.001, 0.2),
    st.floats(0.004, 0.4),
    st.integers(-128, 127),
    st.integers(-128, 127),
)
def test_add_is_as_close_as_its_multipliers(
    a: float, b: float, out: float, za: int, zo: int
) -> None:
    shape = (1, 3, 4, 4)
    spec = UnitSpec(
        "add", (tensor(shape, a, za), tensor(shape, b)), tensor(shape, out, zo), low=0.0
    )
    fitted = fit_unit(spec, CFG)
    if isinstance(fitted, Infeasible):
        assert fitted.constraint == "scale_ratio"
        assert max(a, b) / out > 60 or min(a, b) < max(a, b) / 126
        return
    workload, params = fitted
    assert isinstance(params, ElementwiseParams)
    x, y = (np.random.default_rng(s).integers(-128, 128, shape).astype(np.int8) for s in (1, 2))
    got = reference(workload, params, (x, y)).astype(float)
    real = ((x.astype(float) - za) * a + y.astype(float) * b) / out
    # Half a step of rounding, and half a unit of each multiplier's last bit.
    slack = 0.5 + 0.5 * 2.0**-params.shift * (255 + 128) + 1e-9
    assert np.abs(got - np.clip(np.maximum(real, 0) + zo, -128, 127)).max() <= slack
    assert max(params.multipliers) <= 127
    assert max(params.multipliers) >= 63 or params.shift == 15 or za or zo


def test_no_operand_vanishes() -> None:
    shape = (1, 3, 4, 4)
    lost = UnitSpec("add", (tensor(shape, 40.0), tensor(shape, 0.2)), tensor(shape, 1.0))
    fitted = fit_unit(lost, CFG)
    assert isinstance(fitted, Infeasible)
    assert fitted.constraint == "scale_ratio"
    assert "0.2" in fitted.message
    # Less than half a step of the output is lost by any rounding.
    fitted = fit_unit(replace(lost, inputs=(tensor(shape, 40.0), tensor(shape, 0.003))), CFG)
    assert not isinstance(fitted, Infeasible)


def residual(gain: float, scale: float, channels: int = 5) -> UnitSpec:
    """A 1x1 convolution whose weights are all ``gain``, added to a tensor of ``scale``."""
    shape = (1, 6, 7, 6)
    return UnitSpec(
        "conv2d",
        (tensor((1, channels, 7, 6), 1.0), tensor(shape, scale)),
        tensor(shape, 1.0),
        weight=np.full((6, channels, 1, 1), gain),
        between=tensor(shape, 1.0),
    )


def test_no_residual_vanishes() -> None:
    assert not isinstance(fit_unit(residual(1.0, 0.5), CFG), Infeasible)
    fitted = fit_unit(residual(60.0, 0.2), CFG)
    assert isinstance(fitted, Infeasible)
    assert fitted.constraint == "scale_ratio"


@pytest.mark.parametrize("make", [residual, lambda gain, _, n: wide(gain, n)])
def test_accumulators_fit_int32(make: Callable[[float, float, int], UnitSpec]) -> None:
    fitted = fit_unit(make(1.0, 1.0, 1 << 18), CFG)
    assert isinstance(fitted, Infeasible)
    assert fitted.constraint == "acc_range"
    assert not isinstance(fit_unit(make(1.0, 1.0, 1 << 16), CFG), Infeasible)


def wide(gain: float, channels: int) -> UnitSpec:
    spec = residual(gain, 1.0, channels)
    return replace(spec, inputs=spec.inputs[:1], between=None)


def test_kept_weights_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    ratio = np.random.default_rng(0).uniform(-1, 1, (4, 4, 3, 3))
    monkeypatch.setattr(convolution, "_ROUNDED", {})
    monkeypatch.setattr(convolution, "_KEPT_BYTES", 2 * ratio.size)
    for shift in range(1, 6):
        assert convolution.rounded(ratio, shift) is convolution.rounded(ratio, shift)
        kept = convolution._ROUNDED.values()  # pyright: ignore[reportPrivateUsage]
        assert sum(weight.nbytes for weight in kept) <= 2 * ratio.size


@pytest.mark.parametrize("include", [False, True])
def test_average_pool_counts_the_pad_or_not(include: bool) -> None:
    spec = UnitSpec(
        "avg_pool2d",
        (tensor((1, 3, 5, 5), 0.02, 4),),
        tensor((1, 3, 5, 5), 0.02, 4),
        kernel=(3, 3),
        padding=(1, 1, 1, 1),
        count_include_pad=include,
    )
    fitted = fit_unit(spec, CFG)
    assert not isinstance(fitted, Infeasible)
    workload, params = fitted
    assert isinstance(params, PoolParams)
    x = np.full((1, 3, 5, 5), 100, np.int8)
    corner = int(reference(workload, params, (x,))[0, 0, 0, 0])
    wanted = (100 - 4) * (4 / 9 if include else 1) + 4
    assert abs(corner - wanted) <= 1


def test_max_pool_keeps_its_scale() -> None:
    shape = (1, 3, 4, 4)
    spec = UnitSpec("max_pool2d", (tensor(shape, 0.1),), tensor(shape, 0.2), kernel=(2, 2))
    fitted = fit_unit(spec, CFG)
    assert isinstance(fitted, Infeasible)
    assert fitted.constraint == "scale_ratio"


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.sampled_from([1, 3]))
def test_rounded_weights_keep_the_mean(seed: int, channels: int, kernel: int) -> None:
    """Each output channel's rounding errors sum to less than a step: the output's mean stays."""
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((channels, 16, kernel, kernel)) * 0.1
    spec = UnitSpec(
        "conv2d",
        (tensor((1, 16, 8, 8), 0.02),),
        tensor((1, channels, 9 - kernel, 9 - kernel), 0.05),
        weight=weight,
        kernel=(kernel, kernel),
    )
    fitted = fit_unit(spec, CFG)
    assert not isinstance(fitted, Infeasible)
    params = fitted[1]
    assert isinstance(params, ConvParams)
    real = np.ldexp(weight * 0.02 / 0.05, params.shift)
    error = params.weight.astype(float) - real
    assert np.abs(error.sum(axis=(1, 2, 3))).max() <= 0.5 + 1e-9
    assert np.abs(error).max() < 1.5
    assert np.abs(real).max() > 63


def test_average_of_four_has_no_halves_to_round_up() -> None:
    shape = (1, 4, 8, 8)
    spec = UnitSpec(
        "avg_pool2d", (tensor(shape, 0.1),), tensor((1, 4, 4, 4), 0.1), kernel=(2, 2), stride=(2, 2)
    )
    fitted = fit_unit(spec, CFG)
    assert not isinstance(fitted, Infeasible)
    workload, params = fitted
    assert isinstance(params, PoolParams)
    x = np.random.default_rng(0).integers(-30, 30, (200, 4, 8, 8)).astype(np.int8)
    real = x.reshape(200, 4, 4, 2, 4, 2).mean(axis=(3, 5))
    got = reference(workload, params, (x,)).astype(float)
    assert abs((got - real).mean()) < 0.02
    assert np.abs(got - real).max() < 0.8
