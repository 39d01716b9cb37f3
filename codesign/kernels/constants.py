# numpy's reshape, view and copy are partially unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""The constants of a unit: where they lie in DRAM, and the bytes of biases and identities.

A bias enters the accumulators as GEMM of one constant input element, whose lanes hold
[1, 127, 127, ...], with a weight tile that spells the bias in those digits (DESIGN 5).

The order in memory, which emission and `weights.pack_weights` share; every part begins at a
multiple of 4096 bytes, parts that a unit lacks take no room:

1. micro-ops;
2. the constant input element;
3. multipliers (`ConvWorkload.multiply`): one ACC element an output block, in order;
4. resident weight tiles, loaded once: the residual's identities (`identity_tiles`);
5. weight tiles, ``[channel tile i][chunk k]``, one after the other.

Convolutions, (i, k): ``[output block][input block][ky][kx]``, output blocks in order, input
blocks those of `blocking.input_ranges` that lie in chunk k of `blocking.input_chunks` (all of
the chunk where groups = 1), all taps of the kernel as it slides over the (grown) input; behind
the last chunk ``[output block][bias tile]``. A transposed convolution picks the taps of a phase
by index steps, so its tiles have no other order.

Gathers, (i, 0): the distinct selection tiles of `selection.select`, then
``[output block][bias tile]``. Elementwise units have one list: identities of each operand, bias.
Average pools: for each number of valid taps its identities, then for each its bias; max pools:
one identity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from codesign.hw.config import VtaConfig
from codesign.kernels.blocking import Blocking
from codesign.kernels.layout import ALIGNMENT
from codesign.kernels.schedule import uop_capacity

_DIGIT = 127


def _align(nbytes: int) -> int:
    return ceil(nbytes / ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True)
class ConstantMap:
    """Addresses in a unit's constant buffer, in elements of the memory they are loaded to.

    ``multipliers`` is the first multiplier, ``resident`` the first resident weight tile,
    ``weights[i][k]`` the first weight tile of (channel tile i, chunk k).
    """

    unit_element: int
    multipliers: int
    resident: int
    weights: tuple[tuple[int, ...], ...]
    nbytes: int

    @staticmethod
    def of(
        cfg: VtaConfig, tiles: Sequence[Sequence[int]], resident: int = 0, multipliers: int = 0
    ) -> ConstantMap:
        """Lay out ``multipliers`` elements, ``resident`` and ``tiles[i][k]`` weight tiles."""
        unit = _align(uop_capacity(cfg) * cfg.uop_bytes)
        vectors = unit + _align(cfg.inp_element_bytes)
        start = vectors + _align(multipliers * cfg.acc_element_bytes)
        first = start // cfg.wgt_element_bytes
        position = first + resident
        blocks: list[tuple[int, ...]] = []
        for row in tiles:
            firsts: list[int] = []
            for count in row:
                firsts.append(position)
                position += count
            blocks.append(tuple(firsts))
        end = position * cfg.wgt_element_bytes
        return ConstantMap(
            unit // cfg.inp_element_bytes,
            vectors // cfg.acc_element_bytes,
            first,
            tuple(blocks),
            _align(end),
        )

    def fill(
        self,
        cfg: VtaConfig,
        uops: NDArray[np.uint8],
        weights: NDArray[np.int8],
        multipliers: NDArray[np.int32],
    ) -> NDArray[np.uint8]:
        """The buffer's bytes from encoded micro-ops, all weight tiles and multipliers in order."""
        data = np.zeros(self.nbytes, np.uint8)
        data[: uops.size] = uops.reshape(-1)
        unit = self.unit_element * cfg.inp_element_bytes
        data[unit : unit + cfg.inp_element_bytes] = unit_element(cfg).view(np.uint8)
        vectors = self.multipliers * cfg.acc_element_bytes
        data[vectors : vectors + multipliers.nbytes] = multipliers.view(np.uint8)
        first = self.resident * cfg.wgt_element_bytes
        data[first : first + weights.size] = weights.view(np.uint8)
        return data


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
