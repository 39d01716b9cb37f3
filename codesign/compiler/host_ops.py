# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportOptionalMemberAccess=false
# tvm's annotations are partial and partly wrong.
"""What a compiled network leaves to the host, and the multiply-accumulates of the whole network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from tvm import relax

from codesign.errors import Infeasible
from relay_passes.ir import constant, definitions, dtype, is_call, is_static, op_name, shape
from relay_passes.read_convolution import live_taps
from relay_passes.read_moves import chain
from relay_passes.read_unit import KINDS, read_unit
from relay_passes.spec import UnitSpec

Refusal = Callable[[UnitSpec], Infeasible | None]
_NO_UNIT = "the accelerator has no form for this operator, or it is not quantised"


@dataclass(frozen=True)
class HostOp:
    """An operator on the host: the buffer that it writes, its size, and why it is there."""

    name: str
    op: str
    buffer: str
    bytes: int
    reason: str


def count_macs(function: Any) -> int:
    """Multiply-accumulates of convolutions, dense and matmul in a Relax function, whole batch.

    Taps of a convolution that read padding only are not counted.
    """
    total = 0
    for value in definitions(function).values():
        name = op_name(value) if is_static(value) else ""
        if name in ("nn.conv1d", "nn.conv2d"):
            taps = prod(end - first for first, end in live_taps(value))
            total += prod(shape(value)) * shape(value.args[1])[1] * taps
        elif name == "nn.conv3d":
            total += prod(shape(value)) * prod(shape(value.args[1])[1:])
        elif name in ("nn.conv2d_transpose", "nn.conv1d_transpose"):
            total += prod(shape(value.args[0])) * prod(shape(value.args[1])[1:])
        elif name == "matmul":
            total += prod(shape(value)) * shape(value.args[0])[-1]
    return total


def host_operators(
    function: Any, fallbacks: Mapping[str, Infeasible], refusal: Refusal
) -> tuple[HostOp, ...]:
    """Operators left in the entry function after lowering, in order.

    A quantised unit that was refused carries the name and reason it was refused with.
    """
    values = definitions(function)
    reasons: dict[Any, tuple[str, str]] = {}
    unused = dict(fallbacks)
    for value in values.values():
        if op_name(value) != "quantize" or not is_static(value):
            continue
        if not _readable(values, value):
            continue
        parts = set(_parts(values, value))
        spec = read_unit({v: e for v, e in values.items() if e in parts}, value).spec
        problem = Infeasible("operator", spec.unsupported) if spec.unsupported else refusal(spec)
        name = next((n for n, r in unused.items() if r == problem and n.startswith(spec.kind)), "")
        if name and problem is not None:
            unused.pop(name)
            reasons[value] = (name, str(problem))
    inside = {part for root in reasons for part in _parts(values, root)} - set(reasons)
    return tuple(_operators(values, reasons, inside))


def _parts(values: Mapping[Any, Any], root: Any) -> list[Any]:
    """Calls and tuples of the unit that ends in ``root``: down to the dequantized operands."""
    parts = [root]
    for arg in root.fields if isinstance(root, relax.Tuple) else root.args:
        inner = values.get(arg, arg)
        if isinstance(inner, relax.Tuple) or is_call(inner):
            parts += [inner] if op_name(inner) == "dequantize" else _parts(values, inner)
    return parts


def _operators(
    values: Mapping[Any, Any], reasons: Mapping[Any, tuple[str, str]], inside: set[Any]
) -> list[HostOp]:
    found: list[HostOp] = []
    counts: dict[str, int] = {}
    for value in values.values():
        op = op_name(value)
        if value in inside or not op or op.startswith("call_") or not is_static(value):
            continue
        if value in reasons:
            name, reason = reasons[value]
            op = name.rpartition("_")[0]
        else:
            counts[op] = counts.get(op, 0) + 1
            name = f"host_{op.removeprefix('nn.')}_{counts[op]}"
            boundary = op in ("quantize", "dequantize")
            reason = "border between float and int8 tensors" if boundary else _NO_UNIT
        size = shape(value)
        nbytes = prod(size) * max(1, _bits(dtype(value)) // 8)
        found.append(
            HostOp(name, op.removeprefix("nn."), f"{dtype(value)}{list(size)}", nbytes, reason)
        )
    return found


def _bits(kind: str) -> int:
    digits = "".join(c for c in kind if c.isdigit())
    return int(digits) if digits else 8


def _readable(values: Mapping[Any, Any], quantize: Any) -> bool:
    """Whether the chain under a quantize ends in dequantized operands, as a unit's does."""
    core = values.get(quantize.args[0])
    while op_name(core) in ("nn.relu", "clip") or (
        op_name(core) == "add" and not is_call(values.get(core.args[1]))
    ):
        core = values.get(core.args[0])
    if op_name(core) == "dequantize":
        return True
    if not is_call(core) or op_name(core) not in KINDS:
        return False
    if KINDS[op_name(core)] == "gather":
        _, operands = chain(lambda expr: values.get(expr, expr), core)
    else:
        operands = core.args[: 2 if op_name(core) == "add" else 1]
    if KINDS[op_name(core)] in ("conv2d", "dense") and not _constant(values, core.args[1]):
        return False
    return bool(operands) and all(op_name(values.get(a)) == "dequantize" for a in operands)


def _constant(values: Mapping[Any, Any], weight: Any) -> bool:
    """Whether a weight is a constant, or the dequantised form of one."""
    value = values.get(weight, weight)
    stored = value.args[0] if op_name(value) == "dequantize" else value
    return constant(stored) is not None
