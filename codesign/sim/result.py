"""What a simulation returns, the same for both engines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TIMELINE = np.dtype([(name, np.int64) for name in ("module", "enqueued", "start", "end")])
"""One record an instruction: `codesign.isa.tables.Module` and cycles from launch. ``end`` is the
first cycle in which the module may start its next instruction."""


@dataclass(frozen=True)
class SimResult:
    """One run of one instruction stream.

    Attributes
    ----------
    cycles
        Clock cycles from launch to the execution of FINISH.
    counters
        Named totals: bytes moved (data only, padding not counted), micro-ops, bus beats
        (instruction fetch included), busy cycles of the modules; `codesign/sim/README.md` defines
        each.
    timeline
        Structured array ``[n]`` of dtype `TIMELINE`, by instruction index.
    """

    cycles: int
    counters: dict[str, int]
    timeline: NDArray[np.void]
