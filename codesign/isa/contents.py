"""What the on-chip memories hold and who may still touch it, followed through the program.

Instructions are walked in one legal order. Per element the last writer and reader are kept as
positions in their module; two accesses are safe where the tokens order them (`Play.clocks`), so
that a hazard is found whatever the timing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.hw.config import VtaConfig
from codesign.isa.dram import DramMemo
from codesign.isa.encoding import Bytes, Table, decode_uops
from codesign.isa.ordering import Clock, Play, modules
from codesign.isa.rules import REUSE_DISTANCE
from codesign.isa.tables import UOP, Memory, Module, Opcode, depth

Indices = NDArray[np.int64] | slice
Row = tuple[Any, ...]
"""(instruction, rule's key, numbers)."""
_READS, _OVERWRITES, _CHANGES = range(3)


@dataclass(frozen=True)
class Nest:
    """The distinct indices that one GEMM or ALU instruction touches, and its index conflicts."""

    dst: NDArray[np.int64]
    src: NDArray[np.int64]
    wgt: NDArray[np.int64]
    repeats_dst: bool
    reads_recent: bool


class Memo:
    """One on-chip memory: last writer and reader, as 1 + position in their module, 0 for none."""

    def __init__(self, elements: int) -> None:
        self.writer = np.zeros(elements, np.int64)
        self.reader = np.zeros(elements, np.int64)


def check_contents(
    table: Table, cfg: VtaConfig, memory: Bytes, base_address: int, order: Play, portable: bool
) -> list[Row]:
    """Index ranges, uninitialised reads, stale stores, hazards; with ``portable`` index reuse."""
    walk = _Walk(table, cfg, memory, base_address, order, portable)
    for index in order.order:
        walk.step(index)
    return walk.rows_found


class _Walk:
    def __init__(
        self,
        table: Table,
        cfg: VtaConfig,
        memory: Bytes,
        base_address: int,
        order: Play,
        portable: bool,
    ) -> None:
        self.cfg = cfg
        self.memory = memory
        self.base_address = base_address
        self.order = order
        self.portable = portable
        names = table.dtype.names or ()
        self.rows: list[dict[str, int]] = [
            dict(zip(names, row, strict=True)) for row in table.tolist()
        ]
        module = modules(table)
        self.members = [np.flatnonzero(module == m).tolist() for m in Module]
        self.position = {i: k for member in self.members for k, i in enumerate(member)}
        self.module: list[int] = module.tolist()
        self.inp = Memo(depth(Memory.INP, cfg))
        self.wgt = Memo(depth(Memory.WGT, cfg))
        self.out = Memo(depth(Memory.OUT, cfg))
        self.dram = DramMemo(table, cfg)
        self.acc_set = np.zeros(depth(Memory.ACC, cfg), bool)
        self.out_fresh = np.zeros(depth(Memory.OUT, cfg), bool)
        self.uops = np.zeros(depth(Memory.UOP, cfg), UOP)
        self.uop_set = np.zeros(depth(Memory.UOP, cfg), bool)
        self.nests: dict[tuple[object, ...], Nest] = {}
        self.rows_found: list[Row] = []

    def step(self, index: int) -> None:
        row = self.rows[index]
        if row["opcode"] == Opcode.FINISH:
            return
        if row["opcode"] in (Opcode.GEMM, Opcode.ALU):
            self.loops(index, row)
        elif row["x_size"]:
            self.dram_access(index, row)
            (self.store if row["opcode"] == Opcode.STORE else self.load)(index, row)

    def report(self, index: int, key: str, *numbers: int) -> None:
        self.rows_found.append((index, key, *numbers))

    # Ordering between modules -----------------------------------------------------------------

    def read(self, index: int, memo: Memo, where: Indices, memory: Memory) -> None:
        """A read that must come after the last write of the other module."""
        self._ordered(index, memo.writer[where], _READS, memory)
        memo.reader[where] = self.position[index] + 1

    def write(self, index: int, memo: Memo, where: Indices, memory: Memory) -> None:
        """A write that must come after the last read of the other module."""
        self._ordered(index, memo.reader[where], _OVERWRITES, memory)
        memo.writer[where] = self.position[index] + 1

    def _ordered(self, index: int, positions: NDArray[np.int64], verb: int, memory: Memory) -> None:
        latest = int(positions.max(initial=0))
        other = self._partner(index, memory)
        clock: Clock = self.order.clocks[index]
        if latest > clock[other]:
            self.report(index, "hazard", verb, memory, self.members[other][latest - 1])

    def _partner(self, index: int, memory: Memory) -> Module:
        if self.module[index] != Module.COMPUTE:
            return Module.COMPUTE
        return Module.STORE if memory is Memory.OUT else Module.LOAD

    # Transfers ------------------------------------------------------------------------------

    def dram_access(self, index: int, row: dict[str, int]) -> None:
        """A STORE and a LOAD of the same bytes need a token path between them."""
        module = Module(self.module[index])
        clock = self.order.clocks[index]
        other, position = self.dram.conflict(row, module, self.position[index], clock)
        if other >= 0:
            self.report(index, "dram_hazard", self.members[other][position - 1])

    def load(self, index: int, row: dict[str, int]) -> None:
        pitch = row["x_pad_0"] + row["x_size"] + row["x_pad_1"]
        rows = row["y_pad_0"] + row["y_size"] + row["y_pad_1"]
        where = slice(row["sram_base"], row["sram_base"] + pitch * rows)
        kind = row["memory_type"]
        if kind == Memory.INP:
            self.write(index, self.inp, where, Memory.INP)
        elif kind == Memory.WGT:
            self.write(index, self.wgt, where, Memory.WGT)
        elif kind == Memory.UOP:
            self.uops[where] = self._loaded_uops(row, pitch, rows)
            self.uop_set[where] = True
        else:
            self.refill_acc(index, where)

    def refill_acc(self, index: int, where: Indices) -> None:
        """ACC changes behind OUT's back: by LOAD, or by GEMM with reset."""
        if self.portable:
            # Upstream's functional simulator stores from ACC, so pending stores see the change.
            self._ordered(index, self.out.reader[where], _CHANGES, Memory.OUT)
        self.acc_set[where] = True
        self.out_fresh[where] = False

    def _loaded_uops(self, row: dict[str, int], pitch: int, rows: int) -> NDArray[np.void]:
        size = self.cfg.uop_bytes
        block = np.zeros((rows, pitch), UOP)
        for y in range(row["y_size"]):
            first = (row["dram_base"] + y * row["x_stride"]) * size - self.base_address
            data = self.memory[first : first + row["x_size"] * size]
            left = row["x_pad_0"]
            block[row["y_pad_0"] + y, left : left + row["x_size"]] = decode_uops(data, self.cfg)
        return block.ravel()

    def store(self, index: int, row: dict[str, int]) -> None:
        where = slice(row["sram_base"], row["sram_base"] + row["x_size"] * row["y_size"])
        stale = np.flatnonzero(~self.out_fresh[where])
        if stale.size:
            first = row["sram_base"] + int(stale[0])
            self.report(index, "stale_store", stale.size, first)
        self.read(index, self.out, where, Memory.OUT)

    # GEMM and ALU ---------------------------------------------------------------------------

    def loops(self, index: int, row: dict[str, int]) -> None:
        window = slice(row["uop_bgn"], row["uop_end"])
        if not self.uop_set[window].all():
            missing = row["uop_bgn"] + int(np.argmin(self.uop_set[window]))
            self.report(index, "uninitialised_uop", missing)
            return
        nest = self.nest(row, self.uops[window])
        gemm = row["opcode"] == Opcode.GEMM
        computes = not (gemm and row["reset"])
        if not self.in_range(index, nest, gemm, computes):
            return
        if gemm and computes:
            operands = (Memory.INP, self.inp, nest.src), (Memory.WGT, self.wgt, nest.wgt)
            for memory, memo, where in operands:
                self.initialised(index, memo.writer[where] > 0, where, memory)
                self.read(index, memo, where, memory)
        if computes:
            self.initialised(index, self.acc_set[nest.dst], nest.dst, Memory.ACC)
            if not gemm and not row["use_imm"]:
                self.initialised(index, self.acc_set[nest.src], nest.src, Memory.ACC)
            self.write(index, self.out, nest.dst, Memory.OUT)
            self.acc_set[nest.dst] = True
            self.out_fresh[nest.dst] = True
        else:
            self.refill_acc(index, nest.dst)
        if self.portable:
            self.portable_rules(index, row, nest, self.uops[window])

    def in_range(self, index: int, nest: Nest, gemm: bool, computes: bool) -> bool:
        limits = [(0, nest.dst, len(self.acc_set))]
        if gemm and computes:
            limits += [(1, nest.src, len(self.inp.writer))]
            limits += [(2, nest.wgt, len(self.wgt.writer))]
        elif not gemm:
            limits += [(1, nest.src, len(self.acc_set))]
        for operand, indices, limit in limits:
            if indices[-1] >= limit:
                self.report(index, "index_range", operand, int(indices[-1]), limit - 1)
                return False
        return True

    def initialised(
        self, index: int, known: NDArray[np.bool_], where: NDArray[np.int64], memory: Memory
    ) -> None:
        if not known.all():
            self.report(index, "uninitialised", memory, int(where[int(np.argmin(known))]))

    def portable_rules(
        self, index: int, row: dict[str, int], nest: Nest, uops: NDArray[np.void]
    ) -> None:
        if nest.repeats_dst:
            self.report(index, "reuse_distance")
        if row["opcode"] != Opcode.ALU:
            return
        if nest.reads_recent:
            self.report(index, "reuse_distance_src")
        if uops["wgt"].any():
            self.report(index, "alu_wgt")
        if row["use_imm"] and (uops["src"] != uops["dst"]).any():
            self.report(index, "imm_operand_uop")

    def nest(self, row: dict[str, int], uops: NDArray[np.void]) -> Nest:
        """Expand the loop nest; equal nests are expanded once."""
        names = ("iter_out", "iter_in")
        names += tuple(f"{o}_factor_{d}" for o in ("dst", "src", "wgt") for d in ("out", "in"))
        register = row["opcode"] == Opcode.ALU and not row["use_imm"]
        key = (uops.tobytes(), register, *(row[name] for name in names))
        if key not in self.nests:
            self.nests[key] = _expand(row, uops, register)
        return self.nests[key]


def _expand(row: dict[str, int], uops: NDArray[np.void], register: bool) -> Nest:
    outer = np.arange(row["iter_out"])[:, None, None]
    inner = np.arange(row["iter_in"])[None, :, None]

    def indices(name: str) -> NDArray[np.int64]:
        steps = outer * row[f"{name}_factor_out"] + inner * row[f"{name}_factor_in"]
        return (steps + uops[name][None, None, :]).ravel()

    dst, src, wgt = indices("dst"), indices("src"), indices("wgt")

    def recent(sequence: NDArray[np.int64]) -> bool:
        gaps = range(1, REUSE_DISTANCE)
        return any(bool((sequence[gap:] == dst[:-gap]).any()) for gap in gaps)

    return Nest(
        np.unique(dst), np.unique(src), np.unique(wgt), recent(dst), register and recent(src)
    )
