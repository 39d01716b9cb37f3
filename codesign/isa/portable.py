"""Rules that only upstream's simulator, RTL and bitstreams need (VTA_SPEC.md sections 8 and 9)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from codesign.hw.config import VtaConfig
from codesign.isa.encoding import Table
from codesign.isa.finding import Finding
from codesign.isa.rules import MAX_BUFFER_BYTES, RTL_UOP_DEPTH, finding
from codesign.isa.tables import AluOp, Memory, Opcode, element_sizes


def config_findings(instructions: int, cfg: VtaConfig) -> list[Finding]:
    """What the configuration, and the length of the stream, ask of upstream that it lacks."""
    found: list[Finding] = []
    if cfg.batch > 1:
        found.append(finding(-1, "batch", cfg.batch))
    if cfg.block_in != cfg.block_out:
        found.append(finding(-1, "block", cfg.block_in, cfg.block_out))
    if cfg.log_inp_depth != cfg.log_acc_depth:
        found.append(finding(-1, "depths", cfg.log_inp_depth, cfg.log_acc_depth))
    if cfg.instruction_encoding != "vta":
        found.append(finding(-1, "encoding"))
    if instructions * cfg.instruction_bytes > MAX_BUFFER_BYTES:
        found.append(finding(-1, "stream_bytes", instructions))
    return found


def portable_rules(t: Table, cfg: VtaConfig) -> Iterator[tuple[str, Any, tuple[Any, ...]]]:
    """What the instructions' fields ask of upstream that it lacks: (key, mask, numbers)."""
    opcode, kind = t["opcode"], t["memory_type"]
    load, alu = opcode == Opcode.LOAD, opcode == Opcode.ALU
    transfer = load | (opcode == Opcode.STORE)
    moving = transfer & (t["x_size"] > 0)
    pads = (t["y_pad_0"] | t["y_pad_1"] | t["x_pad_0"] | t["x_pad_1"]) > 0
    uop = moving & load & (kind == Memory.UOP)
    yield "acc8", moving & load & (kind == Memory.ACC8), ()
    yield "mul", alu & (t["alu_opcode"] == AluOp.MUL), ()
    yield "noop_pads", transfer & ~moving & pads, ()
    yield "uop_2d", uop & (pads | (t["y_size"] != 1)), ()
    yield "wgt_pads", moving & load & (kind == Memory.WGT) & pads, ()
    deep = (uop & (t["sram_base"] + t["x_size"] > RTL_UOP_DEPTH)) | (t["uop_end"] > RTL_UOP_DEPTH)
    yield "uop_depth", deep, ()
    shr = alu & (t["alu_opcode"] == AluOp.SHR)
    far = shr & (t["use_imm"] > 0) & ((t["imm"] < -16) | (t["imm"] > 15))
    yield "shift", far, (t["imm"],)
    yield "shift_imm", shr & (t["use_imm"] == 0) & (t["imm"] != 0), (t["imm"],)
    factors = (t["src_factor_out"] != t["dst_factor_out"]) | (
        t["src_factor_in"] != t["dst_factor_in"]
    )
    yield "imm_operand", alu & (t["use_imm"] > 0) & factors, ()
    sizes = element_sizes(cfg)[kind]
    rows = np.maximum(t["y_size"] - 1, 0) * t["x_stride"] + t["x_size"]
    yield "address", moving & ((t["dram_base"] + rows) * sizes > 1 << 32), ()
