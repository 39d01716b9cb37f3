"""The executable specification: what each instruction does, in plain integers, slow and obvious.

Every engine must equal this one, in every byte of memory, every cycle and every counter. Semantics
are VTA_SPEC.md section 6 with the choices listed in this folder's README; the clock is in
`codesign.sim.reference_machine`. Nothing here is shared with the C++ core.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from operator import mul
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ProgramError
from codesign.hw.config import VtaConfig
from codesign.isa import AluOp, Memory, Opcode, decode, decode_uops
from codesign.isa.tables import depth, element_bytes
from codesign.sim.reference_machine import Machine
from codesign.sim.reference_rules import Row, check_static, fault
from codesign.sim.result import SimResult

Bytes = NDArray[np.uint8]
Lanes = list[int]


def run(
    cfg: VtaConfig,
    instructions: Bytes,
    memory: Bytes | None,
    base_address: int,
    instruction_address: int,
    timeline: bool,
) -> SimResult:
    """Run one stream; ``memory=None`` asks for the timing alone."""
    rows = decode_rows(instructions, cfg)
    for index, row in enumerate(rows):
        check_static(index, row, len(rows), cfg)
    chip = None if memory is None else Chip(cfg, memory, base_address)
    effect: Callable[[int, Row], None] = chip.execute if chip else lambda index, row: None
    result = Machine(cfg, rows, instruction_address, effect).run()
    return result if timeline else replace(result, timeline=result.timeline[:0])


def decode_rows(instructions: Bytes, cfg: VtaConfig) -> list[Row]:
    """One dictionary an instruction: field name to value."""
    try:
        table = decode(instructions, cfg)
    except ProgramError as error:
        index = str(error).split(":")[0].removeprefix("instruction ")
        raise ProgramError(f"instruction {index}: opcode: {error}") from None
    names = table.dtype.names or ()
    return [dict(zip(names, row, strict=True)) for row in table.tolist()]


class Chip:
    """The on-chip memories, all zero at first, and DRAM.

    ``inp[i][b]`` and ``wgt[i][co]`` are lists of BLOCK_IN lanes, ``acc[i]`` and ``out[i]`` lists
    of BATCH x BLOCK_OUT lanes, ``uop[i]`` is (dst, src, wgt).
    """

    def __init__(self, cfg: VtaConfig, memory: Bytes, base_address: int) -> None:
        self.cfg = cfg
        self.memory = memory
        self.base_address = base_address
        self.store: dict[int, list[Any]] = {
            kind: [self.zero(kind) for _ in range(depth(kind, cfg))]
            for kind in (Memory.UOP, Memory.WGT, Memory.INP, Memory.ACC, Memory.OUT)
        }
        self.uop = self.store[Memory.UOP]
        self.wgt = self.store[Memory.WGT]
        self.inp = self.store[Memory.INP]
        self.acc = self.store[Memory.ACC]
        self.out = self.store[Memory.OUT]

    def zero(self, kind: int) -> Any:
        cfg = self.cfg
        if kind == Memory.UOP:
            return (0, 0, 0)
        if kind == Memory.WGT:
            return [[0] * cfg.block_in for _ in range(cfg.block_out)]
        if kind == Memory.INP:
            return [[0] * cfg.block_in for _ in range(cfg.batch)]
        return [0] * (cfg.batch * cfg.block_out)

    def execute(self, index: int, row: Row) -> None:
        """Apply the whole effect of one instruction."""
        opcode = row["opcode"]
        if opcode == Opcode.FINISH or (opcode <= Opcode.STORE and row["x_size"] == 0):
            return
        {
            Opcode.LOAD: self.load,
            Opcode.STORE: self.store_out,
            Opcode.GEMM: self.gemm,
            Opcode.ALU: self.alu,
        }[Opcode(opcode)](index, row)

    # LOAD and STORE ------------------------------------------------------------------------

    def address(self, index: int, row: Row) -> int:
        """Offset of the first byte in ``memory``, after checking the whole transfer."""
        size = element_bytes(row["memory_type"], self.cfg)
        begin = row["dram_base"] * size
        end = begin + ((row["y_size"] - 1) * row["x_stride"] + row["x_size"]) * size
        first, last = self.base_address, self.base_address + len(self.memory)
        if begin < first or end > last:
            fault(index, "dram_range", f"bytes {begin} to {end}; memory holds {first} to {last}")
        return begin - first

    def load(self, index: int, row: Row) -> None:
        kind = row["memory_type"]
        size = element_bytes(kind, self.cfg)
        home = Memory.ACC if kind == Memory.ACC8 else Memory(kind)
        start = self.address(index, row)
        pitch = row["x_pad_0"] + row["x_size"] + row["x_pad_1"]
        elements: list[Any] = [self.zero(home) for _ in range(pitch * row["y_pad_0"])]
        for y in range(row["y_size"]):
            elements += [self.zero(home) for _ in range(row["x_pad_0"])]
            for x in range(row["x_size"]):
                at = start + (y * row["x_stride"] + x) * size
                elements.append(self.element(kind, self.memory[at : at + size].tobytes()))
            elements += [self.zero(home) for _ in range(row["x_pad_1"])]
        elements += [self.zero(home) for _ in range(pitch * row["y_pad_1"])]
        base = row["sram_base"]
        self.store[home][base : base + len(elements)] = elements

    def element(self, kind: int, data: bytes) -> Any:
        """One DRAM element as the memory keeps it."""
        cfg = self.cfg
        if kind == Memory.UOP:
            return decode_uops(data, cfg).tolist()[0]
        if kind == Memory.ACC:
            return unpack(data, 32)
        if kind == Memory.ACC8:
            return unpack(data, 8)
        lanes = unpack(data, cfg.wgt_bits if kind == Memory.WGT else cfg.inp_bits)
        return [lanes[i : i + cfg.block_in] for i in range(0, len(lanes), cfg.block_in)]

    def store_out(self, index: int, row: Row) -> None:
        start = self.address(index, row)
        size = element_bytes(Memory.OUT, self.cfg)
        for y in range(row["y_size"]):
            for x in range(row["x_size"]):
                at = start + (y * row["x_stride"] + x) * size
                lanes: Lanes = self.out[row["sram_base"] + y * row["x_size"] + x]
                data = pack(lanes, self.cfg.out_bits)
                self.memory[at : at + size] = np.frombuffer(data, np.uint8)

    # GEMM and ALU --------------------------------------------------------------------------

    def indices(self, index: int, row: Row) -> Iterator[tuple[int, int, int]]:
        """(dst, src, wgt) of every micro-op, in order, after checking all of them."""
        gemm = row["opcode"] == Opcode.GEMM
        nest = [
            (
                dst + o * row["dst_factor_out"] + i * row["dst_factor_in"],
                src + o * row["src_factor_out"] + i * row["src_factor_in"],
                wgt + o * row["wgt_factor_out"] + i * row["wgt_factor_in"],
            )
            for o in range(row["iter_out"])
            for i in range(row["iter_in"])
            for dst, src, wgt in self.uop[row["uop_bgn"] : row["uop_end"]]
        ]
        limits = [("dst", len(self.acc)), ("src", len(self.inp if gemm else self.acc))]
        limits += [("wgt", len(self.wgt))] if gemm else []
        if gemm and row["reset"]:
            limits = limits[:1]
        for position, (name, limit) in enumerate(limits):
            largest = max(indices[position] for indices in nest)
            if largest >= limit:
                fault(index, "index_range", f"{name} reaches {largest}; allowed: 0 to {limit - 1}")
        return iter(nest)

    def gemm(self, index: int, row: Row) -> None:
        for dst, src, wgt in self.indices(index, row):
            if row["reset"]:
                self.acc[dst] = self.zero(Memory.ACC)
                continue
            products = [
                sum(map(mul, inputs, weights))
                for inputs in self.inp[src]
                for weights in self.wgt[wgt]
            ]
            self.write(dst, [a + p for a, p in zip(self.acc[dst], products, strict=True)])

    def alu(self, index: int, row: Row) -> None:
        operation = ALU[AluOp(row["alu_opcode"])]
        for dst, src, _ in self.indices(index, row):
            other: Lanes = [row["imm"]] * len(self.acc[dst]) if row["use_imm"] else self.acc[src]
            self.write(dst, [operation(a, b) for a, b in zip(self.acc[dst], other, strict=True)])

    def write(self, dst: int, values: Lanes) -> None:
        """Write ACC, and OUT with the truncated values: GEMM and ALU always do both."""
        self.acc[dst] = [wrap(value, 32) for value in values]
        self.out[dst] = [wrap(value, self.cfg.out_bits) for value in values]


def wrap(value: int, bits: int) -> int:
    """``value`` reduced to ``bits`` bits, two's complement."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def unpack(data: bytes, bits: int) -> Lanes:
    """Signed lanes of ``bits`` bits, lowest bits first (VTA_SPEC.md 5.4)."""
    if bits in (8, 32):
        return np.frombuffer(data, f"<i{bits // 8}").tolist()
    whole = int.from_bytes(data, "little")
    return [wrap(whole >> at, bits) for at in range(0, 8 * len(data), bits)]


def pack(lanes: Lanes, bits: int) -> bytes:
    """The inverse of `unpack`."""
    mask = (1 << bits) - 1
    whole = sum((lane & mask) << (bits * i) for i, lane in enumerate(lanes))
    return whole.to_bytes(len(lanes) * bits // 8, "little")


def shift(a: int, b: int) -> int:
    """Arithmetic right shift by ``b``; left where ``b`` is negative (VTA_SPEC.md 6.5)."""
    if b >= 0:
        return a >> min(b, 31)
    return 0 if b < -31 else a << -b


ALU: dict[AluOp, Callable[[int, int], int]] = {
    AluOp.MIN: min,
    AluOp.MAX: max,
    AluOp.ADD: int.__add__,
    AluOp.SHR: shift,
    AluOp.MUL: int.__mul__,
}
