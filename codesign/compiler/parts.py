"""Concatenations and slices that need no copy: tensors that are some channels of another one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from codesign.compiler.fit import clip_bounds, zero_point
from codesign.compiler.graph import TensorSpec
from codesign.compiler.layouts import RegionUnit
from codesign.hw.config import VtaConfig
from codesign.kernels import Blocking
from relay_passes.moves import GatherForm, gather_form
from relay_passes.spec import QuantizedTensor, UnitSpec


def is_free(spec: UnitSpec, cfg: VtaConfig) -> bool:
    """Whether a gather's tensors could lie in one another: equal scales, whole channel groups."""
    out = spec.output
    form = gather_form(spec, out.batch or out.shape[0], out.channel_last)
    return form is not None and _offsets(spec, form, cfg) is not None


def share_parts(
    units: Sequence[RegionUnit], tensors: dict[str, TensorSpec], cfg: VtaConfig
) -> set[str]:
    """Make views of what free gathers read and write; names of the units that this computes.

    A concatenation's sources become parts of its result, unless they are parts already; where the
    first of them make up a whole, that becomes one. A slice becomes a part of its source.
    """
    done: set[str] = set()
    for unit in units:
        if unit.spec.kind != "gather":
            continue
        out = unit.spec.output
        form = gather_form(unit.spec, out.batch, out.channel_last)
        offsets = _offsets(unit.spec, form, cfg) if form else None
        if offsets is None:
            continue
        if len(unit.inputs) == 1:
            parts, whole = (unit.output,), unit.inputs[0]
        else:
            parts, offsets = _grown(unit.inputs, offsets, tensors)
            whole = unit.output
        taken = len(set(parts)) < len(parts) or any(tensors[name].view_of for name in parts)
        if taken or any(_owner(tensors, whole) == name for name in parts):
            continue
        for name, offset in zip(parts, offsets, strict=True):
            tensors[name] = replace(tensors[name], view_of=whole, first_channel=offset)
        done.add(unit.name)
    return done


def _grown(
    parts: tuple[str, ...], offsets: tuple[int, ...], tensors: dict[str, TensorSpec]
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The parts with the first of them replaced by the tensor that they are all parts of."""
    whole = _owner(tensors, parts[0])
    channels = tensors[whole].shape[0]
    count = offsets.index(channels) if channels in offsets else 0
    if count and all(
        _place(tensors, part) == (whole, offset)
        for part, offset in zip(parts[:count], offsets, strict=False)
    ):
        return (whole, *parts[count:]), (0, *offsets[count:])
    return parts, offsets


def _place(tensors: dict[str, TensorSpec], name: str) -> tuple[str, int] | None:
    """The tensor that owns the memory of some channels of it, and the first of them."""
    spec = tensors[name]
    if not spec.view_of:
        return name, 0
    above = _place(tensors, spec.view_of)
    if above is None or tensors[spec.view_of].shape[1:] != spec.shape[1:]:
        return None
    return above[0], above[1] + spec.first_channel


def _owner(tensors: dict[str, TensorSpec], name: str) -> str:
    view_of = tensors[name].view_of
    return _owner(tensors, view_of) if view_of else name


def _offsets(spec: UnitSpec, form: GatherForm, cfg: VtaConfig) -> tuple[int, ...] | None:
    """First channels of the parts in the whole, None where values or channels have to move."""

    def numbers(tensor: QuantizedTensor) -> tuple[float, int]:
        return tensor.scale, zero_point(tensor)

    unchanged = all(numbers(tensor) == numbers(spec.output) for tensor in spec.inputs)
    if not unchanged or clip_bounds(spec) != (-128, 127):
        return None
    if form.repeat != (1, 1) or form.padding != (0, 0, 0, 0):
        return None
    counts = [tensor.image[0] for tensor in spec.inputs]
    if len(counts) == 1:
        offsets = (form.picks[0][1],)
        wanted = [(0, channel + offsets[0]) for channel in range(len(form.picks))]
    else:
        offsets = (0, *accumulate(counts[:-1]))
        wanted = [(source, c) for source, count in enumerate(counts) for c in range(count)]
    aligned = all(offset % Blocking.of(cfg).group == 0 for offset in offsets)
    return offsets if aligned and list(form.picks) == wanted else None
