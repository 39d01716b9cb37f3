"""From a graph and its schedules to a `RegionProgram`: memory laid out, units emitted.

``compose="exact"``: one stream for each unit, launched one after the other, so that the machine is
drained between units and cycles add up exactly. ``compose="overlap"``: one stream for the region,
in which a unit's first loads run while the unit before it computes and stores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from codesign.compiler.graph import UnitGraph
from codesign.compiler.placement import PAGE_BYTES, place
from codesign.compiler.program import RegionProgram, UnitStream
from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.isa import Memory, Opcode, decode
from codesign.isa.tables import element_bytes
from codesign.kernels import RegionUnit, Schedule, best_schedule, build_region
from codesign.sim import SimResult, Simulator

Compose = Literal["exact", "overlap"]


@dataclass(frozen=True, eq=False)
class ComposedRegion:
    """A region's program with its units' schedules and figures of one pass, by unit name."""

    program: RegionProgram
    compose: Compose
    schedules: Mapping[str, Schedule]
    cycles: Mapping[str, int]
    dram_bytes: Mapping[str, int]


def schedules_of(graph: UnitGraph, cfg: VtaConfig) -> dict[str, Schedule]:
    """The best schedule of every unit."""
    found: dict[str, Schedule] = {}
    for unit in graph.units:
        result = best_schedule(unit.workload, cfg)
        if isinstance(result, Infeasible):
            raise AssertionError(f"{unit.name} was accepted and has no schedule: {result}")
        found[unit.name] = result.schedule
    return found


def compose_region(
    graph: UnitGraph,
    cfg: VtaConfig,
    schedules: Mapping[str, Schedule],
    compose: Compose,
    *,
    share: bool = True,
) -> ComposedRegion:
    """Place tensors and constants page by page and emit every unit; ``share``: see `place`."""
    activations = place(graph, cfg, share=share)
    constants = _Constants(activations.nbytes)
    units = [
        RegionUnit(
            unit.workload,
            unit.params,
            schedules[unit.name],
            tuple(activations.addresses[name] for name in unit.inputs),
            activations.addresses[unit.output],
        )
        for unit in graph.units
    ]
    names = [unit.name for unit in graph.units]
    made = (
        [_stream(units, names, cfg, constants)]
        if compose == "overlap"
        else [_stream([u], [name], cfg, constants) for u, name in zip(units, names, strict=True)]
    )
    cycles: dict[str, int] = {}
    moved: dict[str, int] = {}
    for stream, owners in made:
        cycles |= _unit_cycles(stream, cfg)
        moved |= _unit_dram_bytes(stream, owners, cfg)
    blobs = tuple(constants.blobs.items())
    streams = tuple(stream for stream, _ in made)
    program = RegionProgram(graph, cfg, activations.addresses, blobs, streams, constants.end)
    return ComposedRegion(program, compose, schedules, cycles, moved)


def _stream(
    units: Sequence[RegionUnit], names: Sequence[str], cfg: VtaConfig, constants: _Constants
) -> tuple[UnitStream, NDArray[np.int64]]:
    """One stream for the units, its constants placed, and the unit of every instruction."""
    region = build_region(units, cfg)
    instructions = region.instructions([constants.add(data) for data in region.constants])
    return UnitStream(instructions, tuple(names), region.last), region.owners


class _Constants:
    """Constant buffers behind the activations, equal ones once."""

    def __init__(self, start: int) -> None:
        self.end = start
        self.blobs: dict[int, NDArray[np.uint8]] = {}
        self._known: dict[bytes, int] = {}

    def add(self, data: NDArray[np.uint8]) -> int:
        key = data.tobytes()
        if key not in self._known:
            self._known[key] = self.end
            self.blobs[self.end] = data
            self.end += -(-data.nbytes // PAGE_BYTES) * PAGE_BYTES
        return self._known[key]


def _unit_dram_bytes(
    stream: UnitStream, owners: NDArray[np.int64], cfg: VtaConfig
) -> dict[str, int]:
    """Bytes that every unit moves in one pass: loads, stores and its own instructions."""
    table = decode(stream.instructions, cfg)
    sizes = np.array([element_bytes(kind, cfg) for kind in Memory], np.int64)
    moves = np.isin(table["opcode"], (Opcode.LOAD, Opcode.STORE))
    elements = np.where(moves, table["x_size"] * table["y_size"], 0)
    moved = elements * sizes[np.where(moves, table["memory_type"], 0)] + cfg.instruction_bytes
    owned = np.bincount(owners, moved, len(stream.units)).astype(np.int64)
    return dict(zip(stream.units, owned.tolist(), strict=True))


def _unit_cycles(stream: UnitStream, cfg: VtaConfig) -> dict[str, int]:
    """Cycles of every unit in one pass, from simulating the stream's timing."""
    result = Simulator(cfg).run(stream.instructions, None, timing_only=True)
    return attribute_cycles(stream.units, unit_ends(stream, result), result.cycles)


def unit_ends(stream: UnitStream, result: SimResult) -> list[int]:
    """Cycles from launch to the end of each unit's last STORE."""
    return [int(end) for end in result.timeline["end"][list(stream.last)]]


def attribute_cycles(units: Sequence[str], ends: Sequence[int], cycles: int) -> dict[str, int]:
    """A stream's cycles by unit: from the end of the unit before it to its own.

    The last unit has what is left, so that the sum is ``cycles``. A unit that is hidden behind the
    one before it has 0.
    """
    found: dict[str, int] = {}
    before = 0
    for name, end in zip(units, [*ends[:-1], cycles], strict=True):
        until = min(max(before, end), cycles)
        found[name] = until - before
        before = until
    return found
