"""The accelerator program of a region: one DRAM image, one instruction stream per unit.

Serialised for `codesign/sim/csrc/vta_module.cc`. All integers are little-endian int64, texts and
blobs are a length and bytes, lists a count and items, in this order: ``b"VTAPROG1"``; list of the
machine's parameters (`codesign.sim.native.config_fields`); region name; batch; memory bytes; list
of (address, blob) constants; list of tensors (address, C, H, W, border, zero point, unsigned,
rank); list of input and list of output indices into them; list of (unit name, instruction blob).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.compiler.graph import TensorSpec, UnitGraph, storage
from codesign.errors import Infeasible
from codesign.hw.config import Dataflow, VtaConfig
from codesign.kernels import (
    Placement,
    Schedule,
    ScheduleResult,
    TensorLayout,
    best_schedule,
    build,
)
from codesign.sim import native

PAGE_BYTES = 4096
_MAGIC = b"VTAPROG1"


@dataclass(frozen=True, eq=False)
class ScheduledUnit:
    """A unit's stream (uint8 ``[n, instruction_bytes]``) and constants, placed in the image."""

    name: str
    schedule: Schedule
    cycles: int
    instructions: NDArray[np.uint8]
    constants_address: int
    constants: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class RegionProgram:
    """All that the machine needs to run a region; ``addresses`` are bytes by tensor name."""

    graph: UnitGraph
    cfg: VtaConfig
    addresses: dict[str, int]
    units: tuple[ScheduledUnit, ...]
    memory_bytes: int


def schedule_graph(
    graph: UnitGraph, cfg: VtaConfig, dataflow: Dataflow | None = None
) -> RegionProgram:
    """Place tensors and constants page by page, schedule and emit every unit (compose "exact")."""
    position = PAGE_BYTES
    addresses: dict[str, int] = {}
    for spec in graph.tensors.values():
        if not spec.view_of:
            addresses[spec.name] = position
            position += _pages(_layout(spec).nbytes(cfg))
    units: list[ScheduledUnit] = []
    for unit in graph.units:
        result = best_schedule(unit.workload, cfg, dataflow)
        if isinstance(result, Infeasible):
            raise AssertionError(f"{unit.name} was accepted and has no schedule: {result}")
        program = build(unit.workload, unit.params, cfg, result.schedule)
        placement = Placement(
            tuple(addresses[name] for name in unit.inputs), addresses[unit.output], position
        )
        stream = program.instructions(placement)
        units.append(_scheduled(unit.name, result, stream, position, program.constants))
        position += _pages(program.constants.nbytes)
    return RegionProgram(graph, cfg, addresses, tuple(units), position)


def _scheduled(
    name: str,
    result: ScheduleResult,
    stream: NDArray[np.uint8],
    address: int,
    constants: NDArray[np.uint8],
) -> ScheduledUnit:
    return ScheduledUnit(name, result.schedule, result.cycles, stream, address, constants)


def serialize(program: RegionProgram) -> bytes:
    """The program as the runtime module reads it."""
    graph = program.graph
    order = list(graph.tensors)
    parts: list[bytes] = [_MAGIC, _integers(native.config_values(program.cfg), counted=True)]
    parts += [_blob(graph.name.encode()), _integers((graph.batch, program.memory_bytes))]
    parts.append(_integers((len(program.units),)))
    for unit in program.units:
        parts += [_integers((unit.constants_address,)), _blob(unit.constants.tobytes())]
    parts.append(_integers((len(order),)))
    for name in order:
        spec, owner = graph.tensors[name], storage(graph, name)
        parts.append(
            _integers(
                (
                    program.addresses[owner.name],
                    *owner.shape,
                    owner.border,
                    owner.zero_point,
                    int(spec.unsigned),
                    spec.rank,
                )
            )
        )
    for names in (graph.inputs, graph.outputs):
        parts.append(_integers([order.index(name) for name in names], counted=True))
    parts.append(_integers((len(program.units),)))
    for unit in program.units:
        parts += [_blob(unit.name.encode()), _blob(unit.instructions.tobytes())]
    return b"".join(parts)


def _layout(spec: TensorSpec) -> TensorLayout:
    return TensorLayout(*spec.shape, spec.border)


def _pages(nbytes: int) -> int:
    return -(-nbytes // PAGE_BYTES) * PAGE_BYTES


def _integers(values: Iterable[int], *, counted: bool = False) -> bytes:
    listed = list(values)
    if counted:
        listed = [len(listed), *listed]
    return struct.pack(f"<{len(listed)}q", *listed)


def _blob(data: bytes) -> bytes:
    return struct.pack("<q", len(data)) + data
