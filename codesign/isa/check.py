"""`check`: everything that is wrong with an instruction stream, before it runs.

Rules are those of VTA_SPEC.md, section 8 above all. What follows from fields alone is computed
over whole columns; tokens in `codesign.isa.ordering`, on-chip contents in
`codesign.isa.contents`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np
from numpy.typing import NDArray

from codesign.hw.config import VtaConfig
from codesign.isa.contents import check_contents
from codesign.isa.encoding import Bytes, Table, as_words, decode_words, encode
from codesign.isa.finding import Finding
from codesign.isa.native import is_clean
from codesign.isa.ordering import TOKEN_NAMES, Play, modules, play
from codesign.isa.portable import portable_findings
from codesign.isa.tables import INSTRUCTION, AluOp, Memory, Module, Opcode, depth, element_bytes

__all__ = ["Finding", "check", "find"]

Mask = NDArray[np.bool_]


def check(
    stream: Bytes | bytes | Table,
    cfg: VtaConfig,
    memory: Bytes | None = None,
    base_address: int = 0x1000,
    portable: bool = False,
) -> list[Finding]:
    """Find every broken rule of a stream.

    Parameters
    ----------
    stream
        Encoded instructions, or a table of dtype ``INSTRUCTION``.
    cfg
        The configuration the stream is meant for.
    memory
        DRAM from ``base_address`` on, uint8, not changed. It holds the micro-ops: without it,
        indices, uninitialised reads and hazards between modules are not looked at.
    portable
        Also report what upstream's simulator, RTL or bitstreams lack.

    Returns
    -------
    Findings by instruction index; empty for a legal program.

    Raises
    ------
    ProgramError
        The stream is no whole number of instructions.
    """
    if not portable and _surely_clean(stream, cfg, memory, base_address):
        return []
    return find(stream, cfg, memory, base_address, portable)


def _surely_clean(
    stream: Bytes | bytes | Table, cfg: VtaConfig, memory: Bytes | None, base_address: int
) -> bool:
    """The C++ core's word that there is nothing to find, at millions of instructions a second."""
    if isinstance(stream, np.ndarray) and stream.dtype == INSTRUCTION:
        return False
    raw = np.frombuffer(np.ascontiguousarray(cast(Bytes, stream)), np.uint8)
    whole = raw.size > 0 and raw.size % cfg.instruction_bytes == 0
    return whole and is_clean(raw, cfg, memory, base_address)


def find(
    stream: Bytes | bytes | Table,
    cfg: VtaConfig,
    memory: Bytes | None = None,
    base_address: int = 0x1000,
    portable: bool = False,
) -> list[Finding]:
    """`check` without its fast path: every rule, in Python."""
    table, findings = _table(stream, cfg)
    findings += _field_findings(table, cfg)
    if memory is not None:
        findings += _dram_findings(table, cfg, base_address, memory.size)
    if portable:
        findings += portable_findings(table, cfg)
    if not any(finding.fatal for finding in findings):
        order = play(table)
        findings += _order_findings(table, order)
        if memory is not None and len(order.order) == len(table):
            findings += check_contents(table, cfg, memory, base_address, order, portable)
    return sorted(findings, key=lambda finding: (finding.index, finding.rule))


def _table(stream: Bytes | bytes | Table, cfg: VtaConfig) -> tuple[Table, list[Finding]]:
    if isinstance(stream, np.ndarray) and stream.dtype == INSTRUCTION:
        return cast(Table, stream), []
    words = as_words(cast(Bytes, stream), cfg.instruction_bytes, "instruction")
    table = decode_words(words, cfg)
    known = np.flatnonzero(np.isin(table["opcode"], list(Opcode)))
    again = as_words(encode(table[known], cfg), cfg.instruction_bytes, "instruction")
    dirty = known[(again != words[known]).any(axis=1)]
    return table, [
        Finding(int(index), "reserved_bits", "bits outside the fields are set", "clear them")
        for index in dirty
    ]


def _field_findings(table: Table, cfg: VtaConfig) -> list[Finding]:
    return [
        Finding(int(index), rule, text, fix, fatal=True)
        for rule, mask, text, fix in _field_rules(table, cfg)
        for index in np.flatnonzero(mask)
    ]


