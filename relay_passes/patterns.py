# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUntypedBaseClass=false, reportUntypedClassDecorator=false, reportUntypedFunctionDecorator=false
# tvm carries no usable annotations.
"""Dataflow patterns of the units: quantised operators with the activation that only they feed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tvm.relax.dpl import is_const, is_op, wildcard

CONVOLUTIONS = ("nn.conv1d", "nn.conv2d", "nn.conv1d_transpose", "nn.conv2d_transpose")
AVERAGES = ("nn.avg_pool1d", "nn.avg_pool2d", "mean")
CORE = "core"
"""Annotation of the operator that gives a unit its kind."""
RESIDUAL = "residual"
"""Annotation of the addition that a unit with a residual input ends with."""


def unit_patterns() -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """(composite name, pattern, annotations), larger patterns first."""
    for activation in (_relu, _clip, _none):
        yield from _residuals(activation)
    for activation in (_relu, _clip, _none):
        for bias in (True, False):
            for name in CONVOLUTIONS:
                convolution = is_op(f"relax.{name}")(_activation(), _weight())
                yield _unit("vta.conv2d", convolution, activation, bias)
            product = is_op("relax.matmul")(_activation(), _weight())
            yield _unit("vta.dense", product, activation, bias)
        yield _unit("vta.add", is_op("relax.add")(_activation(), _activation()), activation)
        for name in AVERAGES:
            yield _unit("vta.avg_pool2d", is_op(f"relax.{name}")(_activation()), activation)
    for name in ("nn.max_pool1d", "nn.max_pool2d"):
        yield _unit("vta.max_pool2d", is_op(f"relax.{name}")(_activation()), _none)
    yield _unit("vta.view", is_op("relax.reshape")(_activation(), wildcard()), _none)
    for name in ("squeeze", "expand_dims", "permute_dims"):
        yield _unit("vta.view", is_op(f"relax.{name}")(_activation()), _none)
    yield _unit("vta.requantize", _relu(_activation()), _none)
    yield _unit("vta.requantize", _clip(_activation()), _none)
    rescale = is_op("relax.quantize")(_activation(), is_const(), is_const())
    yield "vta.requantize", rescale, {CORE: rescale}


def _residuals(activation: Any) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Convolutions and products whose quantised result is only read by an addition."""
    for bias in (True, False):
        for name in (*CONVOLUTIONS, "matmul"):
            for first in (True, False):
                core = is_op(f"relax.{name}")(_activation(), _weight())
                out = is_op("relax.add")(core, is_const()) if bias else core
                kept = is_op("relax.quantize")(out, is_const(), is_const())
                own = is_op("relax.dequantize")(kept, is_const(), is_const())
                operands = (own, _activation()) if first else (_activation(), own)
                total = is_op("relax.add")(*operands)
                root = is_op("relax.quantize")(activation(total), is_const(), is_const())
                yield "vta.residual", root, {CORE: core, RESIDUAL: total}


def _unit(
    name: str, core: Any, activation: Any, bias: bool = False
) -> tuple[str, Any, dict[str, Any]]:
    out = is_op("relax.add")(core, is_const()) if bias else core
    return name, is_op("relax.quantize")(activation(out), is_const(), is_const()), {CORE: core}


def _activation() -> Any:
    return is_op("relax.dequantize")(wildcard(), is_const(), is_const())


def _weight() -> Any:
    return is_op("relax.dequantize")(is_const(), is_const(), is_const()) | is_const()


def _relu(x: Any) -> Any:
    return is_op("relax.nn.relu")(x)


def _clip(x: Any) -> Any:
    return is_op("relax.clip")(x, wildcard(), wildcard())


def _none(x: Any) -> Any:
    return x
