# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (tvm_ffi modules are untyped)
"""The simulator's part of the C++ core."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from codesign.errors import ConfigError, ProgramError
from codesign.hw.config import VtaConfig
from codesign.isa.encoding import Bytes
from codesign.isa.native import config_fields, config_values, library
from codesign.sim.result import TIMELINE, SimResult

__all__ = [
    "config_fields",
    "config_values",
    "instruction_sets",
    "library",
    "peak_macs",
    "run",
    "select_instruction_set",
]


@lru_cache(maxsize=1)
def instruction_sets() -> tuple[str, ...]:
    """Sets of GEMM and ALU kernels that this processor can run, best first."""
    return tuple(str(name) for name in library().instruction_sets())


def select_instruction_set(name: str) -> None:
    """Use other kernels than the best ones, in this process: for tests and benchmarks."""
    if not library().select_instruction_set(name):
        raise ValueError(f"{name!r}; this processor can run: {', '.join(instruction_sets())}")


def peak_macs(rounds: int) -> int:
    """Run a loop of nothing but the set's densest multiply-accumulate; how many it did."""
    return int(library().peak_macs(rounds))


def run(
    cfg: VtaConfig,
    instructions: Bytes,
    memory: Bytes | None,
    base_address: int,
    instruction_address: int,
    timeline: bool,
) -> SimResult:
    """Run on the C++ core; ``memory=None`` asks for the timing alone. Arguments are checked."""
    count = len(instructions) // cfg.instruction_bytes if timeline else 0
    spans = np.zeros((count, len(TIMELINE.names or ())), np.int64)
    try:
        counters = library().simulate(
            config_values(cfg),
            instructions,
            np.zeros(0, np.uint8) if memory is None else memory,
            base_address,
            instruction_address,
            memory is None,
            spans,
        )
    except ValueError as error:
        text = str(error)
        kind = ProgramError if text.startswith(("instruction ", "the program ")) else ConfigError
        raise kind(text) from None
    totals = {str(name): int(value) for name, value in counters.items()}
    return SimResult(totals["cycles"], totals, spans.view(TIMELINE)[:, 0])
