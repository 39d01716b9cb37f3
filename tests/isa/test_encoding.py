"""The encoding, checked against the bit positions that the specification states."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.errors import ProgramError
from codesign.hw.config import VtaConfig
from codesign.isa import (
    INSTRUCTION,
    UOP,
    AluOp,
    Memory,
    Opcode,
    decode,
    decode_uops,
    disassemble,
    encode,
    encode_uops,
)
from codesign.isa.tables import instruction_layout, uop_layout

DEFAULT = VtaConfig()
WIDE = dataclasses.replace(DEFAULT, encoding="wide")
BIG = VtaConfig(
    log_block_in=6,
    log_block_out=3,
    log_wgt_buff_size=20,
    log_acc_buff_size=19,
    log_inp_buff_size=18,
)
CONFIGS = [DEFAULT, WIDE, BIG, VtaConfig(log_uop_buff_size=9), VtaConfig(log_batch=1)]

# VTA_SPEC.md 3.3 to 3.5 and 4, default configuration: field, lowest bit, highest bit.
POSITIONS = {
    Opcode.LOAD: "opcode 0 2, pop_prev 3 3, push_next 6 6, memory_type 7 9, sram_base 10 25, "
    "dram_base 26 57, y_size 64 79, x_size 80 95, x_stride 96 111, y_pad_0 112 115, "
    "y_pad_1 116 119, x_pad_0 120 123, x_pad_1 124 127",
    Opcode.GEMM: "reset 7 7, uop_bgn 8 20, uop_end 21 34, iter_out 35 48, iter_in 49 62, "
    "dst_factor_out 64 74, dst_factor_in 75 85, src_factor_out 86 96, src_factor_in 97 107, "
    "wgt_factor_out 108 117, wgt_factor_in 118 127",
    Opcode.ALU: "uop_end 21 34, src_factor_in 97 107, alu_opcode 108 110, use_imm 111 111, "
    "imm 112 127",
}


@pytest.mark.parametrize("opcode", POSITIONS)
def test_positions_are_those_of_the_specification(opcode: Opcode) -> None:
    placed = {f.name: f for f in instruction_layout(DEFAULT)[opcode]}
    for entry in POSITIONS[opcode].split(", "):
        name, low, high = entry.split()
        field = placed[name]
        start = 64 * field.word + field.shift
        assert (start, start + field.width - 1) == (int(low), int(high)), name


def test_a_small_micro_op_memory_moves_dst_factor_out_to_word_zero() -> None:
    fields = {f.name: f for f in instruction_layout(VtaConfig(log_uop_buff_size=9))[Opcode.GEMM]}
    assert (fields["dst_factor_out"].word, fields["dst_factor_out"].shift) == (0, 51)
    assert (fields["dst_factor_in"].word, fields["dst_factor_in"].shift) == (1, 0)


def test_uop_positions() -> None:
    assert [(f.name, f.shift, f.width) for f in uop_layout(DEFAULT)] == [
        ("dst", 0, 11),
        ("src", 11, 11),
        ("wgt", 22, 10),
    ]


def test_a_known_instruction() -> None:
    table = np.zeros(1, INSTRUCTION)
    table["opcode"], table["memory_type"] = Opcode.STORE, Memory.OUT
    table["dram_base"], table["y_size"], table["x_size"] = 0x100, 1, 2
    table["push_prev"] = 1
    word0 = 1 | 1 << 5 | 4 << 7 | 0x100 << 26
    assert encode(table, DEFAULT).tobytes() == word0.to_bytes(8, "little") + bytes(
        [1, 0, 2, 0, 0, 0, 0, 0]
    )


@pytest.mark.parametrize("cfg", CONFIGS, ids=range(len(CONFIGS)))
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_decode_inverts_encode(cfg: VtaConfig, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = np.zeros(40, INSTRUCTION)
    table["opcode"] = rng.integers(0, 5, 40)
    for opcode, fields in instruction_layout(cfg).items():
        rows = np.flatnonzero(table["opcode"] == opcode)
        for field in fields[1:]:
            table[field.name][rows] = rng.integers(field.low, field.high + 1, rows.size)
    data = encode(table, cfg)
    assert data.shape == (40, cfg.instruction_bytes)
    assert (decode(data, cfg) == table).all()
    assert (decode(data.tobytes(), cfg) == table).all()
    assert len(disassemble(table, cfg)) == 40


@pytest.mark.parametrize("cfg", CONFIGS, ids=range(len(CONFIGS)))
def test_uops_round_trip(cfg: VtaConfig) -> None:
    rng = np.random.default_rng(0)
    uops = np.zeros(100, UOP)
    for field in uop_layout(cfg):
        uops[field.name] = rng.integers(0, field.high + 1, 100)
    data = encode_uops(uops, cfg)
    assert data.shape == (100, cfg.uop_bytes)
    assert (decode_uops(data, cfg) == uops).all()


def test_wide_memory_instructions_leave_the_upper_words_zero() -> None:
    table = np.zeros(1, INSTRUCTION)
    table["dram_base"], table["x_size"], table["x_pad_1"] = 2**32 - 1, 65535, 15
    data = encode(table, WIDE)
    assert data[0, :16].tobytes() == encode(table, DEFAULT).tobytes()
    assert not data[0, 16:].any()


def test_a_value_that_does_not_fit_is_named() -> None:
    table = np.zeros(3, INSTRUCTION)
    table["opcode"] = Opcode.GEMM
    table["iter_in"][2] = 1 << 14
    with pytest.raises(ProgramError, match=r"instruction 2: field iter_in is 16384.*0 to 16383"):
        encode(table, DEFAULT)


def test_a_foreign_field_is_refused() -> None:
    table = np.zeros(2, INSTRUCTION)
    table["opcode"] = Opcode.FINISH
    table["imm"][1] = 7
    with pytest.raises(ProgramError, match="instruction 1: field imm is 7, but FINISH has no such"):
        encode(table, DEFAULT)


def test_bad_opcode_and_length_are_named() -> None:
    with pytest.raises(ProgramError, match="instruction 1: field opcode is 6"):
        decode(bytes(16) + bytes([6] + [0] * 15), DEFAULT)
    with pytest.raises(ProgramError, match="of 15 bytes; allowed: a multiple of 16"):
        decode(bytes(15), DEFAULT)
    with pytest.raises(ProgramError, match="micro-op stream of 5 bytes"):
        decode_uops(bytes(5), DEFAULT)


def test_disassembly_reads() -> None:
    table = np.zeros(2, INSTRUCTION)
    table["opcode"] = [Opcode.ALU, Opcode.LOAD]
    table["alu_opcode"][0], table["use_imm"][0], table["imm"][0] = AluOp.SHR, 1, -3
    table["uop_end"][0] = table["iter_out"][0] = table["iter_in"][0] = 1
    table["memory_type"][1], table["dram_base"][1] = Memory.WGT, 2
    table["x_size"][1] = table["y_size"][1] = table["pop_next"][1] = 1
    assert disassemble(table, DEFAULT) == [
        "     0  ALU SHR imm uop_end=1 imm=-3",
        "     1  LOAD WGT dram_base=2(0x200) y_size=1 x_size=1 [pop_next]",
    ]
