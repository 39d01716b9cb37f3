# numpy's reshape, view and copy are partially unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Weight tiles and scaling of a unit, in the order that `constants` documents."""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray

from codesign.hw.config import VtaConfig
from codesign.kernels.blocking import (
    Blocking,
    channel_tiles,
    input_ranges,
)
from codesign.kernels.constants import bias_tiles, default_bias_tiles, identity_tiles
from codesign.kernels.native import BIASES, IDENTITIES
from codesign.kernels.pool import identity_copies, valid_counts
from codesign.kernels.schedule import Schedule
from codesign.kernels.selection import select
from codesign.kernels.workload import (
    ConvParams,
    ConvWorkload,
    ElementwiseParams,
    ElementwiseWorkload,
    GatherParams,
    GatherWorkload,
    Params,
    PoolParams,
    PoolWorkload,
    Workload,
    bias_parts,
    digits_of,
)


def pack_weights(
    workload: Workload,
    params: Params,
    cfg: VtaConfig,
    schedule: Schedule,
    pieces: NDArray[np.void],
) -> NDArray[np.int8]:
    """All weight tiles of a unit, flat int8; ``pieces`` (`native.PIECE`) are a convolution's.

    Raises
    ------
    ValueError
        A bias or a multiplier is more than its tiles can carry.
    """
    if isinstance(workload, ConvWorkload):
        assert isinstance(params, ConvParams)
        return _conv(workload, params, cfg, pieces)
    if isinstance(workload, GatherWorkload):
        assert isinstance(params, GatherParams)
        return _gather(workload, params, cfg, schedule)
    if isinstance(workload, ElementwiseWorkload):
        assert isinstance(params, ElementwiseParams)
        digits = zip(*(digits_of(m, workload.digits) for m in params.multipliers), strict=True)
        tiles = [identity_tiles(cfg, m) for digit in digits for m in digit]
        bias = bias_parts(params.bias + (1 << params.shift >> 1), workload.digits)
        return np.concatenate([*tiles, *(_uniform_bias(b, cfg) for b in bias)]).reshape(-1)
    if workload.kind == "max":
        return np.concatenate([identity_tiles(cfg, 1), identity_tiles(cfg, -1)]).reshape(-1)
    assert isinstance(params, PoolParams)
    return _average(workload, params, cfg)


def pack_scaling(workload: Workload, params: Params, cfg: VtaConfig) -> NDArray[np.int32]:
    """`ConvParams.scaling` in lanes, int32 ``[5 * output blocks * BATCH * BLOCK_OUT]``."""
    if not isinstance(workload, ConvWorkload) or not workload.multiply:
        return np.zeros(0, np.int32)
    assert isinstance(params, ConvParams)
    if params.scaling is None:
        raise ValueError(f"{workload}: the scaling of each channel is missing")
    blocks = Blocking.of(cfg).out_blocks(workload.out_channels)
    lanes = np.zeros((len(params.scaling), blocks * cfg.block_out), np.int32)
    lanes[:, : workload.out_channels] = params.scaling
    rows = np.broadcast_to(
        lanes.reshape(-1, blocks, 1, cfg.block_out), (len(lanes), blocks, cfg.batch, cfg.block_out)
    )
    return np.ascontiguousarray(rows).reshape(-1)


def _conv(
    workload: ConvWorkload, params: ConvParams, cfg: VtaConfig, pieces: NDArray[np.void]
) -> NDArray[np.int8]:
    w, blocking = workload, Blocking.of(cfg)
    ranges = input_ranges(w.in_channels, w.out_channels, w.groups, blocking)
    tiles = _sparse_tiles(w, params.weight, ranges, cfg)
    blocks = len(ranges)
    rounding = 0 if w.multiply else 1 << params.shift >> 1
    total = np.zeros((prod(w.phases), blocks * cfg.block_out), np.int64)
    total[:, : w.out_channels] = params.bias.astype(np.int64) + rounding
    bias = bias_tiles(total.reshape(-1, cfg.block_out), cfg, w.bias_tiles)
    parts: list[NDArray[np.int8]] = []
    for piece in pieces:
        out = range(piece["out_block"], piece["out_block"] + piece["out_blocks"])
        if piece["kind"] == IDENTITIES:
            parts += [identity_tiles(cfg, params.residual_multiplier).reshape(-1)]
        elif piece["kind"] == BIASES:
            phase = int(piece["in_block"]) * blocks
            parts += [bias[phase + out.start : phase + out.stop].reshape(-1)]
        else:
            inputs = range(piece["in_block"], piece["in_block"] + piece["in_blocks"])
            ys, xs = (
                slice(first, first + count * step, step)
                for first, step, count in (
                    piece[["ky", "ky_step", "ky_count"]].item(),
                    piece[["kx", "kx_step", "kx_count"]].item(),
                )
            )
            taps = tiles[:, :, ys, xs]
            parts += [_blocks(taps[block], ranges[block], inputs) for block in out]
    return np.concatenate(parts)