def _field_rules(t: Table, cfg: VtaConfig) -> Iterator[tuple[str, Mask, str, str]]:
    """(rule, instructions that break it, what is wrong, how to fix it)."""
    opcode, kind = t["opcode"], t["memory_type"]
    module = modules(t)
    load, store = opcode == Opcode.LOAD, opcode == Opcode.STORE
    alu = opcode == Opcode.ALU
    loops = alu | (opcode == Opcode.GEMM)
    moving = (load | store) & (t["x_size"] > 0)
    last = np.arange(len(t)) == len(t) - 1
    yield "opcode", ~np.isin(opcode, list(Opcode)), "unknown opcode", "use 0 to 4"
    yield (
        "finish_last",
        (opcode == Opcode.FINISH) != last,
        "FINISH must be the last instruction, exactly once",
        "end the stream with one FINISH",
    )
    illegal = ((module == Module.LOAD) & ((t["pop_prev"] | t["push_prev"]) > 0)) | (
        (module == Module.STORE) & ((t["pop_next"] | t["push_next"]) > 0)
    )
    yield (
        "token_bits",
        illegal,
        "a token bit for a module that does not exist",
        "LOAD has no previous module, STORE no next one: clear the bits",
    )
    loadable = np.isin(kind, [m for m in Memory if m is not Memory.OUT])
    wrong = np.where(store, kind != Memory.OUT, ~loadable) & moving
    yield "memory_type", wrong, "this memory cannot be addressed", "LOAD 0 to 3 or 5, STORE 4"
    acc8 = moving & load & (kind == Memory.ACC8)
    if not cfg.has_acc8:
        yield "feature", acc8, "ACC8 load without HAS_ACC8", "load 32-bit ACC elements"
    yield "y_size", moving & (t["y_size"] == 0), "no rows", "at least 1, or x_size 0 for a no-op"
    pads = t["y_pad_0"] | t["y_pad_1"] | t["x_pad_0"] | t["x_pad_1"]
    yield "store_pads", moving & store & (pads > 0), "STORE with padding", "set the pads to 0"
    depths = np.array([depth(m, cfg) for m in Memory] + [0, 0])
    rows = t["y_pad_0"] + t["y_size"] + t["y_pad_1"]
    footprint = (t["x_pad_0"] + t["x_size"] + t["x_pad_1"]) * rows
    yield (
        "sram_footprint",
        moving & ~wrong & (t["sram_base"] + footprint > depths[kind]),
        "the transfer ends behind the last on-chip element",
        "make it smaller or move sram_base",
    )
    empty = (t["iter_out"] == 0) | (t["iter_in"] == 0) | (t["uop_end"] <= t["uop_bgn"])
    yield "loop_bounds", loops & empty, "no iteration or no micro-op", "at least one of each"
    deep = loops & (t["uop_end"] > depth(Memory.UOP, cfg))
    yield "uop_range", deep, "uop_end lies behind the micro-op memory", "reload micro-ops lower"
    yield "alu_opcode", alu & ~np.isin(t["alu_opcode"], list(AluOp)), "reserved", "use 0 to 4"
    yield "alu_reset", alu & (t["reset"] > 0), "ALU with reset", "clear it"
    if not cfg.has_mul:
        mul = alu & (t["alu_opcode"] == AluOp.MUL)
        yield "feature", mul, "ALU MUL without HAS_MUL", "use shifts and additions"


def _dram_findings(t: Table, cfg: VtaConfig, base: int, size: int) -> list[Finding]:
    moving = np.isin(t["opcode"], [Opcode.LOAD, Opcode.STORE]) & (t["x_size"] > 0)
    sizes = np.array([element_bytes(m, cfg) for m in Memory] + [0, 0])[t["memory_type"]]
    begin = t["dram_base"] * sizes
    end = begin + (np.maximum(t["y_size"] - 1, 0) * t["x_stride"] + t["x_size"]) * sizes
    outside = moving & ((begin < base) | (end > base + size))
    return [
        Finding(
            int(index),
            "dram_range",
            f"bytes {begin[index]} to {end[index]}; memory holds {base} to {base + size}",
            "move the buffer or give more memory",
            fatal=True,
        )
        for index in np.flatnonzero(outside)
    ]


def _order_findings(table: Table, order: Play) -> list[Finding]:
    if len(order.order) < len(table):
        waits = ", ".join(
            f"{index} for {'room in a queue of 512' if token is None else TOKEN_NAMES[token]}"
            for index, token in order.waiting
        )
        first = min(index for index, _ in order.waiting)
        fix = "push every token before the instruction that pops it"
        return [Finding(first, "deadlock", f"instructions wait for ever: {waits}", fix)]
    findings: list[Finding] = []
    last = len(table) - 1
    for name, count in zip(TOKEN_NAMES, order.left, strict=True):
        if count:
            text = f"{count} tokens {name} are left at the end"
            findings.append(Finding(last, "token_balance", text, "pop every token pushed"))
    for hold in Module:
        overflow = play(table, hold).overflow
        if overflow is not None:
            text = f"a 256th token {TOKEN_NAMES[overflow[1]]} may wait here and be lost"
            fix = "let the other module pop some before"
            findings.append(Finding(overflow[0], "token_overflow", text, fix))
    total = np.bincount(modules(table), minlength=len(Module)).tolist()
    clock = order.clocks[last]
    for module in (Module.LOAD, Module.STORE):
        if clock[module] < total[module]:
            text = f"FINISH may run before the last {module.name} instruction is complete"
            fix = "pop a token of it in COMPUTE before FINISH"
            findings.append(Finding(last, "finish_order", text, fix))
    return findings
