"""Energy estimate of a run: event counts times a per-action table. Estimated, never measured.

The table is for a 45 nm process at 0.9 V after M. Horowitz, "Computing's energy problem", ISSCC
2014: 8-bit multiply 0.2 pJ and 32-bit add 0.1 pJ; 64-bit access to an 8 KiB SRAM 10 pJ and to 1 MiB
100 pJ, between them close to the square root of the size; DRAM 1.3 nJ per 64 bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

from codesign.hw.config import VtaConfig

MAC_PJ = 0.3
ALU_PJ = 0.1
SRAM_PJ_PER_BYTE_AT_8KIB = 1.25
DRAM_PJ_PER_BYTE = 162.5
PARTS = ("mac", "alu", "sram", "dram")


def sram_pj_per_byte(nbytes: int) -> float:
    """Energy of moving one byte in or out of a scratchpad of ``nbytes``."""
    return SRAM_PJ_PER_BYTE_AT_8KIB * sqrt(nbytes / 8192)


def energy_parts_mj(counters: Mapping[str, int], cfg: VtaConfig) -> dict[str, float]:
    """Estimated millijoules by part (`PARTS`); the whole is their sum.

    Parameters
    ----------
    counters : the simulator's counters (micro-ops, bytes moved)
    """
    inp, wgt, acc, uop = (
        sram_pj_per_byte(1 << log)
        for log in (
            cfg.log_inp_buff_size,
            cfg.log_wgt_buff_size,
            cfg.log_acc_buff_size,
            cfg.log_uop_buff_size,
        )
    )
    gemm, alu = counters["gemm_uops"], counters["alu_uops"]
    reads = cfg.inp_element_bytes * inp + cfg.wgt_element_bytes * wgt + cfg.uop_bytes * uop
    moved = {
        "inp_load_bytes": inp,
        "wgt_load_bytes": wgt,
        "acc_load_bytes": acc,
        "uop_load_bytes": uop,
        "out_store_bytes": acc,
    }
    sram = gemm * (reads + 2 * cfg.acc_element_bytes * acc)
    sram += alu * (3 * cfg.acc_element_bytes * acc + cfg.uop_bytes * uop)
    sram += sum(counters[name] * price for name, price in moved.items())
    picojoules = {
        "mac": gemm * cfg.pes * MAC_PJ,
        "alu": alu * cfg.batch * cfg.block_out * ALU_PJ,
        "sram": sram,
        "dram": dram_bytes(counters) * DRAM_PJ_PER_BYTE,
    }
    return {part: value * 1e-9 for part, value in picojoules.items()}


def dram_bytes(counters: Mapping[str, int]) -> int:
    """Bytes over the memory bus: loads, stores and instruction fetch."""
    loads = ("inp_load_bytes", "wgt_load_bytes", "acc_load_bytes", "uop_load_bytes")
    return sum(counters[name] for name in (*loads, "out_store_bytes", "fetch_bytes"))
