"""Chains that move elements: views and gathers, checked on numbers."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.compiler.fit.convolution import as_block_convolution
from codesign.compiler.real import real_output
from relay_passes import QuantizedTensor, UnitSpec
from relay_passes.moves import block_move, free_views, gather_form, moved
from relay_passes.spec import Move


def spec(shapes: list[tuple[int, ...]], *moves: Move) -> UnitSpec:
    arrays = [np.zeros(shape, np.int8) for shape in shapes]
    out = moved(arrays, moves).shape
    inputs = tuple(QuantizedTensor(shape, "int8", 1.0, 0) for shape in shapes)
    return UnitSpec("gather", inputs, QuantizedTensor(out, "int8", 1.0, 0), moves=moves)


def test_tokens_of_an_image_are_a_view() -> None:
    made = spec([(2, 3, 4, 5)], ("reshape", (2, 3, 20)), ("permute", (0, 2, 1)))
    assert free_views(made, 2) == {(False, True)}


def test_flattening_an_image_moves_data() -> None:
    assert not free_views(spec([(1, 3, 4, 5)], ("reshape", (1, 60))), 1)
    assert free_views(spec([(1, 3, 1, 1)], ("reshape", (1, 3))), 1)


def test_rows_of_features_are_the_same_rows() -> None:
    made = spec([(1, 6, 8)], ("reshape", (6, 8)))
    assert (True, True) in free_views(made, 1)


def test_channel_shuffle_is_a_gather() -> None:
    made = spec(
        [(2, 6, 4, 5)],
        ("reshape", (2, 2, 3, 4, 5)),
        ("permute", (0, 2, 1, 3, 4)),
        ("reshape", (2, 6, 4, 5)),
    )
    form = gather_form(made, 2, False)
    assert form is not None
    assert [channel for _, channel in form.picks] == [0, 3, 1, 4, 2, 5]
    assert (form.repeat, form.padding) == ((1, 1), (0, 0, 0, 0))


BLOCK_MOVES = {
    "space to depth, channels first": ((1, 2, 4, 6), (1, 2, 2, 2, 2, 3), (0, 1, 3, 5, 2, 4)),
    "space to depth, blocks first": ((1, 2, 6, 6), (1, 2, 2, 3, 3, 2), (0, 3, 5, 1, 2, 4)),
    "depth to space, channels first": ((2, 12, 2, 3), (2, 2, 2, 3, 2, 3), (0, 1, 4, 2, 5, 3)),
    "depth to space, blocks first": ((1, 8, 2, 3), (1, 2, 2, 2, 2, 3), (0, 3, 4, 1, 5, 2)),
}


@pytest.mark.parametrize("name", BLOCK_MOVES)
def test_block_moves_are_convolutions_of_zeros_and_ones(name: str) -> None:
    shape, split, axes = BLOCK_MOVES[name]
    across = [split[a] for a in axes]
    out = (
        (shape[0], across[1] * across[2] * across[3], across[4], across[5])
        if name.startswith("space")
        else (shape[0], across[1], across[2] * across[3], across[4] * across[5])
    )
    made = spec([shape], ("reshape", split), ("permute", axes), ("reshape", out))
    assert gather_form(made, shape[0], False) is None
    convolution = as_block_convolution(made)
    assert convolution is not None
    x = np.random.default_rng(0).standard_normal(shape)
    wanted = x.reshape(split).transpose(axes).reshape(out)
    np.testing.assert_array_equal(real_output(convolution, (x,)), wanted)


def test_patches_turned_over_are_no_block_move() -> None:
    made = spec(
        [(1, 2, 4, 4)],
        ("reshape", (1, 2, 2, 2, 2, 2)),
        ("permute", (0, 1, 2, 4, 3, 5)),
        ("reshape", (1, 8, 2, 2)),
    )
    assert block_move(made, 1, False) is None


def test_one_token_is_a_crop() -> None:
    form = gather_form(spec([(1, 5, 3)], ("slice", (0, 1, 1, 2, 3, 1, 0, 3, 1))), 1, True)
    assert form is not None
    assert form.padding == (0, -2, 0, -2)


@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.tuples(*[st.integers(0, 3)] * 4),
    st.integers(0, 2),
    st.integers(0, 2),
)
def test_gathers_do_what_the_chain_does(
    up_y: int, up_x: int, pad: tuple[int, ...], first: int, crop: int
) -> None:
    shapes = [(2, 3, 4, 5), (2, 2, 4, 5)]
    top, left, bottom, right = pad
    rows = 4 * up_y + top + bottom
    made = spec(
        shapes,
        ("concat", (1,)),
        ("repeat", (1, 1, up_y, up_x)),
        ("pad", (0, 0, 0, 0, top, bottom, left, right)),
        ("slice", (0, 2, 1, first, 5, 1, crop, rows, 1, 0, 5 * up_x + left + right, 1)),
    )
    form = gather_form(made, 2, False)
    assert form is not None
    rng = np.random.default_rng(0)
    arrays: list[Any] = [rng.integers(0, 99, shape) for shape in shapes]
    picked = np.stack([arrays[source][:, channel] for source, channel in form.picks], 1)
    grown = picked.repeat(form.repeat[0], 2).repeat(form.repeat[1], 3)
    added = [max(0, p) for p in form.padding]
    framed = np.pad(
        grown, ((0, 0), (0, 0), (added[0], added[2]), (added[1], added[3])), constant_values=-1
    )
    cut = [max(0, -p) for p in form.padding]
    got = framed[:, :, cut[0] : framed.shape[2] - cut[2], cut[1] : framed.shape[3] - cut[3]]
    np.testing.assert_array_equal(got, moved(arrays, made.moves))


@pytest.mark.parametrize("batch", [1, 2])
def test_images_are_not_mixed(batch: int) -> None:
    made = spec([(2, 3, 4, 4)], ("permute", (1, 0, 2, 3)))
    assert not free_views(made, batch)
    assert gather_form(made, batch, False) is None
