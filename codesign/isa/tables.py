"""The instruction set as data: opcodes, and every field with its width and meaning.

Encoder, decoder, disassembler, checker and both simulators read these tables
(VTA_SPEC.md sections 3 and 4; DESIGN 4 for the ``wide`` encoding).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from codesign.hw.config import VtaConfig
from codesign.hw.packing import WORD_BITS, pack_fields


class Opcode(IntEnum):
    """What an instruction does."""

    LOAD = 0
    STORE = 1
    GEMM = 2
    FINISH = 3
    ALU = 4


class Memory(IntEnum):
    """Which on-chip memory a LOAD or STORE addresses; ``ACC8`` widens 8-bit data into ACC."""

    UOP = 0
    WGT = 1
    INP = 2
    ACC = 3
    OUT = 4
    ACC8 = 5


class AluOp(IntEnum):
    """Lane-wise operation of an ALU instruction."""

    MIN = 0
    MAX = 1
    ADD = 2
    SHR = 3
    MUL = 4


class Module(IntEnum):
    """The machine's three concurrent modules, in token order (previous to next)."""

    LOAD = 0
    COMPUTE = 1
    STORE = 2


@dataclass(frozen=True)
class Field:
    """One instruction field: ``width`` is in bits, or the name of a width of the configuration.

    Names: ``lu`` log2 of the micro-op depth, ``lu+1``, ``la``, ``li``, ``lw`` log2 of the
    ACC, INP and WGT depths, ``ls`` the wider of ``la`` and ``li``.
    """

    name: str
    width: int | str
    meaning: str
    signed: bool = False


@dataclass(frozen=True)
class PlacedField:
    """A field placed for one configuration: bit ``shift`` of 64-bit ``word``."""

    name: str
    word: int
    shift: int
    width: int
    signed: bool

    @property
    def low(self) -> int:
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        return (1 << (self.width - self.signed)) - 1


HEADER = (
    Field("opcode", 3, "operation"),
    Field("pop_prev", 1, "wait for a token from the previous module"),
    Field("pop_next", 1, "wait for a token from the next module"),
    Field("push_prev", 1, "give a token to the previous module when done"),
    Field("push_next", 1, "give a token to the next module when done"),
)
_LOOPS = (
    Field("reset", 1, "GEMM: write zeros instead of accumulating"),
    Field("uop_bgn", "lu", "first micro-op"),
    Field("uop_end", "lu+1", "one past the last micro-op"),
    Field("iter_out", 14, "outer iterations"),
    Field("iter_in", 14, "inner iterations"),
    Field("dst_factor_out", "la", "step of the ACC index per outer iteration"),
    Field("dst_factor_in", "la", "step of the ACC index per inner iteration"),
)
MEMORY_FIELDS = (
    *HEADER,
    Field("memory_type", 3, "on-chip memory"),
    Field("sram_base", 16, "first element on chip"),
    Field("dram_base", 32, "first element in DRAM, in elements"),
    Field("y_size", 16, "rows"),
    Field("x_size", 16, "elements a row; 0 makes the instruction a no-op"),
    Field("x_stride", 16, "elements between row starts in DRAM"),
    Field("y_pad_0", 4, "zero rows before"),
    Field("y_pad_1", 4, "zero rows after"),
    Field("x_pad_0", 4, "zero elements before each row"),
    Field("x_pad_1", 4, "zero elements after each row"),
)
GEMM_FIELDS = (
    *HEADER,
    *_LOOPS,
    Field("src_factor_out", "li", "step of the INP index per outer iteration"),
    Field("src_factor_in", "li", "step of the INP index per inner iteration"),
    Field("wgt_factor_out", "lw", "step of the WGT index per outer iteration"),
    Field("wgt_factor_in", "lw", "step of the WGT index per inner iteration"),
)
ALU_FIELDS = (
    *HEADER,
    *_LOOPS,
    Field("src_factor_out", "la", "step of the source ACC index per outer iteration"),
    Field("src_factor_in", "la", "step of the source ACC index per inner iteration"),
    Field("alu_opcode", 3, "MIN, MAX, ADD, SHR or MUL"),
    Field("use_imm", 1, "second operand is imm instead of ACC[src]"),
    Field("imm", 16, "immediate operand", signed=True),
)
FIELDS: dict[Opcode, tuple[Field, ...]] = {
    Opcode.LOAD: MEMORY_FIELDS,
    Opcode.STORE: MEMORY_FIELDS,
    Opcode.GEMM: GEMM_FIELDS,
    Opcode.FINISH: HEADER,
    Opcode.ALU: ALU_FIELDS,
}
UOP_FIELDS = (
    Field("dst", "la", "ACC and OUT index"),
    Field("src", "ls", "INP index (GEMM), ACC index (ALU)"),
    Field("wgt", "lw", "WGT index (GEMM); 0 for ALU"),
)

