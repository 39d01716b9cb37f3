# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# numpy leaves the type of reshaped arrays partly unknown.
"""Operators that only move elements, and what a chain of them is on packed tensors.

A chain is run on the numbers of the elements instead of their values; from where each number ends
up follows whether nothing moves in memory (a view), whole channels do (a gather), or blocks of
pixels become channels or channels such blocks (a block move).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relay_passes.spec import Move, QuantizedTensor, UnitSpec

_MOST_ELEMENTS = 1 << 23
"""A chain over more elements than this is not examined."""
_MOST_REPEATS = 8
_MOST_WEIGHTS = 1 << 20
"""A block move that takes more weights is left to the host."""


@dataclass(frozen=True)
class GatherForm:
    """Source and channel of every output channel, repetition, and padding (top, left, bottom,
    right; negative: a crop), as in `codesign.kernels.GatherWorkload`."""

    picks: tuple[tuple[int, int], ...]
    repeat: tuple[int, int]
    padding: tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class BlockMove:
    """Space to depth as a convolution of stride ``block``, or, with ``up``, depth to space as a
    transposed one: ``weight`` float [O, I, *block] of zeros and ones, flipped as `UnitSpec` has it.
    """

    block: tuple[int, int]
    weight: NDArray[np.float64]
    up: bool


def layouts(tensor: QuantizedTensor, batch: int) -> tuple[bool, ...]:
    """Values of ``channel_last`` under which a tensor can hold ``batch`` images."""
    shape = tensor.shape
    if not 2 <= len(shape) <= 4:
        return ()
    first = (False,) if shape[0] == batch else ()
    last = prod(shape[:-1]) % batch == 0 and not (len(shape) == 2 and first)
    return (*first, True) if last else first


def free_views(spec: UnitSpec, batch: int) -> frozenset[tuple[bool, bool]]:
    """Pairs of ``channel_last`` of the input and output between which no data move."""
    if len(spec.inputs) != 1:
        return frozenset()
    source, out = spec.inputs[0], spec.output
    return frozenset(
        (before, after)
        for before in layouts(source, batch)
        for after in layouts(out, batch)
        if _is_free(source.shape, before, after, spec.moves, batch)
    )


def gather_form(spec: UnitSpec, batch: int, channel_last: bool) -> GatherForm | None:
    """The chain as a gather between tensors of one layout, None if it is none."""
    tensors = (*spec.inputs, spec.output)
    if any(channel_last not in layouts(tensor, batch) for tensor in tensors):
        return None
    return _gather(tuple(t.shape for t in spec.inputs), spec.moves, batch, channel_last)


def block_move(spec: UnitSpec, batch: int, channel_last: bool) -> BlockMove | None:
    """The chain as a block move between tensors of one layout, None if it is none."""
    tensors = (*spec.inputs, spec.output)
    if len(tensors) != 2 or any(channel_last not in layouts(t, batch) for t in tensors):
        return None
    before, after = (replace(t, batch=batch, channel_last=channel_last).image for t in tensors)
    if prod(before) != prod(after) or before[1:] == after[1:]:
        return None
    return _block_move(spec.inputs[0].shape, spec.moves, batch, channel_last)


def moved(arrays: list[NDArray[Any]], moves: tuple[Move, ...]) -> NDArray[Any]:
    """The arrays after the chain; added elements are -1."""
    array = arrays[0]
    for kind, numbers in moves:
        if kind == "concat":
            array = np.concatenate(arrays, axis=numbers[0])
        elif kind == "reshape":
            array = array.reshape(numbers)
        elif kind == "permute":
            array = array.transpose(numbers)
        elif kind == "slice":
            at = iter(numbers)
            array = array[tuple(slice(b, e, s) for b, e, s in zip(at, at, at, strict=True))]
        elif kind == "pad":
            widths = list(zip(numbers[::2], numbers[1::2], strict=True))
            array = np.pad(array, widths, constant_values=-1)
        else:
            for axis, count in enumerate(numbers):
                array = array.repeat(count, axis)
    return array


@lru_cache(maxsize=1 << 12)
def _is_free(
    shape: tuple[int, ...], before: bool, after: bool, moves: tuple[Move, ...], batch: int
) -> bool:
    if prod(shape) > _MOST_ELEMENTS:
        return False
    index = np.arange(prod(shape), dtype=np.int32).reshape(shape)
    ours = _images(index, before, batch)
    theirs = _images(moved([index], moves), after, batch)
    flat = (*ours.shape[:2], -1)
    return ours.shape[:2] == theirs.shape[:2] and np.array_equal(
        ours.reshape(flat), theirs.reshape(flat)
    )


def _images(array: NDArray[Any], channel_last: bool, batch: int) -> NDArray[Any]:
    """[batch, C, H, W] of a graph tensor, as `QuantizedTensor.image` counts them."""
    if channel_last:
        return array.reshape(batch, 1, -1, array.shape[-1]).transpose(0, 3, 1, 2)
    rows = array.shape[2] if array.ndim == 4 else 1
    return array.reshape(batch, array.shape[1], rows, -1)


@lru_cache(maxsize=1 << 12)
def _gather(
    shapes: tuple[tuple[int, ...], ...], moves: tuple[Move, ...], batch: int, channel_last: bool
) -> GatherForm | None:
    found = _origins(shapes, moves, batch, channel_last)
    if found is None:
        return None
    (height, width), origin, inside = found
    rows = _axis(origin[..., 3], inside, 2, height)
    columns = _axis(origin[..., 4], inside, 3, width)
    picks = _picks(origin, inside)
    if rows is None or columns is None or picks is None:
        return None
    padding = (rows[1], columns[1], rows[2], columns[2])
    return GatherForm(picks, (rows[0], columns[0]), padding)


@lru_cache(maxsize=1 << 10)
def _block_move(
    shape: tuple[int, ...], moves: tuple[Move, ...], batch: int, channel_last: bool
) -> BlockMove | None:
    found = _origins((shape,), moves, batch, channel_last)
    if found is None or not found[2].all():
        return None
    size, origin, _ = found
    images, channels, *out_size = origin.shape[:4]
    if (origin[..., 0] != np.arange(images)[:, None, None, None]).any():
        return None
    up = out_size[0] >= size[0]
    large, small = (out_size, size) if up else (size, out_size)
    block = large[0] // small[0], large[1] // small[1]
    if block == (1, 1) or (small[0] * block[0], small[1] * block[1]) != tuple(large):
        return None
    # From here on [image, channel, row of blocks, row in a block, column, column in a block].
    steps = block if up else (1, 1)
    split = (images, channels, small[0], steps[0], small[1], steps[1])
    source, rows, columns = (origin[..., n].reshape(split) for n in (2, 3, 4))
    grow = (1, 1) if up else block
    rows = rows - grow[0] * np.arange(small[0])[:, None, None, None]
    columns = columns - grow[1] * np.arange(small[1])[:, None]
    taps = np.stack([source, rows, columns])
    first = taps[:, :1, :, :1, :, :1]
    if (taps != first).any() or not _in_block(first[1:], grow):
        return None
    dims = (channels, prod(shape) // prod(size) // images, *block)
    if prod(dims) > _MOST_WEIGHTS:
        return None
    weight = np.zeros(dims)
    for out, y, x in np.ndindex(channels, *steps):
        channel, row, column = first[:, 0, out, 0, y, 0, x]
        at = (block[0] - 1 - y, block[1] - 1 - x) if up else (row, column)
        weight[out, channel, at[0], at[1]] = 1.0
    return BlockMove(block, weight, up)


def _in_block(places: NDArray[Any], block: tuple[int, int]) -> bool:
    """Whether rows and columns lie within a block."""
    limits = np.array(block).reshape(2, *[1] * (places.ndim - 1))
    return bool(((places >= 0) & (places < limits)).all())


def _origins(
    shapes: tuple[tuple[int, ...], ...], moves: tuple[Move, ...], batch: int, channel_last: bool
) -> tuple[tuple[int, int], NDArray[Any], NDArray[Any]] | None:
    """(height, width) of all sources; image, source, channel, row and column of every output
    element; whether it has any. None where sources differ in size or are too large."""
    if sum(prod(shape) for shape in shapes) > _MOST_ELEMENTS:
        return None
    arrays: list[NDArray[Any]] = []
    origins: list[NDArray[Any]] = []
    first = 0
    for source, shape in enumerate(shapes):
        array = np.arange(first, first + prod(shape), dtype=np.int32).reshape(shape)
        images = _images(array, channel_last, batch)
        order = images.reshape(-1).argsort()
        places = np.stack(np.unravel_index(order, images.shape), axis=1)
        origins.append(np.insert(places, 1, source, axis=1))
        arrays.append(array)
        first += prod(shape)
    sizes = {_images(a, channel_last, batch).shape[2:] for a in arrays}
    if len(sizes) != 1:
        return None
    ((height, width),) = sizes
    out = _images(moved(arrays, moves), channel_last, batch)
    origin = np.concatenate([*origins, np.full((1, 5), -1)])[out]
    return (height, width), origin, out >= 0


def _picks(origin: NDArray[Any], inside: NDArray[Any]) -> tuple[tuple[int, int], ...] | None:
    """(source, channel) of every output channel, if each has one and stays in its image."""
    own = np.arange(len(origin))[:, None, None, None]
    if not ((origin[..., 0] == own) | ~inside).all():
        return None
    picks: list[tuple[int, int]] = []
    for channel in range(origin.shape[1]):
        found = origin[:, channel][inside[:, channel]][:, 1:3]
        if not len(found) or (found != found[0]).any():
            return None
        picks.append((int(found[0, 0]), int(found[0, 1])))
    return tuple(picks)


def _axis(
    position: NDArray[Any], inside: NDArray[Any], axis: int, size: int
) -> tuple[int, int, int] | None:
    """(repeat, added before, added after) if positions along ``axis`` follow from those alone."""
    lines = np.moveaxis(np.where(inside, position, -1), axis, 0).reshape(position.shape[axis], -1)
    # Elements that the other axis puts outside say nothing about this one.
    found = lines.max(axis=1)
    if not ((lines == found[:, None]) | (lines == -1)).all() or (found < 0).all():
        return None
    start = int(np.flatnonzero(found >= 0)[0])
    places = np.arange(len(found))
    for repeat in range(1, _MOST_REPEATS + 1):
        for phase in range(repeat):
            before = start - int(found[start]) * repeat - phase
            wanted = (places - before) // repeat
            wanted[(wanted < 0) | (wanted >= size)] = -1
            if np.array_equal(wanted, found):
                return repeat, before, len(found) - before - size * repeat
    return None
