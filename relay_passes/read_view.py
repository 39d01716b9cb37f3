# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# tvm carries no usable annotations.
"""Reshapes and transposes that leave packed data where they are."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relay_passes.ir import op_name
from relay_passes.spec import QuantizedTensor, UnitSpec

_MOST_ELEMENTS = 1 << 24
"""A view of more elements than this is not examined."""


def read_view(spec: UnitSpec, core: Any, notes: list[str]) -> UnitSpec:
    """A reshape, squeeze, expansion or transpose that some layout makes free."""
    source, out = spec.inputs[0], spec.output
    if (source.scale, source.zero_point, source.dtype) != (out.scale, out.zero_point, out.dtype):
        notes.append("a reshape or transpose changes the scale")
        return spec
    if op_name(core) == "permute_dims":
        axes = core.attrs.axes
        rank = len(source.shape)
        spec = replace(
            spec,
            axes=tuple(range(rank))[::-1] if axes is None else tuple(int(a) % rank for a in axes),
        )
    if not any(free_views(spec, batch) for batch in {1, source.shape[0], out.shape[0]}):
        verb = "transpose" if spec.axes else "reshape"
        notes.append(f"{verb} {list(source.shape)} to {list(out.shape)} moves data")
    return spec


def layouts(tensor: QuantizedTensor, batch: int) -> tuple[bool, ...]:
    """Values of ``channel_last`` under which a tensor can hold ``batch`` images."""
    shape = tensor.shape
    if not 2 <= len(shape) <= 4:
        return ()
    first = (False,) if shape[0] == batch else ()
    last = prod(shape[:-1]) % batch == 0 and not (len(shape) == 2 and first)
    return (*first, True) if last else first


def free_views(spec: UnitSpec, batch: int) -> frozenset[tuple[bool, bool]]:
    """Pairs of ``channel_last`` of a view's input and output between which no data move."""
    source, out = spec.inputs[0], spec.output
    return frozenset(
        (before, after)
        for before in layouts(source, batch)
        for after in layouts(out, batch)
        if _is_free(source.shape, before, out.shape, after, spec.axes, batch)
    )


@lru_cache(maxsize=1 << 12)
def _is_free(
    source: tuple[int, ...],
    before: bool,
    out: tuple[int, ...],
    after: bool,
    axes: tuple[int, ...],
    batch: int,
) -> bool:
    if prod(source) > _MOST_ELEMENTS:
        return False
    index = np.arange(prod(source)).reshape(source)
    moved = (index.transpose(axes) if axes else index).reshape(out)
    ours, theirs = _packed(index, before, batch), _packed(moved, after, batch)
    return ours.shape == theirs.shape and np.array_equal(ours, theirs)


def _packed(array: NDArray[Any], channel_last: bool, batch: int) -> NDArray[Any]:
    """[batch, channels, positions] of a graph tensor."""
    if channel_last:
        return array.reshape(batch, -1, array.shape[-1]).swapaxes(1, 2)
    return array.reshape(batch, array.shape[1], -1)
