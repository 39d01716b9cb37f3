"""The checker's fast path against its Python twin: clean exactly where nothing is found."""

from __future__ import annotations

import numpy as np
import pytest

from codesign.isa.check import check, find
from codesign.isa.native import is_clean
from codesign.testing.programs import Program, random_config, random_program


def mutated(rng: np.random.Generator, program: Program, size: int) -> Program:
    """One to three changes: bits of instructions or micro-ops, or an instruction twice."""
    stream, memory = program.instructions.copy(), program.memory.copy()
    for _ in range(int(rng.integers(1, 4))):
        flat = stream.reshape(-1)
        kind = rng.integers(4)
        if kind == 0:
            memory[int(rng.integers(256))] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            row = int(rng.integers(len(stream)))
            stream = np.insert(stream, row, stream[row], axis=0)
        else:
            flat[int(rng.integers(flat.size))] ^= 1 << int(rng.integers(8))
    return Program(stream.reshape(-1, size), memory, program.base_address)


@pytest.mark.parametrize("seed", range(40))
def test_clean_means_no_finding(seed: int) -> None:
    rng = np.random.default_rng([seed, 3])
    cfg = random_config(rng)
    for _ in range(4):
        program = random_program(rng, cfg, int(rng.integers(2, 30)))
        if rng.random() < 0.7:
            program = mutated(rng, program, cfg.instruction_bytes)
        base = program.base_address
        for memory in (program.memory, None):
            found = find(program.instructions, cfg, memory, base)
            clean = is_clean(program.instructions, cfg, memory, base)
            assert not (clean and found), found[:3]
            # Stores and loads may share an element's worth of DRAM: then only Python can tell.
            assert clean or found or memory is not None


def drained(seed: int) -> bool:
    """Whether a program with every instruction ordered after the one before is clean."""
    rng = np.random.default_rng([seed, 4])
    cfg = random_config(rng)
    program = random_program(rng, cfg, 3)
    found = find(program.instructions, cfg, program.memory, program.base_address)
    clean = is_clean(program.instructions, cfg, program.memory, program.base_address)
    assert clean == (not found)
    return clean


def test_programs_of_a_few_instructions_are_found_clean() -> None:
    assert sum(drained(seed) for seed in range(60)) >= 5


def test_the_face_uses_both() -> None:
    rng = np.random.default_rng(1)
    cfg = random_config(rng)
    program = random_program(rng, cfg, 20)
    arguments = (program.instructions, cfg, program.memory, program.base_address)
    assert check(*arguments) == find(*arguments)
