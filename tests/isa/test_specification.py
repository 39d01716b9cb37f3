"""The checker in C++ reports what its executable specification does, word for word."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest

from codesign.hw.config import VtaConfig
from codesign.isa import INSTRUCTION, UOP, Memory, Opcode, check, encode, encode_uops
from codesign.isa.native import rule_keys
from codesign.isa.rules import RULES
from codesign.isa.specification import find
from codesign.testing.programs import BASE_ADDRESS, Program, random_config, random_program


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


def micro_ops(program: Program, cfg: VtaConfig) -> int:
    """Micro-ops that the specification would expand one by one."""
    from codesign.isa.encoding import as_words, decode_words

    t = decode_words(as_words(program.instructions, cfg.instruction_bytes, "instruction"), cfg)
    window = np.clip(t["uop_end"] - t["uop_bgn"], 0, None)
    return int((t["iter_out"] * t["iter_in"] * window).max(initial=0))


def test_every_rule_is_worded_and_sorted() -> None:
    assert list(rule_keys()) == sorted(rule_keys())
    assert set(rule_keys()) <= set(RULES)
    assert set(RULES) - set(rule_keys()) == {
        "encoding", "batch", "block", "depths", "stream_bytes",
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_both_report_the_same(seed: int) -> None:
    rng = np.random.default_rng([seed, 3])
    cfg = random_config(rng)
    for _ in range(4):
        program = random_program(rng, cfg, int(rng.integers(2, 30)))
        if rng.random() < 0.7:
            program = mutated(rng, program, cfg.instruction_bytes)
        if micro_ops(program, cfg) > 1_000_000:
            continue
        base = program.base_address
        for memory in (program.memory, None):
            for portable in (False, True):
                found = find(program.instructions, cfg, memory, base, portable)
                assert check(program.instructions, cfg, memory, base, portable) == found


def test_random_and_mutated_programs_break_many_rules() -> None:
    """What the comparison above sees: else it would prove little."""
    seen: Counter[str] = Counter()
    for seed in range(300):
        rng = np.random.default_rng([seed, 5])
        cfg = random_config(rng)
        program = mutated(rng, random_program(rng, cfg, 20), cfg.instruction_bytes)
        found = check(program.instructions, cfg, program.memory, program.base_address, True)
        seen.update({finding.rule for finding in found})
    assert len(seen) >= 28, sorted(seen)


@pytest.mark.parametrize("seed", range(60))
def test_reuse_of_indices_is_found_without_expanding_the_loops(seed: int) -> None:
    """Short nests with factors of both signs of difference, where reuse is a close call."""
    rng = np.random.default_rng([seed, 6])
    cfg = VtaConfig()
    uops = np.zeros(64, UOP)
    uops["dst"], uops["src"] = rng.integers(0, 12, (2, 64))
    memory = np.zeros(8192, np.uint8)
    memory[:256] = encode_uops(uops, cfg).ravel()
    table = np.zeros(22, INSTRUCTION)
    table["opcode"][0], table["opcode"][-1] = Opcode.LOAD, Opcode.FINISH
    for name, value in {"y_size": 1, "x_size": 64, "x_stride": 64}.items():
        table[name][0] = value
    table["memory_type"][0], table["dram_base"][0] = Memory.UOP, BASE_ADDRESS // 4
    inner = slice(1, 21)
    table["opcode"][inner] = rng.choice([Opcode.ALU, Opcode.GEMM], 20, p=[0.8, 0.2])
    table["uop_bgn"][inner] = rng.integers(0, 60, 20)
    table["uop_end"][inner] = table["uop_bgn"][inner] + rng.integers(1, 4, 20)
    for name in ("iter_out", "iter_in"):
        table[name][inner] = rng.integers(1, 6, 20)
    for name in ("dst", "src"):
        for axis in ("out", "in"):
            table[f"{name}_factor_{axis}"][inner] = rng.integers(0, 7, 20)
    alu = table["opcode"] == Opcode.ALU
    table["use_imm"][alu] = rng.random(int(alu.sum())) < 0.2
    stream = encode(table, cfg)
    found = check(stream, cfg, memory, BASE_ADDRESS, True)
    assert found == find(stream, cfg, memory, BASE_ADDRESS, True)


def test_huge_loop_nests_are_no_work() -> None:
    """16 383 × 16 383 iterations: the specification would need 2 GiB for each operand."""
    cfg = VtaConfig()
    table = np.zeros(2, INSTRUCTION)
    table["opcode"] = Opcode.ALU, Opcode.FINISH
    table["uop_end"][0] = 1
    table["iter_out"][0] = table["iter_in"][0] = 16383
    table["src_factor_out"][0] = 1
    found = check(table, cfg, np.zeros(64, np.uint8), 0, True)
    assert [finding.rule for finding in found] == ["uninitialised"]


def test_a_table_is_checked_as_its_encoding() -> None:
    cfg = dataclasses.replace(VtaConfig(), encoding="wide")
    table = np.zeros(1, INSTRUCTION)
    assert check(table, cfg) == check(encode(table, cfg), cfg) == find(encode(table, cfg), cfg)


@pytest.mark.parametrize("portable", [False, True])
def test_an_empty_stream_lacks_its_finish(portable: bool) -> None:
    for found in (check(b"", VtaConfig(), None, 0, portable), find(b"", VtaConfig())):
        assert [(finding.index, finding.rule) for finding in found] == [(-1, "finish_last")]
