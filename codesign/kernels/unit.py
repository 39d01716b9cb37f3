# numpy's reshape, view and copy are partially unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""`build`: workload + params + configuration + schedule → the unit's instructions and constants."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.isa import Memory, encode, encode_uops
from codesign.kernels.blocking import Blocking
from codesign.kernels.constants import (
    ConstantMap,
    bias_tiles,
    default_bias_tiles,
    identity_tiles,
)
from codesign.kernels.conv import ConvTiling, emit_conv
from codesign.kernels.elementwise import emit_elementwise
from codesign.kernels.layout import ALIGNMENT, input_layouts, output_layout
from codesign.kernels.output import Requant
from codesign.kernels.pool import emit_pool, identity_copies, shift_steps, valid_counts
from codesign.kernels.schedule import Schedule
from codesign.kernels.stream import Buffer, UnitStream
from codesign.kernels.workload import (
    ConvParams,
    ConvWorkload,
    ElementwiseParams,
    ElementwiseWorkload,
    Params,
    PoolParams,
    PoolWorkload,
    Workload,
)


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
    buffers: NDArray[np.int64]
    constants: NDArray[np.uint8]

    def instructions(self, placement: Placement) -> NDArray[np.uint8]:
        """Encoded stream uint8 ``[n, instruction_bytes]`` for buffers at ``placement``."""
        return encode(relocate(self.table, self.buffers, placement, self.cfg), self.cfg)


def relocate(
    table: NDArray[np.void], buffers: NDArray[np.int64], placement: Placement, cfg: VtaConfig
) -> NDArray[np.void]:
    """The table with buffer-relative DRAM addresses made absolute."""
    base = np.zeros(Buffer.INPUT + len(placement.inputs), np.int64)
    base[Buffer.CONSTANTS] = placement.constants
    base[Buffer.OUTPUT] = placement.output
    base[Buffer.INPUT :] = placement.inputs
    pixel = cfg.batch * Blocking.of(cfg).group
    if placement.constants % ALIGNMENT or (base % pixel).any():
        raise ValueError(
            f"{placement}: constants must be at a multiple of {ALIGNMENT}, activations of {pixel}"
        )
    element = np.ones(8, np.int64)
    element[Memory.UOP] = cfg.uop_bytes
    element[Memory.WGT] = cfg.wgt_element_bytes
    element[Memory.INP] = cfg.inp_element_bytes
    element[Memory.ACC] = cfg.acc_element_bytes
    element[Memory.OUT] = cfg.out_element_bytes
    placed = table.copy()
    placed["dram_base"] += base[buffers] // element[table["memory_type"]]
    return placed


def canonical_placement(workload: Workload, cfg: VtaConfig, constant_bytes: int) -> Placement:
    """Buffers one after the other from the first page on: what `measure` simulates."""
    position = ALIGNMENT
    addresses: list[int] = []
    sizes = [t.nbytes(cfg) for t in (*input_layouts(workload), output_layout(workload))]
    for size in (*sizes, constant_bytes):
        addresses.append(position)
        position += ceil(size / ALIGNMENT) * ALIGNMENT
    return Placement(tuple(addresses[:-2]), addresses[-2], addresses[-1])


def _requant(workload: Workload, params: Params) -> Requant:
    steps = 1
    if isinstance(workload, PoolWorkload):
        steps = shift_steps(workload)
    if params is None:
        return Requant(shift=8 * steps, steps=steps)
    if not steps <= params.shift <= 15 * steps:
        raise ValueError(f"{workload}: shift {params.shift} must be {steps}..{15 * steps}")
    return Requant(params.shift, params.low, params.high, steps)


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


def emit(
    workload: Workload, cfg: VtaConfig, schedule: Schedule, params: Params = None
) -> tuple[UnitStream, ConstantMap] | Infeasible:
    """Steps of a unit; without ``params`` the immediates are placeholders of the same cost."""
    problem = unsupported(workload, cfg)
    if problem is not None:
        return problem
    numbers = _requant(workload, params)
    if isinstance(workload, ConvWorkload):
        return emit_conv(workload, cfg, schedule, numbers)
    if isinstance(workload, PoolWorkload):
        return emit_pool(workload, cfg, schedule, numbers)
    return emit_elementwise(workload, cfg, schedule, numbers)


