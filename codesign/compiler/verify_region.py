# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# tvm carries no usable annotations.
"""A region's program against the integer reference, on random inputs: every unit, every element."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.compiler.compose import ComposedRegion, compose_region
from codesign.compiler.graph import UnitGraph, evaluate, evaluate_tensors, layout_owner, storage
from codesign.compiler.program import RegionProgram, serialize
from codesign.compiler.runtime import register
from codesign.kernels import TensorLayout, unpack

Array = NDArray[Any]


@dataclass(frozen=True)
class Mismatch:
    """The first wrong element: of the first wrong layer ("instruction"), or of a region's output.

    ``index`` is (image, channel, row, column), at level "region" an index of the outside array.
    """

    level: str
    region: str
    layer: str
    index: tuple[int, ...]
    got: int
    wanted: int
    count: int

    def __str__(self) -> str:
        return (
            f"{self.region}, layer {self.layer}: element {self.index} is {self.got}, wanted "
            f"{self.wanted}; {self.count} element(s) differ ({self.level} level)"
        )


def verify_region(region: ComposedRegion, seed: int = 0) -> Mismatch | None:
    """Simulate a region on random inputs; None if all is as the integer reference has it.

    Instruction level: the units' instructions, every tensor in memory of its own so that all can be
    looked at afterwards. Region level: the program as it is, called twice, so that what one call
    leaves in shared memory meets the next.
    """
    graph, rng = region.program.graph, np.random.default_rng(seed)
    separate = compose_region(
        graph, region.program.cfg, region.schedules, region.compose, share=False
    ).program
    module, inputs = create_module(separate), random_inputs(graph, rng)
    call_region(module, graph, inputs)
    memory = np.frombuffer(bytes(module["last_memory"]()), np.uint8)
    found = _wrong_unit(separate, inputs, memory)
    if found is not None:
        return found
    module = create_module(region.program)
    for _ in range(2):
        inputs = random_inputs(graph, rng)
        found = verify_outputs(graph, inputs, call_region(module, graph, inputs))
        if found is not None:
            return found
    return None


def verify_outputs(
    graph: UnitGraph, inputs: tuple[Array, ...], outputs: Iterable[Array]
) -> Mismatch | None:
    """Compare a region's outputs with the integer reference; ``count`` is that of all outputs."""
    pairs = list(zip(graph.outputs, outputs, evaluate(graph, inputs), strict=True))
    count = sum(int(np.count_nonzero(got != wanted)) for _, got, wanted in pairs)
    for name, got, wanted in pairs:
        if (got != wanted).any():
            found = _mismatch("region", graph.name, _writer(graph, name), got, wanted)
            return replace(found, count=count)
    return None


def create_module(program: RegionProgram) -> Any:
    """The runtime module of a program."""
    register()
    import tvm

    return tvm.get_global_func("vta.module_create")(serialize(program))


def call_region(module: Any, graph: UnitGraph, inputs: Iterable[Array]) -> tuple[Array, ...]:
    """Outputs of one call of a region's runtime module, as they are outside."""
    import tvm

    outputs = [
        tvm.runtime.tensor(np.zeros((graph.batch, *s.outside_shape), _dtype(s.unsigned)))
        for s in (graph.tensors[name] for name in graph.outputs)
    ]
    module[graph.name](*(tvm.runtime.tensor(array) for array in inputs), *outputs)
    return tuple(output.numpy() for output in outputs)


def random_inputs(graph: UnitGraph, rng: np.random.Generator) -> tuple[Array, ...]:
    """Arrays of all 8-bit values, as they are outside the region."""
    specs = [graph.tensors[name] for name in graph.inputs]
    return tuple(
        rng.integers(0, 256, (graph.batch, *s.outside_shape), np.uint8).view(_dtype(s.unsigned))
        for s in specs
    )


def _dtype(unsigned: bool) -> Any:
    return np.uint8 if unsigned else np.int8


def _wrong_unit(
    program: RegionProgram, inputs: tuple[Array, ...], memory: NDArray[np.uint8]
) -> Mismatch | None:
    """The first unit whose output, as the last pass left it in memory, is wrong."""
    graph, cfg = program.graph, program.cfg
    values = evaluate_tensors(graph, inputs)
    first = (graph.batch - 1) // cfg.batch * cfg.batch
    for unit in graph.units:
        shape = layout_owner(graph, unit.output).shape
        layout = TensorLayout(*shape, storage(graph, unit.output).border)
        wanted = values[unit.output][first:].reshape(-1, *shape)
        got = unpack(memory[program.addresses[unit.output] :], layout, cfg)[: len(wanted)]
        if (got != wanted).any():
            return _mismatch("instruction", graph.name, unit.name, got, wanted, first)
    return None


def _writer(graph: UnitGraph, name: str) -> str:
    """The unit that writes a tensor, or a part of it, last; the tensor if it is an input."""
    owner = storage(graph, name).name
    units = [unit.name for unit in graph.units if storage(graph, unit.output).name == owner]
    return units[-1] if units else name


def _mismatch(
    level: str, region: str, layer: str, got: Array, wanted: Array, image: int = 0
) -> Mismatch:
    wrong = np.argwhere(got != wanted)
    at = tuple(int(i) for i in wrong[0])
    index = (at[0] + image, *at[1:])
    return Mismatch(level, region, layer, index, int(got[at]), int(wanted[at]), len(wrong))
