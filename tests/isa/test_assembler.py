"""Assembler and disassembler are inverse; the documentation page is what the tables say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import codesign.isa
from codesign.errors import ProgramError
from codesign.hw.config import VtaConfig
from codesign.isa import INSTRUCTION, Opcode, assemble, disassemble, encode
from codesign.isa.document import markdown
from codesign.isa.tables import instruction_layout
from codesign.testing.programs import random_config

PAGE = Path(codesign.isa.__file__).parent / "INSTRUCTIONS.md"


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_any_fields_round_trip(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cfg = random_config(rng)
    table = np.zeros(30, INSTRUCTION)
    table["opcode"] = rng.integers(0, 5, len(table))
    for index, row in enumerate(table):
        for field in instruction_layout(cfg)[Opcode(int(row["opcode"]))][1:]:
            if rng.random() < 0.7:
                table[field.name][index] = rng.integers(field.low, field.high + 1)
    lines = disassemble(table, cfg)
    for text in (lines, "\n".join(lines)):
        np.testing.assert_array_equal(assemble(text), table)
    np.testing.assert_array_equal(encode(assemble(lines), cfg), encode(table, cfg))


def test_written_by_hand() -> None:
    table = assemble(
        """
        LOAD UOP dram_base=0x400 y_size=1 x_size=4 x_stride=4   ; four micro-ops
        GEMM uop_end=4 iter_in=2 [pop_prev push_next]
        FINISH
        """
    )
    assert table["opcode"].tolist() == [Opcode.LOAD, Opcode.GEMM, Opcode.FINISH]
    assert table["dram_base"][0] == 1024
    assert table["iter_out"].tolist() == [0, 1, 0]
    assert (table["pop_prev"][1], table["push_next"][1]) == (1, 1)
    assert len(encode(table, VtaConfig())) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("JUMP", r"^line 1: operation is JUMP; allowed: LOAD"),
        ("\nLOAD", r"^line 2: operand is nothing; allowed: UOP"),
        ("ALU ADD", r"^line 1: form is nothing; allowed: imm, reg"),
        ("GEMM imm=1", r"^line 1: imm=1 is no field of GEMM; allowed: .*uop_bgn"),
        ("GEMM uop_end=x", r"^line 1: uop_end=x; allowed: uop_end=<number>"),
    ],
)
def test_errors_name_line_and_word(text: str, message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        assemble(text)


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == markdown(), "run: python -m codesign.isa.document > " + str(PAGE)
