# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportAttributeAccessIssue=false
# tvm carries no usable annotations.
"""Operators that move elements, read from Relax as steps of a chain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tvm import relax

from relay_passes.ir import is_static, op_name, shape
from relay_passes.moves import block_move, free_views, gather_form
from relay_passes.spec import Move, UnitSpec

RESHAPES = ("reshape", "squeeze", "expand_dims")
MOVES = (*RESHAPES, "permute_dims", "strided_slice", "nn.pad", "image.resize2d")
"""Operators of one tensor that a chain is made of."""
LONGEST = 4
"""Operators of the longest chain."""


def chain(resolve: Callable[[Any], Any], core: Any) -> tuple[list[Any], list[Any]]:
    """Operators that end in ``core``, first one first, and the operands of the first."""
    found = [core]
    while op_name(found[0]) in MOVES and op_name(resolve(found[0].args[0])) in (*MOVES, "concat"):
        found.insert(0, resolve(found[0].args[0]))
    first = found[0].args[0]
    if op_name(found[0]) != "concat":
        return found, [first]
    fields = resolve(first)
    return found, list(fields.fields) if isinstance(fields, relax.Tuple) else []


def read_moves(spec: UnitSpec, calls: list[Any], notes: list[str]) -> UnitSpec:
    """A chain that some layout makes free is a view, one that carries whole channels, or blocks of
    pixels to channels and back, a gather."""
    source, out = spec.inputs[0], spec.output
    moves: list[Move] = []
    for call in calls:
        move = move_of(call)
        if move is None:
            notes.append(f"{op_name(call)} with these attributes")
            return spec
        moves.append(move)
    if 0 in (*source.shape, *out.shape):
        notes.append("a tensor without elements")
        return spec
    spec = replace(spec, moves=tuple(moves))
    batches = {1, source.shape[0], out.shape[0]}
    same = (source.scale, source.zero_point, source.dtype) == (out.scale, out.zero_point, out.dtype)
    if same and any(free_views(spec, batch) for batch in batches):
        return replace(spec, kind="view")
    places = [(batch, last) for batch in batches for last in (False, True)]
    if not any(gather_form(spec, *place) or block_move(spec, *place) for place in places):
        names = ", ".join(op_name(call).removeprefix("nn.") for call in calls)
        notes.append(f"{names} of {list(source.shape)} to {list(out.shape)} moves data")
    return spec


def move_of(call: Any) -> Move | None:
    """The step that an operator is, None if its shape is unknown or it does more than move."""
    if not is_static(call):
        return None
    name, after = op_name(call), shape(call)
    if name in RESHAPES:
        return "reshape", after
    if name == "permute_dims":
        axes = call.attrs.axes
        rank = len(after)
        return "permute", (
            tuple(range(rank))[::-1] if axes is None else tuple(int(a) % rank for a in axes)
        )
    if name == "concat":
        axis = 0 if call.attrs.axis is None else int(call.attrs.axis)
        return "concat", (axis % len(after),)
    before = shape(call.args[0])
    if name == "strided_slice":
        return _slice(call, before)
    if name == "nn.pad":
        constant = str(call.attrs.pad_mode) == "constant" and float(call.attrs.pad_value) == 0
        return ("pad", tuple(int(n) for n in call.attrs.pad_width)) if constant else None
    return _repeat(call, before, after)


def _slice(call: Any, before: tuple[int, ...]) -> Move | None:
    """Begins, ends and steps of every axis, as Python's slices count them."""
    lists = [_integers(arg) for arg in call.args[1:]]
    if any(numbers is None for numbers in lists):
        return None
    axes, begins, ends, *steps = [numbers or [] for numbers in lists]
    at = [[0, size, 1] for size in before]
    for i, axis in enumerate(axes):
        step = steps[0][i] if steps else 1
        if step < 1:
            return None
        at[axis] = [*slice(begins[i], ends[i], step).indices(before[axis])]
    return "slice", tuple(n for axis in at for n in axis)


def _integers(arg: Any) -> list[int] | None:
    fields = getattr(arg, "fields", None) or getattr(arg, "values", None)
    if fields is None:
        return None
    try:
        return [int(getattr(field, "value", field)) for field in fields]
    except TypeError:
        return None


def _repeat(call: Any, before: tuple[int, ...], after: tuple[int, ...]) -> Move | None:
    """A resize that repeats every pixel a whole number of times."""
    attrs = call.attrs
    if str(attrs.layout) != "NCHW" or str(attrs.method) != "nearest_neighbor":
        return None
    if any(n % m for n, m in zip(after, before, strict=True)):
        return None
    times = tuple(n // m for n, m in zip(after, before, strict=True))
    mode, rounding = str(attrs.coordinate_transformation_mode), str(attrs.rounding_method)
    centred = mode in ("half_pixel", "pytorch_half_pixel") and rounding.startswith("round")
    # Halves of odd positions are rounded down by the preferred floor.
    down = rounding == "floor" or (rounding in ("round", "round_prefer_floor") and max(times) == 2)
    return ("repeat", times) if centred or (mode == "asymmetric" and down) else None
