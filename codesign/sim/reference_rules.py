"""Rules that an instruction breaks or keeps by its own fields, whatever ran before it."""

from __future__ import annotations

from typing import NoReturn

from codesign.errors import ProgramError
from codesign.hw.config import VtaConfig
from codesign.isa import AluOp, Memory, Opcode
from codesign.isa.tables import Module, depth

Row = dict[str, int]


def fault(index: int, rule: str, text: str) -> NoReturn:
    """Stop at instruction ``index``."""
    raise ProgramError(f"instruction {index}: {rule}: {text}")


def module_of(row: Row) -> Module:
    """The module whose queue fetch appends the instruction to (VTA_SPEC.md 2)."""
    if row["opcode"] == Opcode.STORE:
        return Module.STORE
    load = row["opcode"] == Opcode.LOAD and row["memory_type"] in (Memory.INP, Memory.WGT)
    return Module.LOAD if load else Module.COMPUTE


def is_moving(row: Row) -> bool:
    """A LOAD or STORE that is no no-op."""
    return row["opcode"] in (Opcode.LOAD, Opcode.STORE) and row["x_size"] > 0


def check_static(index: int, row: Row, count: int, cfg: VtaConfig) -> None:
    """Raise on the first rule that the instruction's fields break.

    Parameters
    ----------
    index, count
        Position in the stream and its length: FINISH is last, and only there.
    """
    if (row["opcode"] == Opcode.FINISH) != (index == count - 1):
        fault(index, "finish_last", "FINISH must be the last instruction, exactly once")
    module = module_of(row)
    if module is Module.LOAD and (row["pop_prev"] or row["push_prev"]):
        fault(index, "token_bits", "LOAD has no previous module; clear pop_prev and push_prev")
    if module is Module.STORE and (row["pop_next"] or row["push_next"]):
        fault(index, "token_bits", "STORE has no next module; clear pop_next and push_next")
    if row["opcode"] in (Opcode.LOAD, Opcode.STORE) and row["x_size"] > 0:
        _check_transfer(index, row, cfg)
    if row["opcode"] in (Opcode.GEMM, Opcode.ALU):
        _check_loops(index, row, cfg)


def _check_transfer(index: int, row: Row, cfg: VtaConfig) -> None:
    store = row["opcode"] == Opcode.STORE
    loadable = {Memory.UOP, Memory.WGT, Memory.INP, Memory.ACC, Memory.ACC8}
    kind = row["memory_type"]
    if kind not in ({Memory.OUT} if store else loadable):
        fault(index, "memory_type", f"{kind} cannot be {'stored' if store else 'loaded'}")
    if kind == Memory.ACC8 and not cfg.has_acc8:
        fault(index, "feature", "ACC8 load; this configuration has HAS_ACC8 false")
    if row["y_size"] == 0:
        fault(index, "y_size", "0; allowed: 1 to 65535 where x_size > 0")
    if store and (row["y_pad_0"] or row["y_pad_1"] or row["x_pad_0"] or row["x_pad_1"]):
        fault(index, "store_pads", "STORE with padding; allowed: pads 0")
    pitch = row["x_pad_0"] + row["x_size"] + row["x_pad_1"]
    rows = row["y_pad_0"] + row["y_size"] + row["y_pad_1"]
    end = row["sram_base"] + pitch * rows
    if end > depth(kind, cfg):
        fault(index, "sram_footprint", f"ends at element {end}; depth is {depth(kind, cfg)}")


def _check_loops(index: int, row: Row, cfg: VtaConfig) -> None:
    if row["iter_out"] == 0 or row["iter_in"] == 0 or row["uop_end"] <= row["uop_bgn"]:
        fault(index, "loop_bounds", "allowed: at least one iteration and one micro-op")
    if row["uop_end"] > depth(Memory.UOP, cfg):
        fault(index, "uop_range", f"uop_end {row['uop_end']}; depth {depth(Memory.UOP, cfg)}")
    if row["opcode"] != Opcode.ALU:
        return
    if row["alu_opcode"] not in list(AluOp):
        fault(index, "alu_opcode", f"{row['alu_opcode']}; allowed: 0 to 4")
    if row["alu_opcode"] == AluOp.MUL and not cfg.has_mul:
        fault(index, "feature", "ALU MUL; this configuration has HAS_MUL false")
