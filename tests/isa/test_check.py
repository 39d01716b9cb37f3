"""The checker: silent on recorded programs, and one named finding for each broken rule."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from codesign.errors import ProgramError
from codesign.hw.config import VtaConfig
from codesign.isa import (
    INSTRUCTION,
    UOP,
    AluOp,
    Finding,
    Memory,
    Opcode,
    check,
    encode,
    encode_uops,
)
from codesign.testing.programs import random_config, random_program

CFG = VtaConfig()
VECTORS = Path(__file__).parents[1] / "golden" / "rtl_vectors.npz"
BASE = 0x1000
LOAD, STORE, GEMM, FINISH, ALU = Opcode
Rows = list[dict[str, int]]
DMA = {"opcode": LOAD, "y_size": 1, "x_size": 4, "x_stride": 4}


def legal() -> Rows:
    """Spec section 11: C = clip(A*W >> s), four accumulators, four micro-ops."""
    loop = {"uop_end": 4, "iter_out": 1, "iter_in": 1}
    immediate = {"opcode": ALU, "use_imm": 1, **loop}
    uops = {**DMA, "memory_type": Memory.UOP, "dram_base": BASE // 4, "x_size": 4}
    return [
        uops,
        {"opcode": GEMM, "reset": 1, **loop},
        {**DMA, "memory_type": Memory.INP, "dram_base": (BASE + 256) // 16},
        {**DMA, "memory_type": Memory.WGT, "dram_base": (BASE + 512) // 256, "push_next": 1},
        {"opcode": GEMM, **loop, "pop_prev": 1},
        {**immediate, "alu_opcode": AluOp.SHR, "imm": 8},
        {**immediate, "alu_opcode": AluOp.MAX, "imm": -127},
        {**immediate, "alu_opcode": AluOp.MIN, "imm": 127, "push_next": 1},
        {
            **DMA,
            "opcode": STORE,
            "memory_type": Memory.OUT,
            "dram_base": (BASE + 2048) // 16,
            "pop_prev": 1,
            "push_prev": 1,
        },
        {"opcode": LOAD, "memory_type": Memory.UOP, "pop_next": 1},
        {"opcode": FINISH},
    ]


def memory(indices: list[int] | None = None) -> NDArray[np.uint8]:
    uops = np.zeros(4, UOP)
    uops["dst"] = uops["src"] = [0, 1, 2, 3] if indices is None else indices
    data = np.zeros(4096, np.uint8)
    data[:16] = encode_uops(uops, CFG).reshape(-1)
    return data


def table(rows: Rows) -> NDArray[np.void]:
    result = np.zeros(len(rows), INSTRUCTION)
    for index, row in enumerate(rows):
        for name, value in row.items():
            result[name][index] = value
    return result


def findings(
    rows: Rows, indices: list[int] | None = None, portable: bool = True
) -> list[tuple[int, str]]:
    found = check(table(rows), CFG, memory(indices), BASE, portable)
    return [(finding.index, finding.rule) for finding in found]


def edited(index: int, **fields: int) -> Rows:
    rows = legal()
    rows[index] = {**rows[index], **fields}
    return rows


def without(index: int) -> Rows:
    rows = legal()
    del rows[index]
    return rows


def with_row(index: int, **fields: int) -> Rows:
    rows = legal()
    rows.insert(index, fields)
    return rows


def test_a_legal_program_has_no_findings() -> None:
    assert findings(legal()) == []
    assert check(encode(table(legal()), CFG), CFG, memory(), BASE, True) == []


CASES: dict[str, tuple[Callable[[], Rows], list[tuple[int, str]]]] = {
    "finish_last": (lambda: without(10), [(9, "finish_last")]),
    "token_bits": (lambda: edited(2, pop_prev=1), [(2, "token_bits")]),
    "memory_type": (lambda: edited(8, memory_type=3), [(8, "dram_range"), (8, "memory_type")]),
    "acc8": (lambda: edited(2, memory_type=5), [(2, "acc8"), (2, "feature")]),
    "y_size": (lambda: edited(2, y_size=0), [(2, "y_size")]),
    "store_pads": (lambda: edited(8, y_pad_0=1), [(8, "store_pads")]),
    "sram_footprint": (lambda: edited(2, sram_base=2045), [(2, "sram_footprint")]),
    "loop_bounds": (lambda: edited(6, iter_in=0), [(6, "loop_bounds")]),
    "uop_range": (lambda: edited(6, uop_end=8193), [(6, "uop_depth"), (6, "uop_range")]),
    "alu_opcode": (lambda: edited(6, alu_opcode=7), [(6, "alu_opcode")]),
    "alu_reset": (lambda: edited(6, reset=1), [(6, "alu_reset")]),
    "mul": (lambda: edited(6, alu_opcode=4), [(6, "feature"), (6, "mul")]),
    "dram_range": (lambda: edited(8, dram_base=0x2000 // 16), [(8, "dram_range")]),
    "deadlock": (lambda: edited(7, push_next=0), [(8, "deadlock")]),
    "token_balance": (lambda: edited(4, push_prev=1), [(10, "token_balance")]),
    "finish_order": (
        lambda: with_row(10, opcode=LOAD, memory_type=Memory.INP),
        [(11, "finish_order")],
    ),
    "wgt hazard": (
        lambda: [*legal()[:4], {**legal()[3], "push_next": 0}, *legal()[4:]],
        [(5, "hazard"), (11, "finish_order")],
    ),
    "out hazard": (
        lambda: with_row(9, **{**legal()[6], "pop_prev": 0}),
        [(9, "hazard")],
    ),
    "dram hazard": (
        lambda: with_row(9, **{**legal()[0], "dram_base": (BASE + 2048) // 4, "sram_base": 8}),
        [(9, "dram_hazard")],
    ),
    "ordered in dram": (
        lambda: with_row(10, **{**legal()[0], "dram_base": (BASE + 2048) // 4, "sram_base": 8}),
        [],
    ),
    "index_range": (lambda: edited(4, iter_out=3, wgt_factor_out=600), [(4, "index_range")]),
    "pending store": (lambda: with_row(8, **legal()[1]), [(8, "hazard")]),
    "stale_store": (
        lambda: [*legal()[:7], {**legal()[1], "push_next": 1}, *legal()[8:]],
        [(8, "stale_store")],
    ),
    "uninitialised uop": (lambda: edited(6, uop_end=5), [(6, "uninitialised")]),
    "uninitialised inp": (lambda: edited(2, x_size=3), [(4, "uninitialised")]),
    "uninitialised acc": (lambda: without(1), [(3, "uninitialised")]),
    "shift": (lambda: edited(5, imm=16), [(5, "shift")]),
    "shift_imm": (lambda: edited(5, use_imm=0), [(5, "shift_imm")]),
    "imm_operand": (
        lambda: edited(5, iter_out=2, dst_factor_out=8, src_factor_out=7),
        [(5, "imm_operand"), (5, "uninitialised")],
    ),
    "noop_pads": (lambda: edited(9, y_pad_0=1), [(9, "noop_pads")]),
    "uop_2d": (lambda: edited(0, y_pad_1=1), [(0, "uop_2d")]),
    "wgt_pads": (lambda: edited(3, x_pad_1=1), [(3, "wgt_pads")]),
    "uop_depth": (lambda: edited(6, uop_end=2049), [(6, "uninitialised"), (6, "uop_depth")]),
}


@pytest.mark.parametrize("name", CASES)
def test_a_broken_rule_is_found_where_it_is(name: str) -> None:
    make, expected = CASES[name]
    found = findings(make())
    assert found == expected


def test_dst_reuse_within_two_micro_ops_is_found_across_loop_wraps() -> None:
    rows = edited(8, x_size=3)
    assert (4, "reuse_distance") in findings(rows, [0, 1, 2, 1])
    assert findings(rows, [0, 1, 2, 0]) == []
    for row in rows[4:8]:
        row["iter_in"] = 2
    assert (4, "reuse_distance") in findings(rows, [0, 1, 2, 0])
    assert findings(rows, [0, 1, 2, 0], portable=False) == []


def test_more_than_255_waiting_tokens_are_found_even_if_a_run_would_pop_them_early() -> None:
    push = {"opcode": LOAD, "memory_type": Memory.INP, "push_next": 1}
    pop = {"opcode": LOAD, "memory_type": Memory.UOP, "pop_prev": 1}
    found = check(table([*[push, pop] * 300, {"opcode": FINISH}]), CFG)
    assert [(f.index, f.rule) for f in found] == [(510, "token_overflow")]


def test_reserved_bits_and_opcodes_are_found_in_bytes() -> None:
    stream = encode(table(legal()), CFG)
    stream[10, 15] |= 0x80
    stream[9, 0] = 6
    rules = {(f.index, f.rule) for f in check(stream, CFG)}
    assert rules == {(9, "opcode"), (10, "reserved_bits")}
    with pytest.raises(ProgramError, match="multiple of 16"):
        check(bytes(17), CFG)


def test_configurations_that_upstream_cannot_have_are_named() -> None:
    cfg = dataclasses.replace(CFG, log_batch=1, log_block_out=3, encoding="wide")
    rules = [f.rule for f in check(table([{"opcode": FINISH}]), cfg, portable=True)]
    assert rules == ["batch", "block", "depths", "encoding"]
    assert check(table([{"opcode": FINISH}]), cfg) == []


def test_a_finding_reads() -> None:
    finding = Finding(3, "y_size", "no rows", "at least 1")
    assert str(finding) == "instruction 3: y_size: no rows; at least 1"


def test_recorded_programs_have_no_findings() -> None:
    with np.load(VECTORS, allow_pickle=False) as file:
        data = {key: file[key] for key in file.files}

    def item(name: str, index: int) -> NDArray[np.uint8]:
        offsets = data[f"{name}_off"]
        return data[f"{name}_data"][int(offsets[index]) : int(offsets[index + 1])]

    for index, name in enumerate(data["name"]):
        base = int(data["mem_base"][index])
        assert check(item("insn", index), CFG, item("mem", index), base, True) == [], name


def test_random_programs_break_only_rules_about_contents() -> None:
    allowed = {"uninitialised", "stale_store", "hazard"}
    for seed in range(40):
        rng = np.random.default_rng(seed)
        cfg = random_config(rng)
        program = random_program(rng, cfg, 40)
        found = check(program.instructions, cfg, program.memory, program.base_address)
        assert {finding.rule for finding in found} <= allowed


def test_ten_thousand_instructions_take_seconds() -> None:
    rows = legal()[:1] + legal()[1:10] * 1100 + legal()[10:]
    begin = time.perf_counter()
    found = check(table(rows), CFG, memory(), BASE, portable=True)
    assert time.perf_counter() - begin < 10
    assert {finding.rule for finding in found} <= {"hazard"}
