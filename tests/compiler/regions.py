# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# numpy and tvm leave types partly unknown.
"""Small regions made by hand, and random ones, with their runtime module."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.compiler.compose import Compose, ComposedRegion, compose_region, schedules_of
from codesign.compiler.graph import TensorSpec, Unit, UnitGraph
from codesign.compiler.program import RegionProgram
from codesign.hw.config import VtaConfig
from codesign.kernels import (
    ConvParams,
    ConvWorkload,
    ElementwiseParams,
    ElementwiseWorkload,
    default_bias_tiles,
)

Array = NDArray[Any]


def tensor(name: str, shape: tuple[int, int, int], zero: int = 0, **about: Any) -> TensorSpec:
    return TensorSpec(name, shape, 1.0, zero, **about)


def conv(
    name: str, source: TensorSpec, target: TensorSpec, cfg: VtaConfig, rng: np.random.Generator
) -> Unit:
    """A 3x3 convolution of the same size; padding holds the zero point."""
    padded = source.zero_point != 0
    assert not padded or source.border
    workload = ConvWorkload(
        source.shape[0],
        target.shape[0],
        *source.shape[1:],
        kernel=(3, 3),
        padding=(1, 1, 1, 1),
        in_border=source.border,
        out_border=target.border,
        bias_tiles=default_bias_tiles(cfg),
    )
    weight = rng.integers(-20, 21, (target.shape[0], source.shape[0], 3, 3)).astype(np.int8)
    bias = rng.integers(-500, 500, target.shape[0]).astype(np.int32)
    params = ConvParams(weight, bias, 7, pad_value=source.zero_point)
    return Unit(name, workload, params, (source.name,), target.name)


def add(name: str, sources: tuple[TensorSpec, ...], target: TensorSpec) -> Unit:
    """A scaled sum of one or two tensors."""
    borders = tuple(s.border for s in sources) + (0,) * (2 - len(sources))
    workload = ElementwiseWorkload(len(sources), *target.shape, borders, target.border)
    params = ElementwiseParams((3, -2)[: len(sources)], 5, 1)
    return Unit(name, workload, params, tuple(s.name for s in sources), target.name)


def graph(
    specs: list[TensorSpec],
    units: list[Unit],
    inputs: list[str],
    outputs: list[str],
    batch: int = 1,
) -> UnitGraph:
    return UnitGraph(
        "region", batch, {s.name: s for s in specs}, tuple(inputs), tuple(outputs), tuple(units)
    )


def program_of(
    made: UnitGraph, cfg: VtaConfig, compose: Compose = "exact", *, share: bool = True
) -> RegionProgram:
    return composed(made, cfg, compose, share=share).program


def composed(
    made: UnitGraph, cfg: VtaConfig, compose: Compose = "exact", *, share: bool = True
) -> ComposedRegion:
    return compose_region(made, cfg, schedules_of(made, cfg), compose, share=share)


def random_graph(cfg: VtaConfig, rng: np.random.Generator, units: int = 8) -> UnitGraph:
    """Convolutions and sums over earlier tensors, borders and zero points mixed, some outputs."""
    specs = [_random_tensor("t0", (int(rng.integers(1, 40)), 6, 5), rng)]
    made: list[Unit] = []
    for index in range(units):
        name, unit = f"t{index + 1}", f"u{index}"
        source = specs[int(rng.integers(max(0, index - 3), index + 1))]
        same = [s for s in specs[-5:] if s.shape == source.shape]
        if rng.random() < 0.5 or (source.zero_point and not source.border):
            other = same[int(rng.integers(len(same)))] if same else source
            target = _random_tensor(name, source.shape, rng)
            made.append(add(unit, (source, other), target))
        else:
            channels = int(rng.integers(1, 40))
            target = _random_tensor(name, (channels, *source.shape[1:]), rng)
            made.append(conv(unit, source, target, cfg, rng))
        specs.append(target)
    used = {name for unit in made for name in unit.inputs}
    outputs = [s.name for s in specs[1:] if s.name not in used or rng.random() < 0.1]
    return graph(specs, made, ["t0"], outputs, int(rng.integers(1, 4)))


def _random_tensor(name: str, shape: tuple[int, int, int], rng: np.random.Generator) -> TensorSpec:
    bordered = rng.random() < 0.5
    zero = int(rng.choice([0, -128, 17])) if rng.random() < 0.7 else 0
    return tensor(name, shape, zero, border=int(bordered), unsigned=bool(rng.integers(2)))
