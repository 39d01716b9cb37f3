"""Rules that only upstream's simulator, RTL and bitstreams need (VTA_SPEC.md sections 8 and 9)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from codesign.hw.config import VtaConfig
from codesign.isa.encoding import Table
from codesign.isa.finding import Finding
from codesign.isa.tables import AluOp, Memory, Opcode, element_bytes

RTL_UOP_DEPTH = 2048
MAX_BUFFER_BYTES = 1 << 25


def portable_findings(table: Table, cfg: VtaConfig) -> list[Finding]:
    """What the instructions' fields and the configuration ask of upstream that it lacks."""
    found = [Finding(-1, rule, text, fix) for rule, text, fix in _config_rules(cfg)]
    if len(table) * cfg.instruction_bytes > MAX_BUFFER_BYTES:
        text = f"{len(table)} instructions are more than upstream's buffer of 32 MiB holds"
        found.append(Finding(-1, "stream_bytes", text, "split the program"))
    return found + [
        Finding(int(index), rule, text, fix)
        for rule, mask, text, fix in _field_rules(table, cfg)
        for index in np.flatnonzero(mask)
    ]


def _config_rules(cfg: VtaConfig) -> Iterator[tuple[str, str, str]]:
    if cfg.instruction_encoding != "vta":
        yield "encoding", "the wide encoding is ours alone", "choose buffers that fit ENCODING vta"
    if cfg.batch > 1:
        yield "batch", f"BATCH is {cfg.batch}; the RTL has 1", "set LOG_BATCH to 0"
    if cfg.block_in != cfg.block_out:
        text = f"BLOCK_IN is {cfg.block_in}, BLOCK_OUT {cfg.block_out}; upstream has one BLOCK"
        yield "block", text, "make them equal"
    if cfg.log_inp_depth != cfg.log_acc_depth:
        text = f"INP has 2^{cfg.log_inp_depth} elements, ACC 2^{cfg.log_acc_depth}"
        yield "depths", text + "; the HLS design needs them equal", "change a buffer size"


def _field_rules(t: Table, cfg: VtaConfig) -> Iterator[tuple[str, NDArray[np.bool_], str, str]]:
    opcode, kind = t["opcode"], t["memory_type"]
    load, alu = opcode == Opcode.LOAD, opcode == Opcode.ALU
    transfer = load | (opcode == Opcode.STORE)
    moving = transfer & (t["x_size"] > 0)
    pads = (t["y_pad_0"] | t["y_pad_1"] | t["x_pad_0"] | t["x_pad_1"]) > 0
    uop = moving & load & (kind == Memory.UOP)
    yield "acc8", moving & load & (kind == Memory.ACC8), "the RTL hangs on ACC8", "load ACC"
    yield "mul", alu & (t["alu_opcode"] == AluOp.MUL), "the RTL hangs on MUL", "use shifts"
    yield "noop_pads", transfer & ~moving & pads, "HLS pads even for x_size 0", "clear the pads"
    plain = ~pads & (t["y_size"] == 1)
    yield "uop_2d", uop & ~plain, "HLS loads micro-ops in one row", "y_size 1, pads 0"
    wgt = moving & load & (kind == Memory.WGT)
    yield "wgt_pads", wgt & pads, "HLS ignores pads of WGT", "set the pads to 0"
    deep = (uop & (t["sram_base"] + t["x_size"] > RTL_UOP_DEPTH)) | (t["uop_end"] > RTL_UOP_DEPTH)
    yield "uop_depth", deep, "the RTL holds 2048 micro-ops", "keep micro-ops below index 2048"
    shr = alu & (t["alu_opcode"] == AluOp.SHR)
    far = shr & (t["use_imm"] > 0) & ((t["imm"] < -16) | (t["imm"] > 15))
    yield "shift", far, "HLS takes shifts of -16 to 15", "shift twice"
    signed = shr & (t["use_imm"] == 0) & (t["imm"] != 0)
    yield "shift_imm", signed, "the RTL takes the direction from imm", "set imm to 0"
    factors = (t["src_factor_out"] != t["dst_factor_out"]) | (
        t["src_factor_in"] != t["dst_factor_in"]
    )
    yield (
        "imm_operand",
        alu & (t["use_imm"] > 0) & factors,
        "the RTL reads ACC[src] in the immediate form, all others ACC[dst]",
        "make the source factors equal to the destination's",
    )
    sizes = np.array([element_bytes(m, cfg) for m in Memory] + [0, 0])[kind]
    rows = np.maximum(t["y_size"] - 1, 0) * t["x_stride"] + t["x_size"]
    high = moving & ((t["dram_base"] + rows) * sizes > 1 << 32)
    yield "address", high, "physical addresses have 32 bits", "move the buffer below 4 GiB"
