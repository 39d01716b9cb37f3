"""Energy of a run: its counters times prices of single actions. Estimated, never measured.

Prices are for the accelerator as a chip in the process of ``data/energy.json``, which cites every
figure; none is fitted here. The rules that scale them:

* multiplier: product of the operands' widths; adder: width of the result (Horowitz 2014);
* on-chip memory: a bit costs a + b·sqrt(bytes of the memory), periphery and wires, through the two
  scratchpads of Eyeriss (2016); an access costs its width. Horowitz' caches, which read tags too,
  are 1.3 to 1.6 times as dear from 8 KiB to 1 MiB;
* array: an input crosses the GEMM core to all its columns, one of Eyeriss' hops of 1–2 mm a bit;
* DRAM: by the bit, whatever the accelerator's process;
* leakage: off transistors times time; a memory cell has three that leak and one gate, a
  multiply-accumulate unit an array multiplier and an adder, half of whose transistors are off;
* process: feature size times supply squared (Dennard 1974), leakage and DRAM apart.

Together they give Eyeriss' published ratios, register file 1 : array 2 : buffer 6 : DRAM 200.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from math import sqrt
from typing import Any

from codesign.hw.config import VtaConfig

PARTS = ("mac", "alu", "array", "inp", "wgt", "acc", "out", "uop", "dram", "leakage")


@dataclass(frozen=True)
class Process:
    """A chip technology: dynamic energy scales with feature size times supply squared."""

    feature_nm: float
    supply_v: float


@cache
def energy_table() -> Mapping[str, Any]:
    """The published figures and their sources (``codesign/hw/data/energy.json``)."""
    file = resources.files("codesign.hw") / "data" / "energy.json"
    return json.loads(file.read_bytes())


@cache
def reference_process() -> Process:
    """The process that prices are for: 45 nm at 0.9 V."""
    process = energy_table()["process"]
    return Process(process["feature_nm"], process["supply_v"])


def _published(name: str) -> Any:
    return energy_table()["published"][name]["value"]


def _scale(process: Process | None) -> float:
    reference = reference_process()
    process = process or reference
    ratio = process.supply_v / reference.supply_v
    return process.feature_nm / reference.feature_nm * ratio * ratio


def mac_pj(
    inp_bits: int, wgt_bits: int, acc_bits: int = 32, process: Process | None = None
) -> float:
    """Energy of one multiply-accumulate: a multiplier and an adder of ``acc_bits``."""
    multiply = _published("multiply_8_bit_pj") * inp_bits * wgt_bits / 64
    return _scale(process) * multiply + add_pj(acc_bits, process)


def add_pj(bits: int, process: Process | None = None) -> float:
    """Energy of one integer addition, comparison or shift."""
    return _scale(process) * _published("add_32_bit_pj") * bits / 32


def sram_pj_per_byte(nbytes: int, process: Process | None = None) -> float:
    """Energy of a byte in or out of an on-chip memory of ``nbytes``, at any width."""
    anchors = energy_table()["published"]
    small, large = anchors["register_file_to_mac"], anchors["buffer_to_mac"]
    roots = sqrt(small["bytes"]), sqrt(large["bytes"])
    wires = (large["value"] - small["value"]) / (roots[1] - roots[0])
    relative = small["value"] + wires * (sqrt(nbytes) - roots[0])
    return relative * mac_pj(16, 16, process=process) / 2


def array_pj_per_byte(process: Process | None = None) -> float:
    """Energy of a byte over one hop between processing elements."""
    return _published("array_to_mac") * mac_pj(16, 16, process=process) / 2


def dram_pj_per_byte() -> float:
    """Energy of a byte in or out of DRAM."""
    return _published("dram_64_bit_pj") / 8


def leakage_mw(cfg: VtaConfig) -> float:
    """Static power of the memories and the multiply-accumulate units."""
    um = reference_process().feature_nm / 1000
    cell = _published("cell_widths_in_features")
    subthreshold, gate = _published("subthreshold_a_per_um"), _published("gate_a_per_um")
    per_bit = um * (subthreshold * sum(cell.values()) + gate * cell["pull_down"])
    transistors = _published("transistors")
    adders = (cfg.wgt_bits - 1) * cfg.inp_bits + cfg.acc_bits
    of_mac = transistors["and_gate"] * cfg.inp_bits * cfg.wgt_bits
    of_mac += transistors["full_adder"] * adders
    per_mac = um * of_mac / 2 * (subthreshold + gate) * cell["pull_down"]
    amperes = 8 * cfg.sram_bytes * per_bit + cfg.pes * per_mac
    return 1e3 * _published("leakage_supply_v") * amperes


@lru_cache(maxsize=4096)
def energy_prices_pj(cfg: VtaConfig) -> Mapping[str, Mapping[str, float]]:
    """Part (`PARTS`) → counter of the simulator → picojoules each.

    Energy is linear in the counters, so that rows of traces are priced as one matrix product. A
    GEMM micro-op reads an input, a weight and an accumulator element and writes accumulator and
    output; an ALU micro-op reads and writes one element (its immediate form) and the output too; a
    reset writes accumulators. Transfers write or read the memory that they name, and DRAM.
    """
    acc_bytes = 1 << cfg.log_acc_buff_size
    inp = sram_pj_per_byte(1 << cfg.log_inp_buff_size)
    wgt = sram_pj_per_byte(1 << cfg.log_wgt_buff_size)
    acc = sram_pj_per_byte(acc_bytes)
    out = sram_pj_per_byte(acc_bytes * cfg.out_bits // cfg.acc_bits)
    uop = sram_pj_per_byte(1 << cfg.log_uop_buff_size)
    moved = ("inp_load", "wgt_load", "acc_load", "uop_load", "out_store", "fetch")
    acc_pj, out_pj = cfg.acc_element_bytes * acc, cfg.out_element_bytes * out
    uop_pj, inp_bytes = cfg.uop_bytes * uop, cfg.inp_element_bytes
    lanes = cfg.batch * cfg.block_out
    return {
        "mac": {"gemm_uops": cfg.pes * mac_pj(cfg.inp_bits, cfg.wgt_bits, cfg.acc_bits)},
        "alu": {"alu_uops": lanes * add_pj(cfg.acc_bits)},
        "array": {"gemm_uops": inp_bytes * array_pj_per_byte()},
        "inp": {"gemm_uops": inp_bytes * inp, "inp_load_bytes": inp},
        "wgt": {"gemm_uops": cfg.wgt_element_bytes * wgt, "wgt_load_bytes": wgt},
        "acc": {
            "gemm_uops": 2 * acc_pj,
            "gemm_reset_uops": acc_pj,
            "alu_uops": 2 * acc_pj,
            "acc_load_bytes": acc,
        },
        "out": {"gemm_uops": out_pj, "alu_uops": out_pj, "out_store_bytes": out},
        "uop": {
            "gemm_uops": uop_pj,
            "gemm_reset_uops": uop_pj,
            "alu_uops": uop_pj,
            "uop_load_bytes": uop,
        },
        "dram": {f"{name}_bytes": dram_pj_per_byte() for name in moved},
        "leakage": {"cycles": 1e3 * leakage_mw(cfg) / cfg.frequency_mhz},
    }


def energy_parts_mj(counters: Mapping[str, int], cfg: VtaConfig) -> dict[str, float]:
    """Estimated millijoules by part (`PARTS`); the whole is their sum.

    Parameters
    ----------
    counters : the simulator's counters, of a run or of a row of traces
    """
    return {
        part: 1e-9 * sum(price * counters[name] for name, price in prices.items())
        for part, prices in energy_prices_pj(cfg).items()
    }


def energy_mj(counters: Mapping[str, int], cfg: VtaConfig) -> float:
    """Estimated millijoules of a run with these counters."""
    return sum(energy_parts_mj(counters, cfg).values())


def dram_bytes(counters: Mapping[str, int]) -> int:
    """Bytes over the memory bus: loads, stores and instruction fetch."""
    loads = ("inp_load_bytes", "wgt_load_bytes", "acc_load_bytes", "uop_load_bytes")
    return sum(counters[name] for name in (*loads, "out_store_bytes", "fetch_bytes"))
