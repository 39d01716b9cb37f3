"""Differential check: two simulator engines must agree on everything they return."""

from __future__ import annotations

import numpy as np

from codesign.hw.config import VtaConfig
from codesign.sim import Simulator
from codesign.testing.programs import Program


def assert_engines_agree(cfg: VtaConfig, program: Program) -> None:
    """Run on both engines, and once for the timing alone; compare bytes, counters, timelines."""
    by_cpp, by_reference = np.array(program.memory), np.array(program.memory)
    cpp = Simulator(cfg, "cpp").run(program.instructions, by_cpp, program.base_address)
    reference = Simulator(cfg, "reference").run(
        program.instructions, by_reference, program.base_address
    )
    np.testing.assert_array_equal(by_cpp, by_reference)
    assert cpp.counters == reference.counters
    assert cpp.cycles == reference.cycles
    np.testing.assert_array_equal(cpp.timeline, reference.timeline)
    timing = Simulator(cfg, "cpp").run(
        program.instructions, program.memory, program.base_address, timing_only=True
    )
    assert timing.counters == cpp.counters
