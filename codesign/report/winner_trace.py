# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# numpy annotates some of its functions in part only.
"""What the winner's Package tells: its graph of layers, and what the modules do when it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.kernels import lower_bound

LANES = ("load", "compute: LOAD", "compute: GEMM", "compute: ALU", "store")
"""What the modules work at, top to bottom: load inputs and weights, fill micro-ops and
accumulators, multiply, add and clip, store."""
_BINS = 360
_RESOLUTION = 500
"""Bars of a lane closer than the span divided by this are drawn as one."""

Bars = list[tuple[int, int]]


@dataclass(frozen=True)
class Layer:
    """A unit of the network; ``before`` are the places of those it reads, ``host`` says that the
    host works between them and it. ``bound`` is the module that limits it, cycles are T2."""

    name: str
    op: str
    workload: Any
    cycles: int
    bound: str
    before: tuple[int, ...]
    host: bool


@dataclass(frozen=True, eq=False)
class WinnerTrace:
    """``busy`` float [5, bins]: share of each span of the run in which a lane works; ``spans``
    names the layer of each; ``longest`` is the costliest layer with its bars by lane."""

    layers: tuple[Layer, ...]
    cycles: int
    frequency_mhz: float
    busy: NDArray[np.float64]
    spans: tuple[str, ...]
    longest: int
    bars: tuple[Bars, ...]


def trace_winner(package_file: Path) -> WinnerTrace | None:
    """Load the Package and run its streams for their timing; None where nothing runs on the
    accelerator.

    Raises
    ------
    PackageError
        the file is missing, damaged or of another version.
    """
    from codesign.compiler import Package
    from codesign.isa import decode
    from codesign.sim import Simulator

    package = Package.load(package_file)
    layers = _layers(package)
    if not layers:
        return None
    places = {layer.name: place for place, layer in enumerate(layers)}
    runs: list[tuple[str, int, list[Bars]]] = []
    for name, _, stream in package.streams:
        result = Simulator(package.config).run(stream.instructions, None, timing_only=True)
        table = decode(stream.instructions, package.config)
        runs.append((name, result.cycles, _lanes(result.timeline, table["opcode"])))
    longest = max(range(len(runs)), key=lambda place: runs[place][1])
    busy, spans = _overview(runs)
    name, cycles, bars = runs[longest]
    return WinnerTrace(
        tuple(layers),
        sum(run[1] for run in runs),
        package.config.frequency_mhz,
        busy,
        spans,
        places[name],
        tuple(_merged(lane, cycles // _RESOLUTION) for lane in bars),
    )


def _layers(package: Any) -> list[Layer]:
    """Units in execution order; a region's inputs come from the regions before it."""
    from codesign.compiler.graph import storage

    found: list[Layer] = []
    figures = {unit.name: unit for unit in package.units}
    last: tuple[int, ...] = ()
    for graph in package.graphs:
        makers: dict[str, list[int]] = {}
        owners: dict[str, list[int]] = {}
        for unit in graph.units:
            direct = [makers.get(name) or owners.get(storage(graph, name).name, []) for name in
                      unit.inputs]  # fmt: skip
            outside = [name for name, before in zip(unit.inputs, direct, strict=True) if not before]
            before = dict.fromkeys(place for each in direct for place in each)
            host = bool(outside and last)
            if host:
                before |= dict.fromkeys(last)
            bound = lower_bound(unit.workload, package.config)
            modules = {name: getattr(bound, name) for name in ("compute", "load", "store", "fetch")}
            makers.setdefault(unit.output, []).append(len(found))
            owners.setdefault(storage(graph, unit.output).name, []).append(len(found))
            found.append(
                Layer(
                    unit.name,
                    unit.workload.op,
                    unit.workload,
                    figures[unit.name].cycles,
                    max(modules, key=lambda name: modules[name]),
                    tuple(before),
                    host,
                )
            )
        ends = [makers.get(name) or owners.get(storage(graph, name).name, []) for name in
                graph.outputs]  # fmt: skip
        last = tuple(dict.fromkeys(place for each in ends for place in each))
    return found


def _lanes(timeline: NDArray[np.void], opcodes: NDArray[Any]) -> list[Bars]:
    """Starts and ends of the instructions of each lane."""
    from codesign.isa import Opcode
    from codesign.isa.tables import Module

    module = timeline["module"]
    chosen = (
        module == Module.LOAD,
        (module == Module.COMPUTE) & (opcodes == Opcode.LOAD),
        opcodes == Opcode.GEMM,
        opcodes == Opcode.ALU,
        opcodes == Opcode.STORE,
    )
    return [
        sorted(zip(timeline["start"][rows].tolist(), timeline["end"][rows].tolist(), strict=True))
        for rows in chosen
    ]


def _overview(
    runs: Sequence[tuple[str, int, list[Bars]]],
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    total = sum(cycles for _, cycles, _ in runs)
    edges = np.linspace(0, total, _BINS + 1)
    busy = np.zeros((len(LANES), _BINS))
    starts = np.cumsum([0, *(cycles for _, cycles, _ in runs)])
    for launch, (_, _, lanes) in zip(starts.tolist(), runs, strict=False):
        for lane, bars in enumerate(lanes):
            for start, end in _merged(bars, 0):
                busy[lane] += np.clip(
                    np.minimum(edges[1:], launch + end) - np.maximum(edges[:-1], launch + start),
                    0,
                    None,
                )
    middles = (edges[1:] + edges[:-1]) / 2
    owners = np.searchsorted(starts, middles, side="right") - 1
    names = tuple(runs[min(int(place), len(runs) - 1)][0] for place in owners)
    return np.minimum(1.0, busy / np.diff(edges)), names


def _merged(bars: Bars, gap: int) -> Bars:
    """Bars that overlap, or lie at most ``gap`` cycles apart, as one."""
    found: Bars = []
    for start, end in bars:
        if found and start <= found[-1][1] + gap:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return found


def levels(layers: Sequence[Layer]) -> list[int]:
    """How many layers lie at least between the input and each one."""
    depth: list[int] = []
    for layer in layers:
        depth.append(1 + max((depth[place] for place in layer.before), default=-1))
    return depth
