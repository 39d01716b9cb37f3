"""`VtaConfig`: one accelerator configuration, a frozen value passed as an argument everywhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import log2
from typing import Literal

from codesign.hw.packing import packed_bits

Dataflow = Literal["auto", "ws", "os", "is", "rs"]
Encoding = Literal["auto", "vta", "wide"]


@dataclass(frozen=True)
class VtaConfig:
    """Parameters of one VTA-style accelerator (DESIGN 4, VTA_SPEC.md 1).

    Field names are the JSON keys in lower case; sizes are log2, buffer sizes log2 of bytes.
    Latencies are in clock cycles (VTA_TIMING.md 0): ``read_latency`` Lm from request to first
    beat, ``write_address_latency`` Law, ``write_response_latency`` Lb. ``name`` labels reports
    and takes no part in equality.
    """

    log_inp_width: int = 3
    log_wgt_width: int = 3
    log_acc_width: int = 5
    log_batch: int = 0
    log_block: int = 4
    log_uop_buff_size: int = 15
    log_inp_buff_size: int = 15
    log_wgt_buff_size: int = 18
    log_acc_buff_size: int = 17
    log_block_in: int | None = None
    log_block_out: int | None = None
    bus_bits: int = 64
    max_burst_beats: int = 256
    read_latency: int = 18
    write_address_latency: int = 1
    write_response_latency: int = 1
    outstanding_reads: int = 16
    frequency_mhz: float = 100.0
    dataflow: Dataflow = "auto"
    has_mul: bool = False
    has_acc8: bool = False
    encoding: Encoding = "auto"
    target: str = field(default="sim", compare=False)
    hw_ver: str = field(default="0.0.2", compare=False)
    name: str = field(default="", compare=False)

    # Tile shape -----------------------------------------------------------------------------
    @property
    def batch(self) -> int:
        return 1 << self.log_batch

    @property
    def block_in(self) -> int:
        """Input channels of one GEMM tile (KI)."""
        return 1 << (self.log_block if self.log_block_in is None else self.log_block_in)

    @property
    def block_out(self) -> int:
        """Output channels of one GEMM tile (KO)."""
        return 1 << (self.log_block if self.log_block_out is None else self.log_block_out)

    @property
    def pes(self) -> int:
        """Multiply-accumulate units: BATCH x BLOCK_IN x BLOCK_OUT."""
        return self.batch * self.block_in * self.block_out

    # Element widths, bits and bytes -----------------------------------------------------------
    @property
    def inp_bits(self) -> int:
        return 1 << self.log_inp_width

    @property
    def wgt_bits(self) -> int:
        return 1 << self.log_wgt_width

    @property
    def acc_bits(self) -> int:
        return 1 << self.log_acc_width

    @property
    def out_bits(self) -> int:
        return self.inp_bits

    @property
    def inp_element_bytes(self) -> int:
        return self.inp_bits * self.batch * self.block_in // 8

    @property
    def wgt_element_bytes(self) -> int:
        return self.wgt_bits * self.block_out * self.block_in // 8

    @property
    def acc_element_bytes(self) -> int:
        return self.acc_bits * self.batch * self.block_out // 8

    @property
    def out_element_bytes(self) -> int:
        return self.out_bits * self.batch * self.block_out // 8

    @property
    def acc8_element_bytes(self) -> int:
        return self.batch * self.block_out

    # Encoding --------------------------------------------------------------------------------
    @property
    def log_inp_depth(self) -> int:
        return self.log_inp_buff_size + 3 - int(log2(self.inp_bits * self.batch * self.block_in))

    @property
    def log_wgt_depth(self) -> int:
        return (
            self.log_wgt_buff_size + 3 - int(log2(self.wgt_bits * self.block_in * self.block_out))
        )

    @property
    def log_acc_depth(self) -> int:
        return self.log_acc_buff_size + 3 - int(log2(self.acc_bits * self.batch * self.block_out))

    @cached_property
    def fits_vta_encoding(self) -> bool:
        """Whether 32-bit micro-ops and 128-bit instructions hold every field (VTA_SPEC.md 1.3)."""
        la, li, lw = self.log_acc_depth, self.log_inp_depth, self.log_wgt_depth
        lu = self.log_uop_buff_size - 2
        loop = (7, 1, lu, lu + 1, 14, 14)
        gemm = packed_bits((*loop, la, la, li, li, lw, lw))
        alu = packed_bits((*loop, la, la, la, la, 3, 1, 16))
        return la + max(la, li) + lw <= 32 and gemm <= 128 and alu <= 128

    @property
    def instruction_encoding(self) -> Literal["vta", "wide"]:
        """The encoding in force: ``encoding`` with ``auto`` resolved."""
        if self.encoding == "auto":
            return "vta" if self.fits_vta_encoding else "wide"
        return self.encoding

    @property
    def uop_bytes(self) -> int:
        return 4 if self.instruction_encoding == "vta" else 8

    @property
    def instruction_bytes(self) -> int:
        return 16 if self.instruction_encoding == "vta" else 32

    @property
    def log_uop_depth(self) -> int:
        return self.log_uop_buff_size - (2 if self.instruction_encoding == "vta" else 3)

    # Depths, elements --------------------------------------------------------------------------
    @property
    def uop_depth(self) -> int:
        return 1 << self.log_uop_depth

    @property
    def inp_depth(self) -> int:
        return 1 << self.log_inp_depth

    @property
    def wgt_depth(self) -> int:
        return 1 << self.log_wgt_depth

    @property
    def acc_depth(self) -> int:
        """Accumulator elements; OUT has the same depth."""
        return 1 << self.log_acc_depth

    # Sizes ---------------------------------------------------------------------------------------
    @property
    def sram_bytes(self) -> int:
        """On-chip bytes: UOP, INP, WGT, ACC and OUT."""
        acc = 1 << self.log_acc_buff_size
        return (
            (1 << self.log_uop_buff_size)
            + (1 << self.log_inp_buff_size)
            + (1 << self.log_wgt_buff_size)
            + acc
            + acc * self.out_bits // self.acc_bits
        )

    @property
    def burst_bytes(self) -> int:
        """Longest burst, and the address boundary that a burst never crosses."""
        return self.bus_bits // 8 * self.max_burst_beats
