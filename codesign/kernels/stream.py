# numpy's reshape, view and copy are partially unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""`UnitStream`: from loads, GEMM, ALU and stores of one unit to an instruction table with tokens.

A unit is a sequence of *steps*. A step loads operands that are not on chip yet, computes, and
may store a finished tile. The three modules overlap through dependency tokens (VTA_SPEC.md 2.1):

* every step that loads hands its operands to COMPUTE with one ``l2g`` token;
* a load that overwrites a slot waits (``g2l``) for the last step that read it;
* a step that starts a tile in an accumulator slot waits (``s2g``) for the slot's last store.

Waits are monotone, so each needs one token, pushed by exactly the step that is waited for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from codesign.hw.config import VtaConfig
from codesign.isa import INSTRUCTION, UOP, AluOp, Memory, Opcode
from codesign.kernels.nest import Nest

Row = list[int]

_COLUMN = {name: i for i, name in enumerate(INSTRUCTION.names or ())}
_WIDTH = len(_COLUMN)
_POP_PREV, _POP_NEXT = _COLUMN["pop_prev"], _COLUMN["pop_next"]
_PUSH_PREV, _PUSH_NEXT = _COLUMN["push_prev"], _COLUMN["push_next"]
_BUFFER = _WIDTH  # one more column, dropped before encoding: which buffer dram_base counts from


class Buffer(IntEnum):
    """DRAM buffer that an instruction's address is relative to; inputs follow the last member."""

    NONE = 0
    CONSTANTS = 1
    OUTPUT = 2
    INPUT = 3


def _row(opcode: Opcode, **fields: int) -> Row:
    row = [0] * (_WIDTH + 1)
    row[0] = opcode
    for name, value in fields.items():
        row[_COLUMN[name]] = value
    return row


def load_row(
    memory: Memory,
    sram: int,
    buffer: int,
    dram: int,
    x_size: int,
    y_size: int = 1,
    x_stride: int = 0,
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
) -> Row:
    """A LOAD; ``dram`` and sizes in elements of ``memory``, pads (top, left, bottom, right)."""
    top, left, bottom, right = pads
    row = _row(
        Opcode.LOAD,
        memory_type=memory,
        sram_base=sram,
        dram_base=dram,
        x_size=x_size,
        y_size=y_size,
        x_stride=x_stride or x_size,
        y_pad_0=top,
        y_pad_1=bottom,
        x_pad_0=left,
        x_pad_1=right,
    )
    row[_BUFFER] = buffer
    return row


def store_row(sram: int, dram: int, x_size: int, y_size: int = 1, x_stride: int = 0) -> Row:
    """A STORE to the output buffer; units are OUT elements."""
    row = _row(
        Opcode.STORE,
        memory_type=Memory.OUT,
        sram_base=sram,
        dram_base=dram,
        x_size=x_size,
        y_size=y_size,
        x_stride=x_stride or x_size,
    )
    row[_BUFFER] = Buffer.OUTPUT
    return row


@dataclass
class Step:
    """One step; ``pre`` needs no operand of this step, ``post`` no longer needs any."""

    loads: list[Row] = field(default_factory=lambda: [])
    load_after: int = -1
    pre: list[Row] = field(default_factory=lambda: [])
    main: list[Row] = field(default_factory=lambda: [])
    post: list[Row] = field(default_factory=lambda: [])
    start_after: int = -1
    store: list[Row] = field(default_factory=lambda: [])


class Ring:
    """Equal slots of a scratchpad, filled in turn; a key still there is not loaded again."""

    def __init__(self, slots: int, size: int, base: int = 0) -> None:
        self._size, self._base = size, base
        self._keys: list[object] = [None] * slots
        self._last_use = [-1] * slots
        self._where: dict[object, int] = {}
        self._next = 0

    def use(self, key: object, step: int) -> tuple[int, bool, int]:
        """Slot address of ``key`` at ``step``, whether it must be loaded, the step to wait for."""
        slot = self._where.get(key)
        missing = slot is None
        if slot is None:
            slot = self._next
            self._next = (slot + 1) % len(self._keys)
            self._where.pop(self._keys[slot], None)
            self._keys[slot], self._where[key] = key, slot
        wait = self._last_use[slot] if missing else -1
        self._last_use[slot] = step
        return self._base + slot * self._size, missing, wait


