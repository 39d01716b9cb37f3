# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# tvm carries no usable annotations.
"""From a matched composite to its `UnitSpec`: scales, clip bounds, operands, what hinders it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relay_passes.ir import constant, dtype, op_name, scalar, shape
from relay_passes.read_convolution import read_convolution, read_dense, read_scale
from relay_passes.read_moves import MOVES, chain, read_moves
from relay_passes.read_pool import read_pool
from relay_passes.spec import QuantizedTensor, UnitKind, UnitSpec

KINDS: Mapping[str, UnitKind] = {
    "nn.conv1d": "conv2d",
    "nn.conv2d": "conv2d",
    "nn.conv1d_transpose": "conv2d",
    "nn.conv2d_transpose": "conv2d",
    "multiply": "conv2d",
    "matmul": "dense",
    "nn.max_pool1d": "max_pool2d",
    "nn.max_pool2d": "max_pool2d",
    "nn.avg_pool1d": "avg_pool2d",
    "nn.avg_pool2d": "avg_pool2d",
    "mean": "avg_pool2d",
    **dict.fromkeys((*MOVES, "concat"), "gather"),
    "add": "add",
}
Resolve = Callable[[Any], Any]


@dataclass(frozen=True, eq=False)
class UnitMatch:
    """A unit's specification and the expressions of its activation inputs, in order."""

    spec: UnitSpec
    inputs: tuple[Any, ...]


def read_unit(values: Mapping[Any, Any], root: Any) -> UnitMatch:
    """Read the unit whose output is the quantize call ``root``.

    Parameters
    ----------
    values : bound value of every variable inside the composite
    """

    def resolve(expr: Any) -> Any:
        return values.get(expr, expr)

    notes: list[str] = []
    core, low, high = _under_clip(resolve, root.args[0])
    between, residual = _fused_addition(resolve, core)
    if between is not None:
        core = resolve(between.args[0])
    bias: NDArray[Any] | None = None
    if op_name(core) == "add" and constant(core.args[1]) is not None:
        bias, core = constant(core.args[1]), resolve(core.args[0])
    kind: UnitKind = KINDS.get(op_name(core), "requantize")
    calls: list[Any] = []
    if kind == "gather":
        calls, operands = chain(resolve, core)
    else:
        operands = core.args[: 2 if kind == "add" else 1]
    sources = [core] if kind == "requantize" else [resolve(operand) for operand in operands]
    sources += [residual] if between is not None else []
    inputs = tuple(
        _tensor(shape(s), dtype(s.args[0]), s.args[1], s.args[2], notes) for s in sources
    )
    output = _tensor(shape(root), dtype(root), root.args[1], root.args[2], notes)
    spec = UnitSpec(kind, inputs, output, low=low, high=high)
    if between is not None:
        own = _tensor(shape(between), dtype(between), between.args[1], between.args[2], notes)
        spec = replace(spec, between=own)
    if any(constant(s.args[0]) is not None for s in sources):
        notes.append("an operand is a constant tensor")
    elif kind == "gather":
        spec = read_moves(spec, calls, notes)
    elif all(2 <= len(t.shape) <= 4 for t in (*inputs, output)):
        spec = _with_attributes(spec, core, resolve, bias, notes)
        _check_shapes(spec, notes)
        for name, numbers in (("weights", spec.weight), ("biases", spec.bias)):
            if numbers is not None and not np.isfinite(numbers).all():
                notes.append(f"{name} hold NaN or infinity")
    else:
        shapes = [list(t.shape) for t in (*inputs, output)]
        notes.append(f"tensors of shapes {shapes}, not of two to four axes")
    return UnitMatch(replace(spec, unsupported="; ".join(notes)), tuple(s.args[0] for s in sources))


def _under_clip(resolve: Resolve, expr: Any) -> tuple[Any, float, float]:
    """The operator under a ReLU or clip, and its bounds."""
    core = resolve(expr)
    if op_name(core) == "nn.relu":
        return resolve(core.args[0]), 0.0, np.inf
    if op_name(core) == "clip":
        return resolve(core.args[0]), float(core.args[1].value), float(core.args[2].value)
    return core, -np.inf, np.inf


def _fused_addition(resolve: Resolve, core: Any) -> tuple[Any, Any]:
    """The quantize of the convolution under an addition that belongs to its unit, and the other
    operand's dequantize; None twice where the addition is a unit of its own."""
    if op_name(core) == "add":
        operands = [resolve(arg) for arg in core.args]
        for own, other in (operands, operands[::-1]):
            inner = resolve(own.args[0]) if op_name(own) == "dequantize" else None
            if op_name(inner) == "quantize" and op_name(other) == "dequantize":
                return inner, other
    return None, None


def _tensor(
    dims: tuple[int, ...], kind: str, scale: Any, zero: Any, notes: list[str]
) -> QuantizedTensor:
    s, z = scalar(scale), scalar(zero)
    if s is None or z is None:
        notes.append("an activation has per-channel scales")
        s, z = 1.0, 0.0
    if not 0 < s < np.inf:
        notes.append(f"an activation has the scale {s}")
    if kind not in ("int8", "uint8"):
        notes.append(f"activations are {kind}, not int8 or uint8")
    return QuantizedTensor(dims, kind, s, int(z))


def _with_attributes(
    spec: UnitSpec, core: Any, resolve: Resolve, bias: NDArray[Any] | None, notes: list[str]
) -> UnitSpec:
    if op_name(core) == "multiply":
        return read_scale(spec, core.args[1], bias, notes)
    if spec.kind == "conv2d":
        return read_convolution(spec, core, resolve(core.args[1]), bias, notes)
    if spec.kind == "dense":
        return read_dense(spec, resolve(core.args[1]), bias, notes)
    if spec.kind in ("max_pool2d", "avg_pool2d"):
        return read_pool(spec, core, notes)
    return spec


def _check_shapes(spec: UnitSpec, notes: list[str]) -> None:
    shapes = [t.shape for t in (*spec.inputs, spec.output)]
    if spec.between is not None:
        shapes = [spec.inputs[1].shape, spec.output.shape]
    elif spec.kind not in ("add", "requantize"):
        return
    if len(set(shapes)) != 1:
        notes.append(f"operands of different shapes {[list(s) for s in shapes]}")
