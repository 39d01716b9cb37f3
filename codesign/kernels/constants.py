# numpy's reshape, view and copy are partially unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""The constants of a unit: where they lie in DRAM, and the bytes of biases and identities.

A bias enters the accumulators as GEMM of one constant input element, whose lanes hold
[1, 127, 127, ...], with a weight tile that spells the bias in those digits (DESIGN 5).

The order in memory, every part from a multiple of 4096 bytes on:

1. micro-ops;
2. the constant input element;
3. weight tiles, in the order in which the unit loads them: a convolution lists its own as
   `native.PIECE` (a residual's identities first, then, channel tile by channel tile, the weights
   of each chunk of the reduction, and the biases behind the last chunk);
4. scaling (`ConvWorkload.multiply`): the ACC elements of each output block for each of its rows.

Gathers, for each channel tile: the distinct selection tiles of `selection.select`, then
``[output block][bias tile]``. Elementwise units: identities of each operand, bias. Average pools:
for each number of valid taps its identities, then for each its bias; max pools: an identity, and a
negative one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codesign.hw.config import VtaConfig
from codesign.kernels.blocking import Blocking

_DIGIT = 127


def unit_element(cfg: VtaConfig) -> NDArray[np.int8]:
    """The constant input element: lane 0 holds 1, the others 127, in every batch row."""
    lanes = np.full((cfg.batch, cfg.block_in), _DIGIT, np.int8)
    lanes[:, 0] = 1
    return lanes.reshape(-1)


def default_bias_tiles(cfg: VtaConfig) -> int:
    """Weight tiles of a bias: 1 from 16 input lanes on, more for narrower cores."""
    return max(1, 16 // cfg.block_in)


def bias_capacity(cfg: VtaConfig, tiles: int) -> int:
    """Largest magnitude of bias + rounding constant that ``tiles`` weight tiles can carry."""
    return tiles * (cfg.block_in - 1) * _DIGIT * _DIGIT + _DIGIT // 2


def bias_tiles(values: NDArray[np.int64], cfg: VtaConfig, tiles: int) -> NDArray[np.int8]:
    """Weight tiles int8 ``[blocks, tiles, BLOCK_OUT, BLOCK_IN]`` that add ``values``.

    ``values`` is int64 ``[blocks, BLOCK_OUT]``, within `bias_capacity` (ValueError else).
    """
    limit = bias_capacity(cfg, tiles)
    worst = int(np.abs(values).max(initial=0))
    if worst > limit:
        raise ValueError(f"bias {worst} exceeds {limit}, what {tiles} weight tile(s) can carry")
    blocks = len(values)
    high = np.floor_divide(values + _DIGIT // 2, _DIGIT)
    low = values - high * _DIGIT
    lanes = np.zeros((blocks, tiles, cfg.block_out, cfg.block_in), np.int64)
    for tile in range(tiles):
        for lane in range(1, cfg.block_in):
            digit = np.clip(high, -_DIGIT, _DIGIT)
            lanes[:, tile, :, lane] = digit
            high = high - digit
    lanes[:, 0, :, 0] = low
    return lanes.astype(np.int8)


def identity_tiles(cfg: VtaConfig, scale: int) -> NDArray[np.int8]:
    """Scaled identities int8 ``[KM/KI * KM/KO, KO, KI]``: tile j joins input and output lanes.

    With BLOCK_OUT < BLOCK_IN tile j picks output block j of an input element; with
    BLOCK_OUT > BLOCK_IN it puts input element j of a pixel into its lanes.
    """
    blocking = Blocking.of(cfg)
    count = max(blocking.in_subs, blocking.out_subs)
    tiles = np.zeros((count, cfg.block_out, cfg.block_in), np.int8)
    narrow = min(cfg.block_in, cfg.block_out)
    for j in range(count):
        for lane in range(narrow):
            out = lane + (j * narrow if cfg.block_out > narrow else 0)
            into = lane + (j * narrow if cfg.block_in > narrow else 0)
            tiles[j, out, into] = scale
    return tiles
