# numpy's reshape, view and copy are partially unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""`build`: workload + params + configuration + schedule → the unit's instructions and constants."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.isa import encode, encode_uops
from codesign.isa.tables import element_sizes
from codesign.kernels.constants import unit_element
from codesign.kernels.layout import ALIGNMENT
from codesign.kernels.native import ConstantLayout, Epilogue, emit_unit
from codesign.kernels.schedule import Schedule
from codesign.kernels.weights import pack_scaling, pack_weights
from codesign.kernels.workload import (
    ConvParams,
    Params,
    Workload,
    shift_steps,
)

CONSTANTS, OUTPUT, INPUT = 1, 2, 3
"""DRAM buffers that an instruction's address may count from; further inputs follow the first."""


@dataclass(frozen=True)
class Placement:
    """Byte addresses of a unit's buffers in DRAM.

    Constants are at a multiple of 4096. So are activations that `measure` counts cycles for; a part
    of a larger tensor may begin at any channel group.
    """

    inputs: tuple[int, ...]
    output: int
    constants: int


@dataclass(frozen=True, eq=False)
class UnitProgram:
    """The instruction stream of one unit, relocatable, and its constant buffer (uint8)."""

    workload: Workload
    cfg: VtaConfig
    schedule: Schedule
    table: NDArray[np.void]
    buffers: NDArray[np.int32]
    constants: NDArray[np.uint8]

    def instructions(self, placement: Placement) -> NDArray[np.uint8]:
        """Encoded stream uint8 ``[n, instruction_bytes]`` for buffers at ``placement``."""
        return encode(relocate(self.table, self.buffers, placement, self.cfg), self.cfg)


def relocate(
    table: NDArray[np.void], buffers: NDArray[np.int32], placement: Placement, cfg: VtaConfig
) -> NDArray[np.void]:
    """The table with buffer-relative DRAM addresses made absolute."""
    base = np.zeros(INPUT + len(placement.inputs), np.int64)
    base[CONSTANTS] = placement.constants
    base[OUTPUT] = placement.output
    base[INPUT:] = placement.inputs
    pixel = cfg.batch * max(cfg.block_in, cfg.block_out)
    if placement.constants % ALIGNMENT or (base % pixel).any():
        raise ValueError(
            f"{placement}: constants must be at a multiple of {ALIGNMENT}, activations of {pixel}"
        )
    placed = table.copy()
    placed["dram_base"] += base[buffers] // element_sizes(cfg)[table["memory_type"]]
    return placed


def epilogue(workload: Workload, params: Params = None) -> Epilogue:
    """Immediates of the unit; without ``params`` placeholders of the same cost."""
    steps = shift_steps(workload)
    if params is None:
        return Epilogue(shift=8 * steps, steps=steps)
    if not steps <= params.shift <= 15 * steps:
        raise ValueError(f"{workload}: shift {params.shift} must be {steps}..{15 * steps}")
    if not isinstance(params, ConvParams):
        return Epilogue(params.shift, params.low, params.high, steps)
    if not 0 <= params.pre_shift <= 15:
        raise ValueError(f"{workload}: pre_shift {params.pre_shift} must be 0..15")
    return Epilogue(params.shift, params.low, params.high, steps, params.pre_shift)


def unsupported(workload: Workload, cfg: VtaConfig) -> Infeasible | None:
    """What no schedule can mend: element widths and tile shapes the kernels do not serve."""
    widths = (cfg.inp_bits, cfg.wgt_bits, cfg.acc_bits)
    if widths != (8, 8, 32):
        return Infeasible("element_width", f"kernels need int8/int8/int32, not {widths} bits")
    if cfg.batch > 1 and cfg.block_in != cfg.block_out:
        return Infeasible(
            "batch_layout",
            f"BATCH {cfg.batch} needs BLOCK_IN = BLOCK_OUT, not {cfg.block_in}x{cfg.block_out}",
        )
    if workload.out_height < 1 or workload.out_width < 1:
        return Infeasible("empty_output", f"{workload} has no output pixel")
    return None


def build(workload: Workload, params: Params, cfg: VtaConfig, schedule: Schedule) -> UnitProgram:
    """Instructions and constants of one unit.

    Raises
    ------
    ValueError
        The schedule does not fit the configuration, or a number its field.
    """
    emitted = unsupported(workload, cfg)
    if emitted is None:
        emitted = emit_unit(workload, cfg, schedule, epilogue(workload, params))
    if isinstance(emitted, Infeasible):
        raise ValueError(f"{workload} with {schedule}: {emitted}")
    data = pack_constants(workload, params, cfg, schedule, emitted.constants[0])
    return UnitProgram(workload, cfg, schedule, emitted.table, emitted.buffers, data)


def pack_constants(
    workload: Workload,
    params: Params,
    cfg: VtaConfig,
    schedule: Schedule,
    layout: ConstantLayout,
) -> NDArray[np.uint8]:
    """The constant buffer: parts in the order that `constants` documents."""
    data = np.zeros(layout.nbytes, np.uint8)
    parts = (
        (0, encode_uops(layout.uops, cfg).reshape(-1)),
        (layout.unit_byte, unit_element(cfg)),
        (layout.weights_byte, pack_weights(workload, params, cfg, schedule, layout.pieces)),
        (layout.scaling_byte, pack_scaling(workload, params, cfg)),
    )
    for begin, part in parts:
        data[begin : begin + part.nbytes] = part.view(np.uint8)
    return data
