"""`find`: what `codesign.isa.check` must report, in plain Python: its executable specification.

What follows from fields alone is computed over whole columns; tokens in `codesign.isa.ordering`,
on-chip contents in `codesign.isa.contents`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.hw.config import VtaConfig
from codesign.isa.contents import check_contents
from codesign.isa.encoding import Bytes, Table, as_words, decode_words, encode
from codesign.isa.finding import Finding
from codesign.isa.ordering import Play, modules, play
from codesign.isa.portable import config_findings, portable_rules
from codesign.isa.rules import RULES, finding
from codesign.isa.tables import AluOp, Memory, Module, Opcode, depth, element_sizes

Broken = tuple[str, Any, tuple[Any, ...]]
"""A rule's key, the instructions that break it as a mask, and the columns that its text names."""


def find(
    stream: Bytes | bytes,
    cfg: VtaConfig,
    memory: Bytes | None = None,
    base_address: int = 0x1000,
    portable: bool = False,
) -> list[Finding]:
    """Every finding, as `codesign.isa.check` reports them; takes a microsecond a micro-op."""
    words = as_words(stream, cfg.instruction_bytes, "instruction")
    table = decode_words(words, cfg)
    found = config_findings(len(table), cfg) if portable else []
    if not len(table):
        return [*found, finding(-1, "finish_last")]
    needed = list(_rows(_field_rules(table, cfg)))
    if memory is not None:
        needed += _rows(_dram_rules(table, cfg, base_address, memory.size))
    rows = list(_rows(_reserved_bits(table, words, cfg))) + needed
    if portable:
        rows += _rows(portable_rules(table, cfg))
    if not needed:
        order = play(table)
        rows += _order_rows(table, order)
        if memory is not None and len(order.order) == len(table):
            rows += check_contents(table, cfg, memory, base_address, order, portable)
    rows.sort(key=lambda row: row[:2])
    return found + [finding(*row) for row in rows]


def _rows(rules: Iterator[Broken]) -> Iterator[tuple[Any, ...]]:
    """(instruction, rule's key, numbers) of every broken rule."""
    for key, mask, columns in rules:
        assert key in RULES
        for index in np.flatnonzero(mask).tolist():
            yield (index, key, *(int(np.broadcast_to(c, mask.shape)[index]) for c in columns))


def _reserved_bits(table: Table, words: NDArray[np.uint64], cfg: VtaConfig) -> Iterator[Broken]:
    known = np.flatnonzero(np.isin(table["opcode"], list(Opcode)))
    again = as_words(encode(table[known], cfg), cfg.instruction_bytes, "instruction")
    dirty = np.zeros(len(table), bool)
    dirty[known] = (again != words[known]).any(axis=1)
    yield "reserved_bits", dirty, ()


def _field_rules(t: Table, cfg: VtaConfig) -> Iterator[Broken]:
    opcode, kind = t["opcode"], t["memory_type"]
    module = modules(t)
    load, store = opcode == Opcode.LOAD, opcode == Opcode.STORE
    alu = opcode == Opcode.ALU
    loops = alu | (opcode == Opcode.GEMM)
    moving = (load | store) & (t["x_size"] > 0)
    last = np.arange(len(t)) == len(t) - 1
    yield "opcode", ~np.isin(opcode, list(Opcode)), (opcode,)
    yield "finish_last", (opcode == Opcode.FINISH) != last, ()
    illegal = ((module == Module.LOAD) & ((t["pop_prev"] | t["push_prev"]) > 0)) | (
        (module == Module.STORE) & ((t["pop_next"] | t["push_next"]) > 0)
    )
    yield "token_bits", illegal, ()
    loadable = np.isin(kind, [m for m in Memory if m is not Memory.OUT])
    wrong = np.where(store, kind != Memory.OUT, ~loadable) & moving
    yield "memory_type", wrong, (kind,)
    if not cfg.has_acc8:
        yield "feature_acc8", moving & load & (kind == Memory.ACC8), ()
    yield "y_size", moving & (t["y_size"] == 0), ()
    pads = t["y_pad_0"] | t["y_pad_1"] | t["x_pad_0"] | t["x_pad_1"]
    yield "store_pads", moving & store & (pads > 0), ()
    depths = np.array([depth(m, cfg) for m in Memory] + [0, 0])[kind]
    rows = t["y_pad_0"] + t["y_size"] + t["y_pad_1"]
    end = t["sram_base"] + (t["x_pad_0"] + t["x_size"] + t["x_pad_1"]) * rows
    yield "sram_footprint", moving & ~wrong & (end > depths), (end, depths)
    empty = (t["iter_out"] == 0) | (t["iter_in"] == 0) | (t["uop_end"] <= t["uop_bgn"])
    bounds = (t["iter_out"], t["iter_in"], t["uop_bgn"], t["uop_end"])
    yield "loop_bounds", loops & empty, bounds
    uops = depth(Memory.UOP, cfg)
    yield "uop_range", loops & (t["uop_end"] > uops), (t["uop_end"], uops)
    yield "alu_opcode", alu & ~np.isin(t["alu_opcode"], list(AluOp)), (t["alu_opcode"],)
    yield "alu_reset", alu & (t["reset"] > 0), ()
    if not cfg.has_mul:
        yield "feature_mul", alu & (t["alu_opcode"] == AluOp.MUL), ()


def _dram_rules(t: Table, cfg: VtaConfig, base: int, size: int) -> Iterator[Broken]:
    known = t["memory_type"] <= Memory.ACC8
    moving = np.isin(t["opcode"], [Opcode.LOAD, Opcode.STORE]) & (t["x_size"] > 0) & known
    sizes = element_sizes(cfg)[t["memory_type"]]
    begin = t["dram_base"] * sizes
    end = begin + (np.maximum(t["y_size"] - 1, 0) * t["x_stride"] + t["x_size"]) * sizes
    outside = moving & ((begin < base) | (end > base + size))
    yield "dram_range", outside, (begin, end, base, base + size)


def _order_rows(table: Table, order: Play) -> Iterator[tuple[Any, ...]]:
    last = len(table) - 1
    if len(order.order) < len(table):
        waits = [(index, -1 if token is None else token) for index, token in order.waiting]
        pairs = [number for pair in (waits + 4 * [(-1, -1)])[:4] for number in pair]
        yield (min(index for index, _ in waits), "deadlock", *pairs)
        return
    for counter, count in enumerate(order.left):
        if count:
            yield last, "token_balance", counter, count
    for hold in Module:
        overflow = play(table, hold).overflow
        if overflow is not None:
            yield overflow[0], "token_overflow", overflow[1]
    total = np.bincount(modules(table), minlength=len(Module)).tolist()
    clock = order.clocks[last]
    for module in (Module.LOAD, Module.STORE):
        if clock[module] < total[module]:
            yield last, "finish_order", int(module)
