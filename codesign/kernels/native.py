# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (tvm_ffi modules are untyped)
"""The part of the C++ core that emits units: values in, instructions and cycles out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.isa import INSTRUCTION, UOP
from codesign.isa.native import config_values, library
from codesign.kernels.layout import input_layouts
from codesign.kernels.schedule import Schedule
from codesign.kernels.workload import (
    ConvWorkload,
    ElementwiseWorkload,
    PoolWorkload,
    Workload,
)

_CONV, _MAX_POOL, _AVG_POOL, _ELEMENTWISE, _GATHER = range(5)
_DATAFLOWS = ("os", "ws", "is", "rs")

WEIGHTS, BIASES, IDENTITIES = range(3)
PIECE = np.dtype(
    [
        (name, np.int64)
        for name in (
            "kind",
            "out_block",
            "out_blocks",
            "in_block",
            "in_blocks",
            "ky",
            "ky_step",
            "ky_count",
            "kx",
            "kx_step",
            "kx_count",
        )
    ]
)
"""Weight tiles that follow one another in DRAM; ``kind`` 0 weights: output blocks, then input
blocks, then the kernel rows ky, ky + ky_step, ..., then columns; 1 biases of phase ``in_block``:
output blocks, then the tiles of one bias; 2: ``out_blocks`` copies of a scaled identity."""


@dataclass(frozen=True)
class Epilogue:
    """Numbers of the ALU epilogue; any values give the same instruction count.

    ``steps`` is the number of SHR instructions that share ``shift``.
    """

    shift: int = 8
    low: int = -128
    high: int = 127
    steps: int = 1
    pre_shift: int = 0

    @property
    def values(self) -> tuple[int, ...]:
        return (self.shift, self.low, self.high, self.steps, self.pre_shift)


@dataclass(frozen=True, eq=False)
class ConstantLayout:
    """Micro-ops, weight tiles (`PIECE`) and the bytes at which parts of the constants begin.

    The parts are the constant input element, weight tiles, scaling; micro-ops are first.
    """

    uops: NDArray[np.void]
    pieces: NDArray[np.void]
    unit_byte: int
    weights_byte: int
    scaling_byte: int
    nbytes: int

    @staticmethod
    def of(found: Any) -> ConstantLayout:
        return ConstantLayout(
            np.frombuffer(bytes(found["uops"]), np.int32).astype(np.int64).view(UOP),
            np.frombuffer(bytes(found["pieces"]), PIECE),
            *(int(place) for place in found["places"]),
        )


@dataclass(frozen=True, eq=False)
class Emitted:
    """Instructions, the buffer that each one's address counts from, and constants of the units.

    ``first`` is the index of each unit's first instruction.
    """

    table: NDArray[np.void]
    buffers: NDArray[np.int32]
    constants: tuple[ConstantLayout, ...]
    first: tuple[int, ...]


@lru_cache(maxsize=1 << 16)
def workload_values(workload: Workload) -> tuple[int, ...]:
    """The workload as the flat list of ints that ``parse_workload`` reads."""
    w = workload
    if isinstance(w, ConvWorkload):
        residual = -1 if w.residual_border is None else w.residual_border
        sizes = (w.in_channels, w.out_channels, w.height, w.width, *w.kernel, *w.stride, *w.padding)
        rest = (w.in_border, w.out_border, w.bias_tiles, w.groups, *w.dilation, *w.up)
        return (_CONV, *sizes, *rest, residual, int(w.multiply), int(w.phase_bias))
    if isinstance(w, PoolWorkload):
        kind = _MAX_POOL if w.kind == "max" else _AVG_POOL
        sizes = (w.channels, w.height, w.width, *w.kernel, *w.stride, *w.padding)
        return (kind, *sizes, w.in_border, w.out_border, w.digits)
    if isinstance(w, ElementwiseWorkload):
        borders = w.in_borders[: w.operands]
        sizes = (w.operands, w.channels, w.height, w.width)
        return (_ELEMENTWISE, *sizes, w.out_border, w.digits, *borders)
    inputs = [n for t in input_layouts(w) for n in (t.channels, t.border)]
    picks = [n for pick in w.picks for n in pick]
    sizes = (w.height, w.width, *w.repeat, *w.padding, w.out_border, w.digits)
    return (_GATHER, *sizes, len(w.channels), len(w.picks), *inputs, *picks)


def schedule_values(schedule: Schedule) -> tuple[int, ...]:
    """The schedule as the ints that ``Schedule::of`` reads."""
    s = schedule
    flow = _DATAFLOWS.index(s.dataflow)
    tile = (s.rows, s.cols, s.out_groups, s.in_groups, int(s.co_major))
    slots = (s.inp_slots, s.wgt_slots, s.acc_slots)
    return (flow, *tile, *slots, s.strip, s.kernel_rows, int(s.alternate))


def _refusal(result: Any) -> Infeasible:
    return Infeasible(str(result["constraint"]), str(result["message"]))


def emit_unit(
    workload: Workload, cfg: VtaConfig, schedule: Schedule, numbers: Epilogue
) -> Emitted | Infeasible:
    """Instructions of one unit, or the limit that the schedule breaks."""
    found = library().emit_unit(
        config_values(cfg), workload_values(workload), schedule_values(schedule), numbers.values
    )
    if "constraint" in found:
        return _refusal(found)
    return _emitted(found, [found], (0,))


def emit_region(
    units: Sequence[tuple[Workload, Schedule, Epilogue, Sequence[int]]], cfg: VtaConfig
) -> Emitted | Infeasible:
    """One program for several units, each with the DRAM addresses of its output and its inputs."""
    found = library().emit_region(
        config_values(cfg),
        [
            (workload_values(workload), schedule_values(schedule), numbers.values, tuple(places))
            for workload, schedule, numbers, places in units
        ],
    )
    if "constraint" in found:
        return _refusal(found)
    return _emitted(found, found["units"], tuple(int(unit["first"]) for unit in found["units"]))


def _emitted(found: Any, units: Any, first: tuple[int, ...]) -> Emitted:
    return Emitted(
        np.frombuffer(bytes(found["table"]), INSTRUCTION),
        np.frombuffer(bytes(found["buffers"]), np.int32),
        tuple(ConstantLayout.of(unit) for unit in units),
        first,
    )


def measure_unit(
    workload: Workload, cfg: VtaConfig, schedule: Schedule, numbers: Epilogue
) -> dict[str, int] | Infeasible:
    """Simulated counters of one unit (timing only), or the limit that the schedule breaks."""
    found = library().measure_unit(
        config_values(cfg), workload_values(workload), schedule_values(schedule), numbers.values
    )
    if "constraint" in found:
        return _refusal(found)
    return {str(name): int(value) for name, value in found.items()}


def measure_units(
    workload: Workload,
    cfg: VtaConfig,
    schedules: Sequence[Schedule],
    numbers: Epilogue,
    *,
    simulate: bool,
) -> list[int | Infeasible]:
    """Cycles of each schedule (without ``simulate``: instructions), or the limit that it breaks."""
    counts = np.empty(len(schedules), np.int64)
    if not schedules:
        return []
    rows = np.array([schedule_values(s) for s in schedules], np.int64)
    refused = iter(
        library().measure_units(
            config_values(cfg), workload_values(workload), rows, numbers.values, simulate, counts
        )
    )
    return [_refusal(next(refused)) if n < 0 else n for n in counts.tolist()]
