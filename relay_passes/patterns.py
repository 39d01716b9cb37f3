# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUntypedBaseClass=false, reportUntypedClassDecorator=false, reportUntypedFunctionDecorator=false
# tvm carries no usable annotations.
"""Dataflow patterns of the units: quantised operators with the activation that only they feed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tvm.relax.dpl import is_const, is_op, is_tuple, wildcard

from relay_passes.read_moves import LONGEST

CONVOLUTIONS = ("nn.conv1d", "nn.conv2d", "nn.conv1d_transpose", "nn.conv2d_transpose")
AVERAGES = ("nn.avg_pool1d", "nn.avg_pool2d", "mean")
CORE = "core"
"""Annotation of the operator that gives a unit its kind."""
RESIDUAL = "residual"
"""Annotation of the addition that a unit with a residual input ends with."""


def unit_patterns(arities: Iterable[int]) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """(composite name, pattern, annotations), larger patterns first.

    ``arities``: numbers of operands of the concatenations to find.
    """
    product = _one_of(*CONVOLUTIONS, "matmul")
    scale = is_op("relax.multiply")
    core = product(_activation(), _weight()) | scale(_activation(), is_const())
    own = _dequantized(_quantized(_biased(core)))
    total = is_op("relax.add")(own, _activation()) | is_op("relax.add")(_activation(), own)
    yield "vta.residual", _quantized(_clipped(total)), {CORE: core, RESIDUAL: total}
    core = product(_activation(), _weight())
    yield "vta.conv2d", _quantized(_clipped(_biased(core))), {CORE: core}
    core = scale(_activation(), is_const())
    yield "vta.scale", _quantized(_clipped(_biased(core))), {CORE: core}
    core = is_op("relax.add")(_activation(), _activation())
    yield "vta.add", _quantized(_clipped(core)), {CORE: core}
    core = _one_of(*AVERAGES, "nn.max_pool1d", "nn.max_pool2d")(_activation())
    yield "vta.pool2d", _quantized(_clipped(core)), {CORE: core}
    for arity in sorted(arities, reverse=True):
        parts = is_op("relax.concat")(is_tuple([_activation() for _ in range(arity)]))
        yield "vta.gather", _quantized(_clipped(parts)), {CORE: parts}
    for length in range(LONGEST, 0, -1):
        pair = is_op("relax.concat")(is_tuple([_activation(), _activation()]))
        for core in (pair, _activation()):
            for _ in range(length):
                core = _moved(core)
            yield "vta.gather", _quantized(_clipped(core)), {CORE: core}
    for core in (_relu(_activation()), _clip(_activation())):
        yield "vta.requantize", _quantized(core), {CORE: core}
    rescale = _quantized(_activation())
    yield "vta.requantize", rescale, {CORE: rescale}


def _one_of(*names: str) -> Any:
    """An operator of several names."""
    first, *others = (is_op(f"relax.{name}") for name in names)
    for other in others:
        first = first | other
    return first


def _moved(x: Any) -> Any:
    """A step of a chain of `relay_passes.read_moves`."""
    any_of = wildcard
    return (
        _one_of("squeeze", "expand_dims", "permute_dims", "nn.pad")(x)
        | _one_of("reshape", "image.resize2d")(x, any_of())
        | is_op("relax.strided_slice")(x, any_of(), any_of(), any_of(), any_of())
        | is_op("relax.strided_slice")(x, any_of(), any_of(), any_of())
    )


def _quantized(x: Any) -> Any:
    return is_op("relax.quantize")(x, is_const(), is_const())


def _dequantized(x: Any) -> Any:
    return is_op("relax.dequantize")(x, is_const(), is_const())


def _activation() -> Any:
    return _dequantized(wildcard())


def _weight() -> Any:
    return _dequantized(is_const()) | is_const()


def _biased(x: Any) -> Any:
    return is_op("relax.add")(x, is_const()) | x


def _clipped(x: Any) -> Any:
    return _relu(x) | _clip(x) | x


def _relu(x: Any) -> Any:
    return is_op("relax.nn.relu")(x)


def _clip(x: Any) -> Any:
    return is_op("relax.clip")(x, wildcard(), wildcard())
