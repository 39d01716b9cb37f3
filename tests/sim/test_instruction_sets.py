"""Every set of kernels that this processor can run gives the reference's bytes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from codesign.hw.config import VtaConfig
from codesign.hw.feasibility import violations
from codesign.hw.space import load_space
from codesign.isa import INSTRUCTION, UOP, AluOp, Memory, Opcode, encode, encode_uops
from codesign.testing.engines import assert_engines_agree
from codesign.testing.programs import BASE_ADDRESS, Program


def loops(cfg: VtaConfig, seed: int) -> Program:
    """Large nests over rows, reductions and both, with colliding and with separate indices."""
    rng = np.random.default_rng(seed)
    size = (cfg.uop_bytes, cfg.wgt_element_bytes, cfg.inp_element_bytes)
    uops = np.zeros(24, UOP)
    uops["src"][:8] = rng.integers(0, 8, 8)  # a reduction: one dst
    uops["wgt"][:8] = rng.integers(0, 8, 8)
    uops["dst"][8:16] = np.arange(8)  # rows: one wgt
    uops["src"][8:16] = rng.integers(0, 8, 8)
    uops["dst"][16:] = rng.integers(0, 4, 8)  # neither
    uops["src"][16:] = rng.integers(0, 8, 8)
    uops["wgt"][16:] = rng.integers(0, 8, 8)
    memory = rng.integers(0, 256, 3 * 65536, dtype=np.uint8)
    encoded = encode_uops(uops, cfg).ravel()
    memory[: encoded.size] = encoded
    rows: list[dict[str, int]] = []

    def load(kind: Memory, count: int, region: int) -> None:
        base = (BASE_ADDRESS + region * 65536) // size[kind]
        fields = {"dram_base": base, "y_size": 1, "x_size": count, "x_stride": count}
        rows.append({"opcode": Opcode.LOAD, "memory_type": kind, **fields})

    load(Memory.UOP, 24, 0)
    load(Memory.INP, 32, 1)
    load(Memory.WGT, 16, 1)
    rows[-1]["push_next"] = 1
    first = len(rows)
    for _ in range(24):
        begin, end = [(0, 8), (8, 16), (16, 24), (0, 16), (8, 24), (9, 10)][int(rng.integers(6))]
        gemm = rng.random() < 0.75
        row: dict[str, int] = {"opcode": Opcode.GEMM if gemm else Opcode.ALU}
        row |= {"uop_bgn": begin, "uop_end": end}
        row |= {"iter_out": int(rng.integers(1, 5)), "iter_in": int(rng.integers(1, 5))}
        for axis in ("out", "in"):
            row[f"dst_factor_{axis}"] = int(rng.choice([0, 0, 1, 2, 4, 8]))
            row[f"src_factor_{axis}"] = int(rng.choice([0, 1, 2]))
            if gemm:
                row[f"wgt_factor_{axis}"] = int(rng.choice([0, 0, 1]))
        if not gemm:
            row |= {"alu_opcode": int(rng.choice([op for op in AluOp if op is not AluOp.MUL]))}
            row |= {"use_imm": int(rng.integers(2)), "imm": int(rng.integers(-40, 40))}
        rows.append(row)
    rows[first]["pop_prev"] = 1
    rows[-1]["push_next"] = 1
    store = {"y_size": 1, "x_size": 48, "x_stride": 48}
    store |= {"dram_base": (BASE_ADDRESS + 2 * 65536) // cfg.out_element_bytes}
    rows.append({"opcode": Opcode.STORE, "memory_type": Memory.OUT, "pop_prev": 1, **store})
    rows[-1]["push_prev"] = 1
    rows.append({"opcode": Opcode.LOAD, "memory_type": Memory.UOP, "pop_next": 1})
    rows.append({"opcode": Opcode.FINISH})
    table = np.zeros(len(rows), INSTRUCTION)
    for index, row in enumerate(rows):
        for field, value in row.items():
            table[field][index] = value
    return Program(encode(table, cfg), memory, BASE_ADDRESS)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("blocks", [(4, 4), (3, 5), (2, 3), (0, 0), (5, 4), (1, 2)])
def test_loop_nests(seed: int, blocks: tuple[int, int]) -> None:
    small = {"log_uop_buff_size": 9, "log_inp_buff_size": 13, "log_wgt_buff_size": 15}
    cfg = dataclasses.replace(
        VtaConfig(),
        log_block_in=blocks[0],
        log_block_out=blocks[1],
        log_batch=seed % 3,
        log_acc_buff_size=15,
        encoding="wide",
        **small,
    )
    assert_engines_agree(cfg, loops(cfg, seed))


@pytest.mark.parametrize("widths", [(2, 2), (2, 1), (3, 2), (1, 3), (0, 0)])
@pytest.mark.parametrize("blocks", [(4, 4), (3, 5), (5, 4)])
def test_narrow_data(widths: tuple[int, int], blocks: tuple[int, int]) -> None:
    """Inputs and weights of 1 to 8 bits, batches of 1 to 4."""
    inp, wgt = widths
    cfg = dataclasses.replace(
        VtaConfig(),
        log_inp_width=inp,
        log_wgt_width=wgt,
        log_block_in=blocks[0],
        log_block_out=blocks[1],
        log_batch=(inp + wgt + blocks[0]) % 3,
        log_uop_buff_size=9,
        log_inp_buff_size=11,
        log_wgt_buff_size=13,
        log_acc_buff_size=15,
        encoding="wide",
    )
    assert not violations(cfg)
    assert_engines_agree(cfg, loops(cfg, 3 * inp + wgt))


def test_the_largest_machine() -> None:
    """64×64 blocks and 2 MiB of SRAM."""
    cfg = next(
        cfg
        for cfg in load_space("neuhardco").configs()
        if (cfg.block_in, cfg.block_out) == (64, 64) and cfg.log_wgt_buff_size == 20
    )
    assert_engines_agree(cfg, loops(cfg, 1))
