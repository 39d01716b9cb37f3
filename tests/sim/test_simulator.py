"""The simulator's face: arguments, faults by rule, and laws that need no second engine."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from codesign.errors import ProgramError
from codesign.hw.config import VtaConfig
from codesign.isa import (
    INSTRUCTION,
    UOP,
    AluOp,
    Memory,
    Opcode,
    decode,
    disassemble,
    encode,
    encode_uops,
)
from codesign.sim import Simulator
from codesign.sim.simulator import Engine

CFG = VtaConfig()
ENGINES: list[Engine] = ["cpp", "reference"]
LOAD, STORE, GEMM, FINISH, ALU = Opcode
LOOP = {"uop_end": 1, "iter_out": 1, "iter_in": 1}
DMA = {"y_size": 1, "x_size": 1, "x_stride": 1, "dram_base": 0x1000 // 16}
INP = {"opcode": LOAD, "memory_type": Memory.INP, **DMA}
OUT = {"opcode": STORE, "memory_type": Memory.OUT, **DMA}


def program(*rows: dict[str, int], cfg: VtaConfig = CFG, finish: bool = True) -> NDArray[np.uint8]:
    table = np.zeros(len(rows) + finish, INSTRUCTION)
    for index, row in enumerate(rows):
        for name, value in row.items():
            table[name][index] = value
    if finish:
        table["opcode"][-1] = FINISH
    return encode(table, cfg)


def memory() -> NDArray[np.uint8]:
    return np.zeros(4096, np.uint8)


WAIT = {"opcode": LOAD, "memory_type": Memory.UOP, "pop_prev": 1}
FAULTS: dict[str, tuple[int, list[dict[str, int]]]] = {
    "memory_type": (0, [{**INP, "memory_type": Memory.OUT}]),
    "feature": (0, [{**INP, "memory_type": Memory.ACC8}]),
    "y_size": (1, [INP, {**INP, "y_size": 0}]),
    "sram_footprint": (0, [{**INP, "sram_base": 2047, "x_pad_1": 1}]),
    "store_pads": (0, [{**OUT, "x_pad_0": 1}]),
    "token_bits": (0, [{**INP, "pop_prev": 1}]),
    "loop_bounds": (0, [{"opcode": GEMM, "uop_end": 1, "iter_out": 1}]),
    "alu_opcode": (0, [{"opcode": ALU, "alu_opcode": 6, **LOOP}]),
    "dram_range": (0, [{**INP, "dram_base": 0x2000 // 16}]),
    "index_range": (0, [{"opcode": GEMM, **LOOP, "iter_out": 3, "wgt_factor_out": 512}]),
    "finish_last": (0, [{"opcode": FINISH}]),
    "finish_order": (1, [{**INP, "y_size": 16}]),
    "deadlock": (1, [INP, WAIT]),
    "token_balance": (2, [{**INP, "push_next": 1}, {**WAIT, "push_prev": 1}]),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("rule", FAULTS)
def test_an_illegal_program_is_refused_by_name(rule: str, engine: Engine) -> None:
    index, rows = FAULTS[rule]
    stream = program(*rows)
    line = disassemble(decode(stream, CFG), CFG)[index].split(maxsplit=1)[1]
    with pytest.raises(ProgramError, match=rf"^instruction {index}: {rule}: ") as error:
        Simulator(CFG, engine).run(stream, memory())
    assert str(error.value).endswith(f" [{line}]")


@pytest.mark.parametrize("engine", ENGINES)
def test_an_unknown_opcode_is_refused(engine: Engine) -> None:
    stream = program(INP)
    stream[0, 0] = 7
    with pytest.raises(ProgramError, match=r"^instruction 0: opcode: .*\[\?7\]$"):
        Simulator(CFG, engine).run(stream, memory())


@pytest.mark.parametrize("engine", ENGINES)
def test_mul_needs_the_feature(engine: Engine) -> None:
    stream = program({"opcode": ALU, "alu_opcode": AluOp.MUL, **LOOP})
    with pytest.raises(ProgramError, match=r"instruction 0: feature: ALU MUL.*HAS_MUL false"):
        Simulator(CFG, engine).run(stream, memory())
    Simulator(dataclasses.replace(CFG, has_mul=True), engine).run(stream, memory())


@pytest.mark.parametrize("engine", ENGINES)
def test_more_than_255_waiting_tokens_are_refused(engine: Engine) -> None:
    push = {"opcode": LOAD, "memory_type": Memory.INP, "push_next": 1}
    busy = {"opcode": GEMM, **LOOP, "iter_out": 10_000}
    with pytest.raises(ProgramError, match=r"^instruction 256: token_overflow: "):
        Simulator(CFG, engine).run(
            program(busy, *[push] * 256, *[WAIT] * 256), None, timing_only=True
        )


@pytest.mark.parametrize("engine", ENGINES)
def test_a_full_queue_before_its_release_deadlocks(engine: Engine) -> None:
    # 513 loads wait for a token of a compute instruction that cannot be fetched behind them.
    wait = {"opcode": LOAD, "memory_type": Memory.INP, "pop_next": 1}
    give = {"opcode": LOAD, "memory_type": Memory.UOP, "push_prev": 1}
    with pytest.raises(ProgramError, match=r"^instruction 0: deadlock: "):
        Simulator(CFG, engine).run(program(*[wait] * 513, *[give] * 513), memory())


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("latency", [1, 18, 60])
def test_finish_alone_takes_seven_cycles_more_than_the_latency(
    engine: Engine, latency: int
) -> None:
    cfg = dataclasses.replace(CFG, read_latency=latency)
    result = Simulator(cfg, engine).run(program(), None, timing_only=True)
    assert result.cycles == latency + 7
    assert result.counters["instructions"] == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_a_product_is_stored_truncated(engine: Engine) -> None:
    """1x16 by 16x16: the identity weight gives the input back, plus the accumulator."""
    rng = np.random.default_rng(0)
    data = memory()
    inputs = rng.integers(-128, 128, 16).astype(np.int8)
    start = rng.integers(-(2**31), 2**31, 16).astype(np.int32)
    uops = np.zeros(1, UOP)
    data[:16] = inputs.view(np.uint8)
    data[256:512] = np.eye(16, dtype=np.uint8).reshape(-1)
    data[512:576] = start.view(np.uint8)
    data[1024:1028] = encode_uops(uops, CFG).reshape(-1)
    load = {"opcode": LOAD, "y_size": 1, "x_size": 1, "x_stride": 1}
    stream = program(
        {**load, "memory_type": Memory.UOP, "dram_base": (0x1000 + 1024) // 4},
        {**load, "memory_type": Memory.ACC, "dram_base": (0x1000 + 512) // 64},
        {**load, "memory_type": Memory.WGT, "dram_base": (0x1000 + 256) // 256},
        {**load, "memory_type": Memory.INP, "dram_base": 0x1000 // 16, "push_next": 1},
        {"opcode": GEMM, **LOOP, "pop_prev": 1, "push_next": 1},
        {**OUT, "dram_base": (0x1000 + 2048) // 16, "pop_prev": 1, "push_prev": 1},
        {"opcode": LOAD, "memory_type": Memory.UOP, "pop_next": 1},
    )
    result = Simulator(CFG, engine).run(stream.tobytes(), data)
    with np.errstate(over="ignore"):
        expected = (start + inputs.astype(np.int32)).astype(np.int8)
    assert (data[2048:2064].view(np.int8) == expected).all()
    moved: dict[str, Any] = {k: v for k, v in result.counters.items() if k.endswith("_bytes")}
    assert moved == {
        "inp_load_bytes": 16,
        "wgt_load_bytes": 256,
        "acc_load_bytes": 64,
        "uop_load_bytes": 4,
        "out_store_bytes": 16,
        "fetch_bytes": 8 * 16,
    }
    assert result.counters["gemm_uops"] == 1


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="allowed: cpp, reference"):
        Simulator(CFG, "verilog")  # type: ignore[arg-type]
    with pytest.raises(ProgramError, match="memory is None"):
        Simulator(CFG).run(program(), None)
    with pytest.raises(ProgramError, match="15 bytes; allowed: a positive multiple of 16"):
        Simulator(CFG).run(bytes(15), memory())
    for engine in ENGINES:
        with pytest.raises(ProgramError, match="the program has 0 bytes"):
            Simulator(CFG, engine).run(b"", memory())
    for wrong in ([1, 2], program().view(np.uint64), np.zeros(1, INSTRUCTION)):
        with pytest.raises(ProgramError, match="allowed: bytes or uint8"):
            Simulator(CFG).run(wrong, memory())  # type: ignore[arg-type]
    for wrong in (bytes(64), memory().astype(np.int8), memory().reshape(64, 64)[:, :16]):
        with pytest.raises(ProgramError, match="memory is"):
            Simulator(CFG).run(program(), wrong)  # type: ignore[arg-type]
    frozen = memory()
    frozen.flags.writeable = False
    with pytest.raises(ProgramError, match="writeable False"):
        Simulator(CFG).run(program(), frozen)


@pytest.mark.parametrize("engine", ENGINES)
def test_addresses_are_checked(engine: Engine) -> None:
    simulator = Simulator(CFG, engine)
    for wrong in (-4096, 2**63, 4096.0, "0x1000"):
        with pytest.raises(ProgramError, match=r"base_address is .*; allowed: an integer from 0"):
            simulator.run(program(), memory(), wrong)  # type: ignore[arg-type]
        with pytest.raises(ProgramError, match="instruction_address is "):
            simulator.run(program(), memory(), 4096, wrong)  # type: ignore[arg-type]
    expected = simulator.run(program(), memory(), 4096, 8192).counters
    assert simulator.run(program(), memory(), np.uint64(4096)).counters == expected  # type: ignore[arg-type]


def test_timing_is_fast() -> None:
    """A million instructions take well under a second; the limit has room for a busy machine."""
    stream = program(*[{"opcode": LOAD, "memory_type": Memory.UOP}] * 200_000)
    begin = time.perf_counter()
    Simulator(CFG).run(stream, None, timing_only=True)
    assert time.perf_counter() - begin < 2.0
