"""Differential checks: what must agree on any program, bit for bit and word for word."""

from __future__ import annotations

import numpy as np

from codesign.hw.config import VtaConfig
from codesign.isa import check
from codesign.isa.specification import find
from codesign.sim import Simulator
from codesign.sim.native import instruction_sets, select_instruction_set
from codesign.testing.programs import Program


def assert_engines_agree(cfg: VtaConfig, program: Program) -> None:
    """The reference, C++ with every set of kernels that this processor has, and timing alone.

    Compares memory, counters and timelines; selects the best kernels again at the end.
    """
    stream, base = program.instructions, program.base_address
    expected = np.array(program.memory)
    reference = Simulator(cfg, "reference").run(stream, expected, base)
    try:
        for name in reversed(instruction_sets()):
            select_instruction_set(name)
            memory = np.array(program.memory)
            cpp = Simulator(cfg).run(stream, memory, base)
            np.testing.assert_array_equal(memory, expected, err_msg=name)
            assert cpp.counters == reference.counters
            assert cpp.cycles == reference.cycles
            np.testing.assert_array_equal(cpp.timeline, reference.timeline)
    finally:
        select_instruction_set(instruction_sets()[0])
    # The program's memory places the stream; only that is read of it.
    timing = Simulator(cfg).run(stream, program.memory, base, timing_only=True)
    assert timing.counters == reference.counters


def assert_checkers_agree(cfg: VtaConfig, program: Program, portable: bool) -> None:
    """The checker reports what its executable specification does, word for word."""
    arguments = (program.instructions, cfg, program.memory, program.base_address, portable)
    assert check(*arguments) == find(*arguments)
