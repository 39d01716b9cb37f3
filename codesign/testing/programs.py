"""Random legal configurations and programs, for differential tests of simulators and hardware.

Everything comes from the generator that is passed in: the same seed gives the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.hw.config import VtaConfig
from codesign.hw.feasibility import violations
from codesign.isa import INSTRUCTION, UOP, AluOp, Memory, Opcode, encode, encode_uops
from codesign.isa.tables import Module, depth, element_bytes

Row = dict[str, int]

BASE_ADDRESS = 0x10000
_PAGE = 4096
_POOL = 64  # micro-ops in DRAM
_FLAGS = {
    Module.LOAD: (("pop_next", "g2l"), ("push_next", "l2g")),
    Module.COMPUTE: (
        ("pop_prev", "l2g"),
        ("pop_next", "s2g"),
        ("push_prev", "g2l"),
        ("push_next", "g2s"),
    ),
    Module.STORE: (("pop_prev", "g2s"), ("push_prev", "s2g")),
}


@dataclass(frozen=True)
class Program:
    """A stream and the DRAM it runs on: ``memory[0]`` has the address ``base_address``."""

    instructions: NDArray[np.uint8]
    memory: NDArray[np.uint8]
    base_address: int


def random_config(rng: np.random.Generator) -> VtaConfig:
    """A legal configuration: any widths, rectangular blocks, buses, latencies, both encodings."""
    while True:
        cfg = _draw_config(rng)
        if not violations(cfg):
            return cfg


def random_program(rng: np.random.Generator, cfg: VtaConfig, length: int) -> Program:
    """About ``length`` instructions of every kind, all modules at work at once.

    Legal: indices and transfers in range, tokens balanced, free of deadlocks, FINISH causally
    last. Loads and stores use separate DRAM regions.
    """
    return _Builder(rng, cfg).build(length)


def _draw_config(rng: np.random.Generator) -> VtaConfig:
    def pick(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    narrow = rng.random() < 0.3
    inp, wgt = (pick(0, 3), pick(0, 3)) if narrow else (3, 3)
    batch = int(rng.choice([0, 0, 1, 2]))
    block_in, block_out = pick(0, 5), pick(0, 5)
    wide = rng.random() < 0.4
    return VtaConfig(
        log_inp_width=inp,
        log_wgt_width=wgt,
        log_batch=batch,
        log_block=pick(2, 5),
        log_block_in=block_in,
        log_block_out=block_out,
        log_uop_buff_size=pick(3, 8) + 3,
        log_inp_buff_size=pick(2, 7) + inp + batch + block_in - 3,
        log_wgt_buff_size=pick(1, 5) + wgt + block_in + block_out - 3,
        log_acc_buff_size=pick(2, 7) + 5 + batch + block_out - 3,
        bus_bits=1 << pick(6, 9),
        max_burst_beats=1 << pick(0, 8),
        read_latency=int(rng.choice([0, 1, 2, 7, 18, 60, 120])),
        write_address_latency=pick(0, 4),
        write_response_latency=pick(1, 8),
        outstanding_reads=int(rng.choice([1, 2, 4, 16, 64])),
        has_mul=bool(rng.random() < 0.5),
        has_acc8=bool(inp == 3 and rng.random() < 0.5),
        encoding="wide" if wide else "vta",
    )


class _Builder:
    """Appends instructions in an order in which they could run one after another."""

    def __init__(self, rng: np.random.Generator, cfg: VtaConfig) -> None:
        self.rng = rng
        self.cfg = cfg
        self.rows: list[Row] = []
        self.tokens = {"g2l": 0, "l2g": 0, "g2s": 0, "s2g": 0}
        self.push_bias = float(rng.random())
        self.pool = self._random_uops()
        self.on_chip = np.zeros(depth(Memory.UOP, cfg), UOP)
        element = max(element_bytes(kind, cfg) for kind in Memory)
        # Three regions: micro-ops, operands, results.
        self.region = -(-max(40 * element, 8 * _POOL) // _PAGE) * _PAGE

    def build(self, length: int) -> Program:
        self.load_uops()
        while len(self.rows) < length:
            kinds = [self.transfer, self.loops, self.store, self.noop, self.load_uops]
            kinds[int(self.rng.choice(5, p=[0.35, 0.35, 0.15, 0.1, 0.05]))]()
        if self.rng.random() < 0.05:
            for _ in range(int(self.rng.integers(500, 700))):
                self.append(Module.LOAD, self._empty(Module.LOAD), tokens=False)
        self.drain()
        table = np.zeros(len(self.rows), INSTRUCTION)
        for index, row in enumerate(self.rows):
            for name, value in row.items():
                table[name][index] = value
        memory = self.rng.integers(0, 256, 3 * self.region, dtype=np.uint8)
        pool = encode_uops(self.pool, self.cfg).ravel()
        memory[: pool.size] = pool
        return Program(encode(table, self.cfg), memory, BASE_ADDRESS)

    def pick(self, low: int, high: int) -> int:
        """Between the bounds, both included; small values more often."""
        return low + int((high - low + 1) * self.rng.random() ** 2)

    # Tokens ------------------------------------------------------------------------------

    def append(self, module: Module, row: Row, tokens: bool = True) -> None:
        for flag, token in _FLAGS[module]:
            if not tokens:
                break
            if flag.startswith("pop") and self.tokens[token] and self.rng.random() < 0.5:
                row[flag] = 1
        for flag, token in _FLAGS[module]:
            if row.get(flag) and flag.startswith("pop"):
                self.tokens[token] -= 1
            elif flag.startswith("push") and tokens and self.rng.random() < self.push_bias:
                row[flag] = 1
            if row.get(flag) and flag.startswith("push"):
                self.tokens[token] += 1
        self.rows.append(row)

    def drain(self) -> None:
        """Consume every token; let FINISH wait for the last LOAD and the last STORE."""
        for module, token, pop, push in (
            (Module.LOAD, "g2l", "pop_next", "push_next"),
            (Module.STORE, "g2s", "pop_prev", "push_prev"),
        ):
            while self.tokens[token]:
                self.append(module, {**self._empty(module), pop: 1}, tokens=False)
            self.append(module, {**self._empty(module), push: 1}, tokens=False)
        while self.tokens["l2g"] or self.tokens["s2g"]:
            row = self._empty(Module.COMPUTE)
            row["pop_prev"] = int(self.tokens["l2g"] > 0)
            row["pop_next"] = int(self.tokens["s2g"] > 0)
            self.append(Module.COMPUTE, row, tokens=False)
        self.rows.append({"opcode": Opcode.FINISH})

    # Instructions ------------------------------------------------------------------------

    def _empty(self, module: Module) -> Row:
        if module is Module.STORE:
            return {"opcode": Opcode.STORE}
        memory = Memory.INP if module is Module.LOAD else Memory.UOP
        return {"opcode": Opcode.LOAD, "memory_type": memory}

    def noop(self) -> None:
        module = Module(int(self.rng.integers(3)))
        self.append(module, self._empty(module))

    def transfer(self) -> None:
        kinds = [Memory.INP, Memory.WGT, Memory.ACC] + [Memory.ACC8] * self.cfg.has_acc8
        kind = kinds[int(self.rng.integers(len(kinds)))]
        module = Module.LOAD if kind in (Memory.INP, Memory.WGT) else Module.COMPUTE
        row = self._rectangle(kind, 1, pads=self.rng.random() < 0.5)
        self.append(module, {"opcode": Opcode.LOAD, **row})

    def store(self) -> None:
        row = self._rectangle(Memory.OUT, 2, pads=False)
        self.append(Module.STORE, {"opcode": Opcode.STORE, **row})

    def load_uops(self) -> None:
        size = self.cfg.uop_bytes
        count = self.pick(1, min(_POOL, len(self.on_chip)))
        first = self.pick(0, _POOL - count)
        sram = self.pick(0, len(self.on_chip) - count)
        self.on_chip[sram : sram + count] = self.pool[first : first + count]
        row = {
            "opcode": Opcode.LOAD,
            "memory_type": Memory.UOP,
            "sram_base": sram,
            "dram_base": BASE_ADDRESS // size + first,
            "y_size": 1,
            "x_size": count,
            "x_stride": count,
        }
        self.append(Module.COMPUTE, row)

    def _rectangle(self, kind: Memory, region: int, pads: bool) -> Row:
        """A transfer that fits the memory and its DRAM region."""
        size = element_bytes(kind, self.cfg)
        limit = depth(kind, self.cfg)
        elements = self.region // size
        while True:
            rows, columns = self.pick(1, 8), self.pick(1, 24)
            stride = columns if self.rng.random() < 0.4 else self.pick(0, 2 * columns)
            top, bottom, left, right = (self.pick(0, 3) if pads else 0 for _ in range(4))
            if pads and self.rng.random() < 0.5:
                left = right = 0
            footprint = (left + columns + right) * (top + rows + bottom)
            span = (rows - 1) * stride + columns
            if footprint <= limit and span <= min(elements, 40):
                break
        origin = (BASE_ADDRESS + region * self.region) // size
        return {
            "memory_type": kind,
            "sram_base": self.pick(0, limit - footprint),
            "dram_base": origin + int(self.rng.integers(elements - span + 1)),
            "y_size": rows,
            "x_size": columns,
            "x_stride": stride,
            "y_pad_0": top,
            "y_pad_1": bottom,
            "x_pad_0": left,
            "x_pad_1": right,
        }

    def loops(self) -> None:
        gemm = bool(self.rng.random() < 0.5)
        count = self.pick(1, min(12, len(self.on_chip)))
        begin = self.pick(0, len(self.on_chip) - count)
        outer, inner = self.pick(1, 5), self.pick(1, 5)
        row: Row = {
            "opcode": Opcode.GEMM if gemm else Opcode.ALU,
            "uop_bgn": begin,
            "uop_end": begin + count,
            "iter_out": outer,
            "iter_in": inner,
        }
        used = self.on_chip[begin : begin + count]
        source = Memory.INP if gemm else Memory.ACC
        operands = [("dst", Memory.ACC), ("src", source)] + [("wgt", Memory.WGT)] * gemm
        for name, memory in operands:
            room = depth(memory, self.cfg) - 1 - int(used[name].max())
            if room < 0:
                return
            step_out = self.pick(0, room // max(1, outer - 1))
            row[f"{name}_factor_out"] = min(step_out, depth(memory, self.cfg) - 1)
            room -= row[f"{name}_factor_out"] * (outer - 1)
            step_in = self.pick(0, room // max(1, inner - 1))
            row[f"{name}_factor_in"] = min(step_in, depth(memory, self.cfg) - 1)
        if gemm:
            row["reset"] = int(self.rng.random() < 0.2)
        else:
            operations = [op for op in AluOp if op is not AluOp.MUL or self.cfg.has_mul]
            row["alu_opcode"] = operations[int(self.rng.integers(len(operations)))]
            row["use_imm"] = int(self.rng.random() < 0.6)
            span = 40 if self.rng.random() < 0.7 else 2**15
            row["imm"] = int(self.rng.integers(-span, span))
        self.append(Module.COMPUTE, row)

    def _random_uops(self) -> NDArray[np.void]:
        """Indices in the lower half of each memory mostly, so that factors have room."""
        pool = np.zeros(_POOL, UOP)
        limits = {
            "dst": depth(Memory.ACC, self.cfg),
            "src": min(depth(Memory.ACC, self.cfg), depth(Memory.INP, self.cfg)),
            "wgt": depth(Memory.WGT, self.cfg),
        }
        for name, limit in limits.items():
            pool[name] = (limit * self.rng.random(_POOL) ** 2).astype(np.int64)
        return pool