class UnitStream:
    """Collects the steps and micro-op kernels of one unit."""

    def __init__(self, cfg: VtaConfig, max_uops: int) -> None:
        self.cfg = cfg
        self.max_uops = max_uops
        self._steps: list[Step] = []
        self._uops: list[tuple[int, int, int]] = []
        self._kernels: dict[tuple[object, ...], tuple[int, int]] = {}

    @property
    def next_step(self) -> int:
        return len(self._steps)

    @property
    def uop_count(self) -> int:
        return len(self._uops)

    def add(self, step: Step) -> int:
        """Append a step; returns its index."""
        self._steps.append(step)
        return len(self._steps) - 1

    def _kernel(self, nest: Nest, dst: int, src: int, wgt: int) -> tuple[int, int]:
        key = (nest.uops, dst, src, wgt)
        found = self._kernels.get(key)
        if found is None:
            begin = len(self._uops)
            self._uops.extend((d + dst, s + src, w + wgt) for d, s, w in nest.uops)
            found = self._kernels[key] = (begin, len(self._uops))
        return found

    def _loops(self, nest: Nest, dst: int, src: int, wgt: int) -> dict[str, int]:
        """Fields that GEMM and ALU share: micro-op range, iterations, index steps."""
        begin, end = self._kernel(nest, dst, src, wgt)
        return {
            "uop_bgn": begin,
            "uop_end": end,
            "iter_out": nest.outer.extent,
            "iter_in": nest.inner.extent,
            "dst_factor_out": nest.outer.dst,
            "dst_factor_in": nest.inner.dst,
            "src_factor_out": nest.outer.src,
            "src_factor_in": nest.inner.src,
        }

    def gemm(self, nest: Nest, dst: int, src: int = 0, wgt: int = 0, *, reset: bool = False) -> Row:
        """A GEMM of the nest at these bases; ``reset`` clears accumulators instead."""
        factors = {"wgt_factor_out": nest.outer.wgt, "wgt_factor_in": nest.inner.wgt}
        loops = self._loops(nest, dst, src, wgt)
        return _row(Opcode.GEMM, reset=int(reset), **loops, **factors)

    def alu(self, op: AluOp, nest: Nest, dst: int, src: int, imm: int | None = None) -> Row:
        """A register operation, or an immediate one (then the nest has src steps = dst steps)."""
        loops = self._loops(nest, dst, src, 0)
        operand = {"use_imm": int(imm is not None), "imm": imm or 0}
        return _row(Opcode.ALU, **loops, alu_opcode=op, **operand)

    def _set_tokens(self) -> None:
        waited_compute = waited_store = -1
        for step in self._steps:
            compute = [*step.pre, *step.main, *step.post]
            if step.loads:
                step.loads[-1][_PUSH_NEXT] = 1
                step.main[0][_POP_PREV] = 1
            if step.load_after > waited_compute:
                waited_compute = step.load_after
                self._steps[waited_compute].main[-1][_PUSH_PREV] = 1
                step.loads[0][_POP_NEXT] = 1
            if step.start_after > waited_store:
                waited_store = step.start_after
                self._steps[waited_store].store[-1][_PUSH_PREV] = 1
                compute[0][_POP_NEXT] = 1
            if step.store:
                compute[-1][_PUSH_NEXT] = 1
                step.store[0][_POP_PREV] = 1

    def table(self) -> tuple[NDArray[np.void], NDArray[np.int64], NDArray[np.void]]:
        """Instruction table, the buffer of each instruction's address, and the micro-ops.

        The stream begins with one load of all micro-ops (from the start of the constants) and
        ends with FINISH, which waits for the last store.
        """
        self._set_tokens()
        rows: list[Row] = [load_row(Memory.UOP, 0, Buffer.CONSTANTS, 0, self.uop_count)]
        for step in self._steps:
            rows += [*step.loads, *step.pre, *step.main, *step.post, *step.store]
        self._steps[-1].store[-1][_PUSH_PREV] = 1
        rows.append(_row(Opcode.FINISH, pop_next=1))
        data = np.array(rows, np.int64)
        table = np.ascontiguousarray(data[:, :_WIDTH]).view(INSTRUCTION).reshape(-1)
        uops = np.array(self._uops, np.int64).view(UOP).reshape(-1)
        return table, data[:, _BUFFER], uops
