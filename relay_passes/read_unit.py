# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUntypedBaseClass=false, reportUntypedClassDecorator=false, reportUntypedFunctionDecorator=false
# tvm carries no usable annotations.
"""From a matched composite to its `UnitSpec`: attributes, scales, weights, what is unsupported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relay_passes.fold_parameters import dequantized
from relay_passes.ir import constant, dtype, op_name, scalar, shape
from relay_passes.spec import QuantizedTensor, UnitKind, UnitSpec

KINDS: Mapping[str, UnitKind] = {
    "nn.conv2d": "conv2d",
    "matmul": "dense",
    "nn.max_pool2d": "max_pool2d",
    "nn.avg_pool2d": "avg_pool2d",
    "mean": "avg_pool2d",
    "reshape": "reshape",
    "add": "add",
}


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
    output = _tensor(shape(root), dtype(root), root.args[1], root.args[2], notes)
    low, high = -np.inf, np.inf
    core = resolve(root.args[0])
    if op_name(core) == "nn.relu":
        low, core = 0.0, resolve(core.args[0])
    elif op_name(core) == "clip":
        low, high = float(core.args[1].value), float(core.args[2].value)
        core = resolve(core.args[0])
    bias: NDArray[Any] | None = None
    if op_name(core) == "add" and constant(core.args[1]) is not None:
        bias, core = constant(core.args[1]), resolve(core.args[0])
    kind: UnitKind = KINDS.get(op_name(core), "requantize")
    if kind in ("add",):
        sources = [resolve(core.args[0]), resolve(core.args[1])]
    else:
        sources = [core if kind == "requantize" else resolve(core.args[0])]
    inputs = tuple(
        _tensor(shape(s), dtype(s.args[0]), s.args[1], s.args[2], notes) for s in sources
    )
    spec = UnitSpec(kind, inputs, output, low=low, high=high)
    if any(constant(s.args[0]) is not None for s in sources):
        notes.append("an operand is a constant tensor")
    spec = _with_attributes(spec, core, resolve, bias, notes)
    _check_shapes(spec, notes)
    return UnitMatch(replace(spec, unsupported="; ".join(notes)), tuple(s.args[0] for s in sources))


def _tensor(
    dims: tuple[int, ...], kind: str, scale: Any, zero: Any, notes: list[str]
) -> QuantizedTensor:
    s, z = scalar(scale), scalar(zero)
    if s is None or z is None:
        notes.append("an activation has per-channel scales")
        s, z = 1.0, 0.0
    if kind not in ("int8", "uint8"):
        notes.append(f"activations are {kind}, not int8 or uint8")
    return QuantizedTensor(dims, kind, s, int(z))


def _with_attributes(
    spec: UnitSpec, core: Any, resolve: Any, bias: NDArray[Any] | None, notes: list[str]
) -> UnitSpec:
    if spec.kind == "conv2d":
        return _conv(spec, core, resolve(core.args[1]), bias, notes)
    if spec.kind == "dense":
        return _dense(spec, resolve(core.args[1]), bias, notes)
    if spec.kind in ("max_pool2d", "avg_pool2d"):
        return _pool(spec, core, notes)
    return spec


def _weight(expr: Any, notes: list[str]) -> NDArray[np.float64]:
    value = constant(expr)
    if value is None:
        data, scale, zero = (constant(a) for a in expr.args)
        assert data is not None
        assert scale is not None
        assert zero is not None
        if (zero != (128 if data.dtype == np.uint8 else 0)).any():
            notes.append("weights have a zero point; the accelerator's are symmetric")
        value = dequantized(data, scale, zero, int(expr.attrs.axis))
    return value.astype(np.float64)


def _weight_scale(expr: Any, channels: int, axis: int) -> NDArray[np.float64] | None:
    """Scale of every output channel of dequantised weights; None for float ones."""
    if constant(expr) is not None:
        return None
    scale = constant(expr.args[1])
    assert scale is not None
    if scale.size not in (1, channels) or (scale.size > 1 and int(expr.attrs.axis) != axis):
        return None
    return np.broadcast_to(scale.reshape(-1).astype(np.float64), channels)


def _conv(
    spec: UnitSpec, core: Any, weight_expr: Any, bias: NDArray[Any] | None, notes: list[str]
) -> UnitSpec:
    attrs = core.attrs
    weight = _weight(weight_expr, notes)
    if int(attrs.groups) != 1:
        notes.append(f"convolution with {int(attrs.groups)} groups")
    if any(int(d) != 1 for d in attrs.dilation):
        notes.append(f"convolution with dilation {[int(d) for d in attrs.dilation]}")
    if str(attrs.data_layout) != "NCHW" or str(attrs.kernel_layout) != "OIHW":
        notes.append(f"layout {attrs.data_layout}/{attrs.kernel_layout}")
    return replace(
        spec,
        weight=weight,
        bias=_bias(bias, len(weight), 1, notes),
        weight_scale=_weight_scale(weight_expr, len(weight), 0),
        kernel=(weight.shape[2], weight.shape[3]),
        stride=_pair(attrs.strides),
        padding=_four(attrs.padding),
    )


def _dense(
    spec: UnitSpec, weight_expr: Any, bias: NDArray[Any] | None, notes: list[str]
) -> UnitSpec:
    weight = _weight(weight_expr, notes)
    if weight.ndim != 2 or len(spec.inputs[0].shape) != 2:
        notes.append(f"matmul of {list(spec.inputs[0].shape)} with {list(weight.shape)}")
        return replace(spec, weight=np.zeros((1, 1, 1, 1)))
    rows = np.ascontiguousarray(weight.T)[:, :, None, None]
    return replace(
        spec,
        weight=rows,
        bias=_bias(bias, len(rows), 0, notes),
        weight_scale=_weight_scale(weight_expr, len(rows), 1),
    )


def _bias(
    bias: NDArray[Any] | None, channels: int, trailing: int, notes: list[str]
) -> NDArray[np.float64] | None:
    if bias is None:
        return None
    wanted = (
        {(channels,), (1, channels)} if trailing == 0 else {(1, channels, 1, 1), (channels, 1, 1)}
    )
    if bias.shape not in wanted:
        if bias.size == 1:
            return np.full(channels, float(bias.reshape(-1)[0]))
        notes.append(f"an added constant of shape {list(bias.shape)} is no bias")
        return None
    return bias.reshape(-1).astype(np.float64)


def _pool(spec: UnitSpec, core: Any, notes: list[str]) -> UnitSpec:
    attrs = core.attrs
    if op_name(core) == "mean":
        axes = sorted(int(a) % 4 for a in attrs.axis) if attrs.axis is not None else []
        if axes != [2, 3] or len(spec.inputs[0].shape) != 4:
            notes.append(f"mean over axes {axes}")
            return spec
        size = spec.inputs[0].shape
        return replace(spec, kernel=(size[2], size[3]))
    if any(int(d) != 1 for d in attrs.dilation):
        notes.append("pooling with dilation")
    kernel, stride, padding = _pair(attrs.pool_size), _pair(attrs.strides), _four(attrs.padding)
    if attrs.ceil_mode and len(spec.inputs[0].shape) == 4:
        padding = _ceil_padding(spec, kernel, stride, padding)
        if (
            padding != _four(attrs.padding)
            and spec.kind == "avg_pool2d"
            and attrs.count_include_pad
        ):
            notes.append("average pooling with ceil_mode and counted padding")
    return replace(
        spec,
        kernel=kernel,
        stride=stride,
        padding=padding,
        count_include_pad=bool(attrs.count_include_pad),
    )


def _ceil_padding(
    spec: UnitSpec,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
) -> tuple[int, int, int, int]:
    """Padding with the bottom and right extended so that rounding down gives the output's size."""
    (_, _, height, width), (_, _, rows, cols) = spec.inputs[0].shape, spec.output.shape
    bottom = (rows - 1) * stride[0] + kernel[0] - height - padding[0]
    right = (cols - 1) * stride[1] + kernel[1] - width - padding[1]
    return (padding[0], padding[1], max(padding[2], bottom), max(padding[3], right))