def build(workload: Workload, params: Params, cfg: VtaConfig, schedule: Schedule) -> UnitProgram:
    """Instructions and constants of one unit.

    Raises
    ------
    ValueError
        The schedule does not fit the configuration, or a number its field.
    """
    emitted = emit(workload, cfg, schedule, params)
    if isinstance(emitted, Infeasible):
        raise ValueError(f"{workload} with {schedule}: {emitted}")
    stream, constants = emitted
    table, buffers, uops = stream.table()
    weights = _weights(workload, params, cfg, schedule)
    data = constants.fill(cfg, encode_uops(uops, cfg), weights)
    return UnitProgram(workload, cfg, schedule, table, buffers, data)


def _weights(
    workload: Workload, params: Params, cfg: VtaConfig, schedule: Schedule
) -> NDArray[np.int8]:
    """All weight tiles in the order of the unit's `ConstantMap`, flat int8."""
    if isinstance(workload, ConvWorkload):
        assert isinstance(params, ConvParams)
        return _conv_weights(workload, params, cfg, schedule)
    if isinstance(workload, ElementwiseWorkload):
        assert isinstance(params, ElementwiseParams)
        tiles = [identity_tiles(cfg, m) for m in params.multipliers]
        bias = _uniform_bias(params.bias + (1 << params.shift >> 1), cfg)
        return np.concatenate([*tiles, bias]).reshape(-1)
    if workload.kind == "max":
        return identity_tiles(cfg, 1).reshape(-1)
    assert isinstance(params, PoolParams)
    return _avg_weights(workload, params, cfg)


def _uniform_bias(value: int, cfg: VtaConfig) -> NDArray[np.int8]:
    values = np.full((1, cfg.block_out), value, np.int64)
    return bias_tiles(values, cfg, default_bias_tiles(cfg))[0]


def _avg_weights(workload: PoolWorkload, params: PoolParams, cfg: VtaConfig) -> NDArray[np.int8]:
    tiles: list[NDArray[np.int8]] = []
    biases: list[NDArray[np.int8]] = []
    for count in valid_counts(workload):
        if count not in params.by_count:
            raise ValueError(f"{workload}: no multiplier for {count} valid taps")
        multiplier, bias = params.by_count[count]
        copies = identity_copies(workload, count)
        if not 0 <= multiplier <= 127 * copies:
            raise ValueError(f"{workload}: multiplier {multiplier} must be 0..{127 * copies}")
        for _ in range(copies):
            tiles.append(identity_tiles(cfg, min(multiplier, 127)))
            multiplier -= min(multiplier, 127)
        biases.append(_uniform_bias(bias + (1 << params.shift >> 1), cfg))
    return np.concatenate([*tiles, *biases]).reshape(-1)


def _conv_weights(
    workload: ConvWorkload, params: ConvParams, cfg: VtaConfig, schedule: Schedule
) -> NDArray[np.int8]:
    tiling, blocking = ConvTiling(workload, cfg, schedule), Blocking.of(cfg)
    ki, ko = cfg.block_in, cfg.block_out
    out_blocks = blocking.out_blocks(workload.out_channels)
    in_blocks = blocking.in_blocks(workload.in_channels)
    kh, kw = workload.kernel
    padded = np.zeros((out_blocks * ko, in_blocks * ki, kh, kw), np.int8)
    padded[: workload.out_channels, : workload.in_channels] = params.weight
    tiles = padded.reshape(out_blocks, ko, in_blocks, ki, kh, kw).transpose(0, 2, 4, 5, 1, 3)
    total = np.zeros(out_blocks * ko, np.int64)
    total[: workload.out_channels] = params.bias.astype(np.int64) + (1 << params.shift >> 1)
    bias = bias_tiles(total.reshape(out_blocks, ko), cfg, workload.bias_tiles)
    parts: list[NDArray[np.int8]] = []
    for channels in tiling.channels:
        first = channels.first * blocking.out_subs
        out = slice(first, first + channels.blocks)
        for chunk in tiling.chunks:
            start = chunk.first * blocking.in_subs
            parts.append(tiles[out, start : start + chunk.blocks].reshape(-1))
        parts.append(bias[out].reshape(-1))
    return np.concatenate(parts)
