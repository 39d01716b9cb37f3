"""The vectorised semantics equal naive loops, and packed layers equal the layers they stand for."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from codesign.kernels import (
    ConvParams,
    ConvWorkload,
    GatherParams,
    GatherWorkload,
    fold_convolution,
    fold_input,
    patch_folds,
    reference,
)
from tests.kernels.support import random_scaling


def naive_conv(w: ConvWorkload, p: ConvParams, inputs: list[NDArray[np.int8]]) -> NDArray[np.int8]:
    """The docstrings of the workload and its params, one number at a time."""
    x = inputs[0].astype(int)
    per_group, of_group = w.in_channels // w.groups, w.out_channels // w.groups
    grown = [(w.height - 1) * w.up[0] + 1, (w.width - 1) * w.up[1] + 1]
    out = np.zeros((len(x), w.out_channels, w.out_height, w.out_width), np.int8)
    for n, co, oy, ox in np.ndindex(*out.shape):
        total = 0
        for ci, ky, kx in product(range(per_group), range(w.kernel[0]), range(w.kernel[1])):
            y = oy * w.stride[0] + ky * w.dilation[0] - w.padding[0]
            xx = ox * w.stride[1] + kx * w.dilation[1] - w.padding[1]
            if y % w.up[0] or xx % w.up[1]:
                value = 0
            elif not (0 <= y < grown[0] and 0 <= xx < grown[1]):
                value = p.pad_value
            else:
                value = x[n, co // of_group * per_group + ci, y // w.up[0], xx // w.up[1]]
            total += int(value) * int(p.weight[co, ci, ky, kx])
        phase = oy % w.up[0] * w.up[1] + ox % w.up[1]
        bias = int(p.bias[phase, co] if w.phase_bias else p.bias[co])
        if w.multiply:
            assert p.scaling is not None
            least, most, multiplier, fraction, offset = (int(v) for v in p.scaling[:, co])
            total = max(least, min(most, total + bias))
            acc = total * multiplier + (total * fraction >> p.pre_shift) + offset
            acc = (acc + 2**31) % 2**32 - 2**31 - 2 ** (p.shift - 1)
        elif w.residual_border is not None:
            residual = p.residual_multiplier * int(inputs[1][n, co, oy, ox])
            acc = (total >> p.pre_shift) + residual + bias
        else:
            acc = total + bias
        rounded = (acc + 2 ** (p.shift - 1)) >> p.shift
        out[n, co, oy, ox] = max(p.low, min(p.high, rounded))
    return out


CONVOLUTIONS = (
    ConvWorkload(6, 4, 5, 6, (3, 2), (2, 1), (1, 0, 1, 1), groups=2),
    ConvWorkload(5, 5, 6, 5, (3, 3), (1, 2), (1, 1, 1, 1), groups=5),
    ConvWorkload(4, 8, 5, 5, (3, 1), padding=(1, 0, 1, 0), groups=4),
    ConvWorkload(3, 4, 9, 8, (3, 2), (2, 1), (2, 3, 2, 3), dilation=(2, 3), in_border=3),
    ConvWorkload(3, 2, 4, 3, (4, 3), padding=(2, 1, 2, 1), up=(2, 3)),
    ConvWorkload(2, 4, 4, 4, (2, 2), padding=(-1, 1, 0, 1), up=(2, 2), groups=2),
    ConvWorkload(
        3, 2, 4, 3, (5, 4), padding=(3, 2, 2, -1), in_border=1, up=(2, 3), phase_bias=True
    ),
    ConvWorkload(4, 3, 4, 4, (3, 3), padding=(1, 1, 1, 1), residual_border=1),
    ConvWorkload(4, 3, 4, 4, (1, 1), multiply=True),
    ConvWorkload(7, 5, 1, 1),
)


def conv_params(w: ConvWorkload, rng: np.random.Generator) -> ConvParams:
    weight = rng.integers(-128, 128, (w.out_channels, w.in_channels // w.groups, *w.kernel))
    phases = (w.up[0] * w.up[1],) if w.phase_bias else ()
    return ConvParams(
        weight.astype(np.int8),
        rng.integers(-9999, 9999, (*phases, w.out_channels)).astype(np.int32),
        int(rng.integers(15, 24)) if w.multiply else int(rng.integers(1, 12)),
        -100,
        120,
        pad_value=int(rng.integers(-128, 128)) if w.in_border else 0,
        pre_shift=int(rng.integers(0, 5)) if w.multiply or w.residual_border is not None else 0,
        residual_multiplier=int(rng.integers(-128, 128)),
        scaling=random_scaling(w.out_channels, rng) if w.multiply else None,
    )


@pytest.mark.parametrize("workload", CONVOLUTIONS, ids=str)
def test_convolutions_equal_a_naive_loop(workload: ConvWorkload) -> None:
    rng = np.random.default_rng(3)
    params = conv_params(workload, rng)
    shapes = [(2, workload.in_channels, workload.height, workload.width)]
    if workload.residual_border is not None:
        shapes.append((2, workload.out_channels, workload.out_height, workload.out_width))
    inputs = [rng.integers(-128, 128, shape).astype(np.int8) for shape in shapes]
    want = naive_conv(workload, params, inputs)
    np.testing.assert_array_equal(reference(workload, params, tuple(inputs)), want)


def test_large_reductions_are_exact() -> None:
    w = ConvWorkload(4096, 1, 1, 1)
    x = np.full((1, 4096, 1, 1), -128, np.int8)
    weight = np.full((1, 4096, 1, 1), -128, np.int8)
    weight[0, 0] = -127
    bias = np.array([-(4096 * 16384 - 128) + 5], np.int32)
    assert reference(w, ConvParams(weight, bias, 1), (x,)).item() == 3


def test_gather_equals_a_naive_loop() -> None:
    rng = np.random.default_rng(5)
    picks = ((1, 2), (0, 1), (0, 0), (1, 0), (1, 2))
    w = GatherWorkload((2, 3), picks, 3, 4, (2, 3), (1, -2, -1, 2))
    bias = rng.integers(-900, 900, 5).astype(np.int32)
    p = GatherParams((37, 90), bias, 5, -90, 100)
    xs = [rng.integers(-128, 128, (2, c, 3, 4)).astype(np.int8) for c in w.channels]
    out = np.zeros((2, 5, w.out_height, w.out_width), np.int64)
    for n, c, y, x in np.ndindex(*out.shape):
        source, channel = picks[c]
        iy, ix = y - 1, x + 2
        inside = 0 <= iy < 6 and 0 <= ix < 12
        value = int(xs[source][n, channel, iy // 2, ix // 3]) if inside else 0
        acc = p.multipliers[source] * value + int(bias[c])
        out[n, c, y, x] = max(-90, min(100, (acc + 16) >> 5))
    np.testing.assert_array_equal(reference(w, p, tuple(xs)), out)


@st.composite
def foldable(draw: st.DrawFn) -> ConvWorkload:
    kernel = draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    stride = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    padding = draw(st.tuples(*[st.integers(0, 3)] * 4))
    height, width = draw(st.tuples(st.integers(1, 14), st.integers(1, 14)))
    w = ConvWorkload(
        draw(st.integers(1, 4)), 3, height, width, kernel, stride, padding, dilation=dilation
    )
    assume(w.out_height >= 1 and w.out_width >= 1)
    return w


@given(foldable(), st.integers(0, 2**32 - 1))
def test_a_folded_convolution_equals_the_layer(w: ConvWorkload, seed: int) -> None:
    rng = np.random.default_rng(seed)
    params = conv_params(w, rng)
    pad = int(rng.integers(-128, 128))
    params = ConvParams(params.weight, params.bias, params.shift, pad_value=pad)
    x = rng.integers(-128, 128, (1, w.in_channels, w.height, w.width)).astype(np.int8)
    want = reference(w, params, (x,))
    for fold in patch_folds(w):
        small, weight = fold_convolution(w, params.weight, fold)
        packed = fold_input(x, fold, small.height, small.width, pad)
        assert small.macs == w.macs
        assert packed.shape[1:] == (small.in_channels, small.height, small.width)
        got = reference(small, ConvParams(weight, params.bias, params.shift), (packed,))
        np.testing.assert_array_equal(got, want, err_msg=str(fold))


def test_a_first_layer_folds_to_full_lanes() -> None:
    w = ConvWorkload(3, 64, 224, 224, (7, 7), (2, 2), (3, 3, 3, 3))
    found = {
        (f.patch, fold_convolution(w, np.zeros((64, 3, 7, 7), np.int8), f)[0].kernel)
        for f in patch_folds(w)
    }
    assert {((2, 2), (4, 4)), ((1, 7), (7, 1)), ((2, 7), (4, 1)), ((7, 7), (1, 1))} <= found


def test_a_fold_that_misses_taps_is_refused() -> None:
    w = ConvWorkload(3, 8, 9, 9, (3, 3), (2, 2), (1, 1, 1, 1))
    fold = patch_folds(w)[0]
    wrong = type(fold)((3, 3), fold.patch, fold.before)
    with pytest.raises(ValueError, match="steps must divide the stride"):
        fold_convolution(w, np.zeros((8, 3, 3, 3), np.int8), wrong)