def _check_shapes(spec: UnitSpec, notes: list[str]) -> None:
    shapes = [t.shape for t in (*spec.inputs, spec.output)]
    if any(len(s) not in (2, 4) for s in shapes):
        notes.append(f"tensors of shapes {[list(s) for s in shapes]}, not [N, C, H, W] or [N, C]")
        return
    if len({s[0] for s in shapes}) != 1:
        notes.append("the batch axis changes")
    if spec.kind in ("add", "requantize") and len(set(shapes)) != 1:
        notes.append(f"operands of different shapes {[list(s) for s in shapes]}")
    if spec.kind == "reshape" and not _free_reshape(spec):
        notes.append(f"reshape {list(shapes[0])} to {list(shapes[1])} moves data")


def _free_reshape(spec: UnitSpec) -> bool:
    source, out = spec.inputs[0], spec.output
    images = [s.shape[1:] + (1, 1) * (len(s.shape) == 2) for s in (source, out)]
    same = (source.scale, source.zero_point, source.dtype) == (out.scale, out.zero_point, out.dtype)
    return same and images[0] == images[1]


def _pair(values: Any) -> tuple[int, int]:
    first, second = (int(v) for v in values)
    return first, second


def _four(values: Any) -> tuple[int, int, int, int]:
    top, left, bottom, right = (int(v) for v in values)
    return top, left, bottom, right
