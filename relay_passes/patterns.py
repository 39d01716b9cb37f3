# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUntypedBaseClass=false, reportUntypedClassDecorator=false, reportUntypedFunctionDecorator=false
# tvm carries no usable annotations.
"""Dataflow patterns of the units: quantised operators with the activation that only they feed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tvm.relax.dpl import is_const, is_op, wildcard

CORE = "core"
"""Annotation of the operator that gives a unit its kind."""


def unit_patterns() -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """(composite name, pattern, annotations), larger patterns first."""
    for activation in (_relu, _clip, _none):
        for bias in (True, False):
            yield _unit(
                "vta.conv2d", is_op("relax.nn.conv2d")(_activation(), _weight()), activation, bias
            )
            yield _unit(
                "vta.dense", is_op("relax.matmul")(_activation(), _weight()), activation, bias
            )
        yield _unit("vta.add", is_op("relax.add")(_activation(), _activation()), activation)
        yield _unit("vta.avg_pool2d", is_op("relax.nn.avg_pool2d")(_activation()), activation)
        yield _unit("vta.avg_pool2d", is_op("relax.mean")(_activation()), activation)
    yield _unit("vta.max_pool2d", is_op("relax.nn.max_pool2d")(_activation()), _none)
    yield _unit("vta.reshape", is_op("relax.reshape")(_activation(), wildcard()), _none)
    yield _unit("vta.requantize", _relu(_activation()), _none)
    yield _unit("vta.requantize", _clip(_activation()), _none)
    rescale = is_op("relax.quantize")(_activation(), is_const(), is_const())
    yield "vta.requantize", rescale, {CORE: rescale}


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
