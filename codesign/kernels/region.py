# numpy's repeat and copy are partially unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""`build_region`: units that run one after another → one instruction stream without drains.

A unit's weights and micro-ops come while the unit before it still computes and stores; only loads
of what an earlier unit stores wait for that store. Dependencies follow from the addresses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.isa import encode
from codesign.isa.tables import element_sizes
from codesign.kernels.layout import ALIGNMENT
from codesign.kernels.native import emit_region
from codesign.kernels.schedule import Schedule
from codesign.kernels.unit import CONSTANTS, epilogue, pack_constants, unsupported
from codesign.kernels.workload import Params, Workload


@dataclass(frozen=True, eq=False)
class RegionUnit:
    """A unit of a region, and the byte addresses of its tensors in DRAM."""

    workload: Workload
    params: Params
    schedule: Schedule
    inputs: tuple[int, ...]
    output: int


@dataclass(frozen=True, eq=False)
class RegionStream:
    """One stream for all units, and each unit's constants (uint8), which are placed by the caller.

    ``owners`` is the unit of every instruction (FINISH belongs to the last), ``last`` the index of
    each unit's last instruction, a STORE: its end in a timeline is the end of the unit.
    """

    cfg: VtaConfig
    table: NDArray[np.void]
    buffers: NDArray[np.int32]
    owners: NDArray[np.int64]
    constants: tuple[NDArray[np.uint8], ...]
    last: tuple[int, ...]

    def instructions(self, constants: Sequence[int]) -> NDArray[np.uint8]:
        """Encoded stream uint8 ``[n, instruction_bytes]`` for constants at these byte addresses."""
        places = np.array(constants, np.int64)
        if (places % ALIGNMENT).any():
            raise ValueError(f"constants at {places}: allowed are multiples of {ALIGNMENT}")
        placed = self.table.copy()
        base = np.where(self.buffers == CONSTANTS, places[self.owners], 0)
        placed["dram_base"] += base // element_sizes(self.cfg)[placed["memory_type"]]
        return encode(placed, self.cfg)


def build_region(units: Sequence[RegionUnit], cfg: VtaConfig) -> RegionStream:
    """One stream that runs ``units`` in order.

    Raises
    ------
    ValueError
        A schedule does not fit the configuration, or a number its field.
    """
    problem: Infeasible | None = None
    for unit in units:
        problem = problem or unsupported(unit.workload, cfg)
    emitted = problem or emit_region(
        [
            (u.workload, u.schedule, epilogue(u.workload, u.params), (u.output, *u.inputs))
            for u in units
        ],
        cfg,
    )
    if isinstance(emitted, Infeasible):
        raise ValueError(f"region of {len(units)} units: {emitted}")
    ends = [*emitted.first[1:], len(emitted.table) - 1]
    lengths = np.diff([*emitted.first, len(emitted.table)])
    constants = tuple(
        pack_constants(unit.workload, unit.params, cfg, unit.schedule, layout)
        for unit, layout in zip(units, emitted.constants, strict=True)
    )
    return RegionStream(
        cfg,
        emitted.table,
        emitted.buffers,
        np.repeat(np.arange(len(units)), lengths),
        constants,
        tuple(end - 1 for end in ends),
    )