_COLUMNS = tuple(dict.fromkeys(f.name for fields in FIELDS.values() for f in fields))
INSTRUCTION = np.dtype([(name, np.int64) for name in _COLUMNS])
"""One int64 column per field over all instructions; columns an opcode lacks hold 0."""
UOP = np.dtype([(f.name, np.int64) for f in UOP_FIELDS])
"""One int64 column per micro-op field."""


def widths(cfg: VtaConfig) -> dict[str, int]:
    """Field widths, in bits, that depend on the configuration."""
    return {
        "lu": cfg.log_uop_depth,
        "lu+1": cfg.log_uop_depth + 1,
        "la": cfg.log_acc_depth,
        "li": cfg.log_inp_depth,
        "lw": cfg.log_wgt_depth,
        "ls": max(cfg.log_acc_depth, cfg.log_inp_depth),
    }


def _place(fields: tuple[Field, ...], cfg: VtaConfig) -> tuple[PlacedField, ...]:
    named = widths(cfg)
    bits = [named[f.width] if isinstance(f.width, str) else f.width for f in fields]
    return tuple(
        PlacedField(f.name, offset // WORD_BITS, offset % WORD_BITS, width, f.signed)
        for f, width, offset in zip(fields, bits, pack_fields(bits), strict=True)
    )


@lru_cache(maxsize=256)
def instruction_layout(cfg: VtaConfig) -> dict[Opcode, tuple[PlacedField, ...]]:
    """Where each field of each opcode lies on this configuration."""
    return {opcode: _place(fields, cfg) for opcode, fields in FIELDS.items()}


@lru_cache(maxsize=256)
def uop_layout(cfg: VtaConfig) -> tuple[PlacedField, ...]:
    """Where dst, src and wgt lie in a micro-op on this configuration."""
    return _place(UOP_FIELDS, cfg)


def element_bytes(memory: int, cfg: VtaConfig) -> int:
    """Bytes of one DRAM element of a memory type: the unit of ``dram_base`` and ``x_stride``."""
    return {
        Memory.UOP: cfg.uop_bytes,
        Memory.WGT: cfg.wgt_element_bytes,
        Memory.INP: cfg.inp_element_bytes,
        Memory.ACC: cfg.acc_element_bytes,
        Memory.OUT: cfg.out_element_bytes,
        Memory.ACC8: cfg.acc8_element_bytes,
    }[Memory(memory)]


def element_sizes(cfg: VtaConfig) -> NDArray[np.int64]:
    """`element_bytes` of every value of the field ``memory_type``, int64 [8]; 0 where unused."""
    return np.array([element_bytes(m, cfg) for m in Memory] + [0] * (8 - len(Memory)), np.int64)


def depth(memory: int, cfg: VtaConfig) -> int:
    """On-chip elements of a memory type."""
    return {
        Memory.UOP: 1 << cfg.log_uop_depth,
        Memory.WGT: cfg.wgt_depth,
        Memory.INP: cfg.inp_depth,
        Memory.ACC: cfg.acc_depth,
        Memory.OUT: cfg.acc_depth,
        Memory.ACC8: cfg.acc_depth,
    }[Memory(memory)]
