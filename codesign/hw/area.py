"""FPGA resources of a configuration in closed form, by module (T0). Estimated, never measured.

The unit is an UltraScale+ device as Yosys 0.70 maps it (``synth_xilinx -family xcup``):

* ``gemm``: a product of 9 bits or more is one DSP, a smaller one LUTs; each of BATCH x BLOCK_OUT
  columns has registered products, a binary tree of adders, whose widths grow by a bit a level, and
  an accumulator. DSPs and LUTs of columns of 4, 16 and 64 products of 8 x 8 bits equal Yosys';
* ``alu``: BATCH x BLOCK_OUT lanes of 398 LUTs and 32 FFs at 32 bits (add, min, max, shift both
  ways); HAS_MUL adds 3 DSPs and 29 LUTs a lane;
* memories: blocks of at most 64 bits, as upstream lays them out, each in the cheapest shape of a
  RAMB36; upstream's instruction queue of 512 entries beside them;
* ``ports``: one LUT a bit of the multiplexers before ACC (three writers), OUT (two) and the bus;
* ``control``: instruction and micro-op registers and the counters that address the memories, by
  their widths, one FF a bit and for a counter one LUT; fetch, queues and AXI are what is left of
  the anchor, a constant.

The anchor is upstream's 1x16x16 with the buffers of ``pynq``: 18 914 LUTs, 7 275 FFs, 256 DSPs and
122 RAMB36. Lou et al. (NAF) give two other rules, `naf_dsp` and `naf_bram36`; ``rule="naf"``
counts DSPs by their packing and memories by their fixed shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import log2
from typing import Literal

from codesign.hw.config import VtaConfig

Rule = Literal["yosys", "naf"]

RESOURCES = ("dsp", "bram36", "lut", "ff")

_SHAPES = ((72, 512), (36, 1024), (18, 2048), (9, 4096), (4, 8192), (2, 16384), (1, 32768))
"""Bits by words of a RAMB36; 72 bits with one port to read and one to write."""

_BLOCK_BITS = 64
_QUEUE_ENTRIES = 512
_MODULES = 4
"""Fetch, load, compute and store."""
_DSP_PRODUCT_BITS = 9
_SOFT_PRODUCT_LUT = 26 / 16
"""LUTs a pair of operand bits of a product without DSP: 26 for 4 x 4 bits."""

_LANE_LUT, _LANE_FF, _LANE_BITS = 398, 32, 32
_MULTIPLY_DSP, _MULTIPLY_LUT = 3, 29
_ANCHOR_LUT, _ANCHOR_FF = 18914, 7275


@dataclass(frozen=True)
class Area:
    """Resources of a module or a whole accelerator."""

    dsp: int = 0
    bram36: int = 0
    lut: int = 0
    ff: int = 0

    def __add__(self, other: Area) -> Area:
        return Area(*(getattr(self, name) + getattr(other, name) for name in RESOURCES))


def area(cfg: VtaConfig, rule: Rule = "yosys") -> Area:
    """Estimated resources of the whole accelerator: the sum of `area_parts`."""
    return sum(area_parts(cfg, rule).values(), Area())


@lru_cache(maxsize=4096)
def area_parts(cfg: VtaConfig, rule: Rule = "yosys") -> Mapping[str, Area]:
    """Estimated resources by module: the compute units, each memory, ports and control."""
    return {**_datapath(cfg, rule), **_memories(cfg, rule), "control": _control(cfg)}


def _datapath(cfg: VtaConfig, rule: Rule) -> dict[str, Area]:
    lanes = cfg.batch * cfg.block_out
    product = cfg.inp_bits + cfg.wgt_bits
    levels = round(log2(cfg.block_in))
    tree = sum((cfg.block_in >> (level + 1)) * (product + level) for level in range(levels))
    soft = round(_SOFT_PRODUCT_LUT * cfg.inp_bits * cfg.wgt_bits)
    column = Area(
        lut=tree + cfg.acc_bits + cfg.block_in * soft * (not _uses_dsp(cfg, rule)),
        ff=cfg.block_in * product,
    )
    shift = cfg.acc_bits / _LANE_BITS
    lane = Area(
        dsp=_MULTIPLY_DSP * cfg.has_mul,
        lut=round(_LANE_LUT * shift) + _MULTIPLY_LUT * cfg.has_mul,
        ff=round(_LANE_FF * shift),
    )
    acc, out = 8 * cfg.acc_element_bytes, 8 * cfg.out_element_bytes
    return {
        "gemm": Area(_mac_dsps(cfg, rule), 0, lanes * column.lut, lanes * column.ff),
        "alu": Area(lanes * lane.dsp, 0, lanes * lane.lut, lanes * lane.ff),
        "ports": Area(lut=acc + out + cfg.bus_bits, ff=out + cfg.bus_bits),
    }


def _control(cfg: VtaConfig) -> Area:
    """Registers and counters by their widths, and what all modules leave of the anchor."""
    here, anchor = _addressing(cfg), _addressing(VtaConfig())
    known = sum(_datapath(VtaConfig(), "yosys").values(), anchor)
    return Area(lut=here.lut + _ANCHOR_LUT - known.lut, ff=here.ff + _ANCHOR_FF - known.ff)


def _addressing(cfg: VtaConfig) -> Area:
    """Instruction registers of four modules, the micro-op register, and address counters.

    GEMM keeps an index of ACC, INP and WGT for either loop and their sum, the ALU two of ACC;
    both count micro-ops, and each memory has a counter of transfers.
    """
    acc, inp, wgt, uop = cfg.log_acc_depth, cfg.log_inp_depth, cfg.log_wgt_depth, cfg.log_uop_depth
    counters = 3 * (acc + inp + wgt) + 3 * 2 * acc + 2 * uop + (uop + inp + wgt + 2 * acc)
    registers = 8 * (_MODULES * cfg.instruction_bytes + cfg.uop_bytes)
    return Area(lut=counters, ff=counters + registers)


def _uses_dsp(cfg: VtaConfig, rule: Rule) -> bool:
    if rule == "naf":
        return naf_packing(max(cfg.inp_bits, cfg.wgt_bits)) > 0
    return cfg.inp_bits + cfg.wgt_bits >= _DSP_PRODUCT_BITS


def _mac_dsps(cfg: VtaConfig, rule: Rule) -> int:
    if rule == "naf":
        return -int(-naf_packing(max(cfg.inp_bits, cfg.wgt_bits)) * cfg.pes // 1)
    return cfg.pes * _uses_dsp(cfg, rule)


def _memories(cfg: VtaConfig, rule: Rule) -> dict[str, Area]:
    shapes = {
        "inp": (8 * cfg.inp_element_bytes, cfg.inp_depth),
        "wgt": (8 * cfg.wgt_element_bytes, cfg.wgt_depth),
        "acc": (8 * cfg.acc_element_bytes, cfg.acc_depth),
        "out": (8 * cfg.out_element_bytes, cfg.acc_depth),
        "uop": (8 * cfg.uop_bytes, cfg.uop_depth),
        "queue": (8 * cfg.instruction_bytes, _QUEUE_ENTRIES),
    }
    count = _blocks_bram36 if rule == "yosys" else _fixed_bram36
    return {name: Area(bram36=count(*shape)) for name, shape in shapes.items()}


def _blocks_bram36(bits: int, words: int) -> int:
    block = min(bits, _BLOCK_BITS)
    cheapest = min(-(-block // wide) * -(-words // deep) for wide, deep in _SHAPES)
    return -(-bits // block) * cheapest


def _fixed_bram36(bits: int, words: int, wide: int = 36, deep: int = 1024) -> int:
    return -(-bits // wide) * -(-words // deep)


def naf_packing(bits: int) -> float:
    """DSPs a product whose wider operand has ``bits``: Ψ of Lou et al. (NAF), equation 8."""
    if bits > 16:
        raise ValueError(f"a product of {bits}-bit operands is outside the rule; at most 16 bits")
    return 1.0 if bits > 8 else 0.5 if bits > 4 else 0.0


def naf_dsp(bits: int, depthwise: int, pointwise_1: int, pointwise_2: int) -> int:
    """DSPs of a block processing unit with these products in its three cores, equation 8.

    Two products of a depthwise core share no operand, so that it packs none from 5 bits on.
    """
    packing = naf_packing(bits)
    alone = 1.0 if packing else 0.0
    return -int(-(alone * depthwise + packing * (pointwise_1 + pointwise_2)) // 1)


def naf_bram36(
    bits: int,
    acc_bits: int,
    channels: int,
    tile: tuple[int, int],
    out_groups: int,
    shape: tuple[int, int] = (36, 1024),
) -> int:
    """BRAMs of a block processing unit's buffers, equation 9: inputs and partial sums, doubled.

    Parameters
    ----------
    bits, acc_bits : widths of an activation and of a partial sum
    channels : Tn, channels side by side in a word
    tile : Th, Tw, rows and columns of a tile
    out_groups : M_max / Tm, groups of output channels whose partial sums are kept
    shape : bits and words of one BRAM
    """
    pixels = tile[0] * tile[1]
    inputs = _fixed_bram36(bits * channels, pixels, *shape)
    sums = _fixed_bram36(acc_bits * channels, out_groups * pixels, *shape)
    return 2 * (inputs + sums)