def _blocks(tiles: NDArray[np.int8], own: range, wanted: range) -> NDArray[np.int8]:
    """The ``wanted`` input blocks of an output block that reads ``own``; others hold zeros."""
    if own.start <= wanted.start and wanted.stop <= own.stop:
        return tiles[wanted.start - own.start : wanted.stop - own.start].reshape(-1)
    found = np.zeros((len(wanted), *tiles.shape[1:]), np.int8)
    low, high = max(own.start, wanted.start), min(own.stop, wanted.stop)
    found[low - wanted.start : high - wanted.start] = tiles[low - own.start : high - own.start]
    return found.reshape(-1)


def _sparse_tiles(
    w: ConvWorkload, weight: NDArray[np.int8], ranges: tuple[range, ...], cfg: VtaConfig
) -> NDArray[np.int8]:
    """Tiles int8 ``[output block, i-th input block of its range, ky, kx, BLOCK_OUT, BLOCK_IN]``."""
    ki, ko = cfg.block_in, cfg.block_out
    per_group = w.in_channels // w.groups
    longest = max(len(r) for r in ranges)
    dense = np.zeros((len(ranges) * ko, longest * ki, *w.kernel), np.int8)
    channel = np.arange(w.out_channels)
    starts = np.array([r.start * ki for r in ranges])[channel // ko]
    group = channel // (w.out_channels // w.groups)
    lane = (group * per_group - starts)[:, None] + np.arange(per_group)
    dense[channel[:, None], lane] = weight
    split = dense.reshape(len(ranges), ko, longest, ki, *w.kernel)
    return np.ascontiguousarray(split.transpose(0, 2, 4, 5, 1, 3))


def _gather(
    workload: GatherWorkload, params: GatherParams, cfg: VtaConfig, schedule: Schedule
) -> NDArray[np.int8]:
    blocking, ko = Blocking.of(cfg), cfg.block_out
    channels = len(workload.picks)
    blocks = blocking.out_blocks(channels)
    total = np.zeros(blocks * ko, np.int64)
    total[:channels] = params.bias.astype(np.int64) + (1 << params.shift >> 1)
    digits = workload.digits
    halves = np.array([bias_parts(int(b), digits) for b in total]).T
    biases = [bias_tiles(h.reshape(blocks, ko), cfg, default_bias_tiles(cfg)) for h in halves]
    scales = [digits_of(m, digits) for m in params.multipliers]
    parts: list[NDArray[np.int8]] = []
    for tile in channel_tiles(channels, schedule.out_groups, blocking):
        patterns = select(workload, blocking, tile).patterns
        for digit, pattern in product(range(digits), patterns):
            lanes = np.zeros((ko, cfg.block_in), np.int8)
            out, into = np.array(pattern.lanes).T
            lanes[out, into] = scales[pattern.source][digit]
            parts.append(lanes.reshape(-1))
        first = tile.first * blocking.out_subs
        parts += [bias[first : first + tile.blocks].reshape(-1) for bias in biases]
    return np.concatenate(parts)


def _uniform_bias(value: int, cfg: VtaConfig) -> NDArray[np.int8]:
    values = np.full((1, cfg.block_out), value, np.int64)
    return bias_tiles(values, cfg, default_bias_tiles(cfg))[0]


def _average(workload: PoolWorkload, params: PoolParams, cfg: VtaConfig) -> NDArray[np.int8]:
    digits = workload.digits
    tiles: list[list[NDArray[np.int8]]] = [[] for _ in range(digits)]
    biases: list[list[NDArray[np.int8]]] = [[] for _ in range(min(digits, 2))]
    for count in valid_counts(workload):
        if count not in params.by_count:
            raise ValueError(f"{workload}: no multiplier for {count} valid taps")
        multiplier, bias = params.by_count[count]
        copies, most = identity_copies(workload, count), 127 * 256 ** (digits - 1)
        if not 0 <= multiplier <= most * copies:
            raise ValueError(f"{workload}: multiplier {multiplier} must be 0..{most * copies}")
        for _ in range(copies):
            share = min(multiplier, most)
            for of_digit, digit in zip(tiles, digits_of(share, digits), strict=True):
                of_digit.append(identity_tiles(cfg, digit))
            multiplier -= share
        halves = bias_parts(bias + (1 << params.shift >> 1), digits)
        for of_half, half in zip(biases, halves, strict=True):
            of_half.append(_uniform_bias(half, cfg))
    return np.concatenate([part for parts in (*tiles, *biases) for part in parts]).reshape(-1)
