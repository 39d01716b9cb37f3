"""Lower bounds of every kind of unit, counted anew."""

from __future__ import annotations

from itertools import product

import pytest

from codesign.hw.config import VtaConfig
from codesign.kernels import (
    Blocking,
    ConvWorkload,
    GatherWorkload,
    Workload,
    lower_bound,
    utilization_ceiling,
)

CORES = ((16, 16), (8, 32), (32, 8), (4, 4))
DEPTHWISE = ConvWorkload(96, 96, 14, 14, (3, 3), (1, 1), (1, 1, 1, 1), groups=96)
WORKLOADS: tuple[Workload, ...] = (
    DEPTHWISE,
    ConvWorkload(128, 128, 7, 7, (3, 3), (2, 2), (1, 1, 1, 1), groups=32),
    ConvWorkload(64, 32, 9, 9, (3, 3), (1, 1), (2, 2, 2, 2), dilation=(2, 2)),
    ConvWorkload(32, 16, 6, 5, (4, 4), padding=(2, 2, 2, 2), up=(2, 2)),
    ConvWorkload(64, 64, 8, 8, residual_border=0),
    ConvWorkload(64, 64, 8, 8, multiply=True),
)


def core(block_in: int, block_out: int) -> VtaConfig:
    return VtaConfig(
        log_block_in=block_in.bit_length() - 1, log_block_out=block_out.bit_length() - 1
    )


def micro_ops(w: ConvWorkload, blocking: Blocking) -> int:
    """GEMM micro-ops of the products, one output pixel, block and tap at a time."""
    of_group, into_group = w.out_channels // w.groups, w.in_channels // w.groups
    total = 0
    for oy, ox, ky, kx in product(
        range(w.out_height), range(w.out_width), range(w.kernel[0]), range(w.kernel[1])
    ):
        y = oy * w.stride[0] - w.padding[0] + ky * w.dilation[0]
        x = ox * w.stride[1] - w.padding[1] + kx * w.dilation[1]
        total += y % w.up[0] == 0 and x % w.up[1] == 0
    pairs = {
        (co // blocking.block_out, ci // blocking.block_in)
        for co in range(w.out_channels)
        for ci in range(co // of_group * into_group, (co // of_group + 1) * into_group)
    }
    return total * len(pairs)


@pytest.mark.parametrize("shape", CORES, ids=str)
@pytest.mark.parametrize("workload", WORKLOADS, ids=str)
def test_micro_ops_are_those_of_the_blocks_that_are_read(
    workload: ConvWorkload, shape: tuple[int, int]
) -> None:
    cfg = core(*shape)
    blocking = Blocking.of(cfg)
    bound = lower_bound(workload, cfg)
    residual = 0 if workload.residual_border is None else bound.elements * blocking.in_subs
    assert bound.gemm_uops == micro_ops(workload, blocking) + residual
    assert 0 < utilization_ceiling(workload, cfg) <= 1


def test_depthwise_takes_one_micro_op_a_tap() -> None:
    bound = lower_bound(DEPTHWISE, core(16, 16))
    assert bound.gemm_uops == 9 * bound.elements == 9 * 6 * 14 * 14
    assert bound.compute == 14 * bound.elements


def test_epilogues_are_priced_as_documented() -> None:
    cfg = core(16, 16)
    plain, residual, multiply = (
        lower_bound(ConvWorkload(64, 64, 8, 8, **form), cfg)
        for form in ({}, {"residual_border": 0}, {"multiply": True})
    )
    assert plain.compute - plain.gemm_uops == 5 * plain.elements
    assert residual.compute - plain.compute == 2 * plain.elements
    assert multiply.compute - plain.compute == 17 * plain.elements
    assert residual.dram_bytes - plain.dram_bytes == 64 * 64 + cfg.wgt_element_bytes
    assert multiply.dram_bytes - plain.dram_bytes == 5 * 4 * cfg.acc_element_bytes


def test_gathers_count_the_blocks_that_they_join() -> None:
    cfg = core(16, 16)
    halves = tuple((c % 2, c // 2) for c in range(64))
    shuffle = lower_bound(GatherWorkload((32, 32), halves, 5, 5), cfg)
    assert shuffle.gemm_uops == 2 * shuffle.elements == 2 * 4 * 25
    row = tuple((c // 32, c % 32) for c in range(64))
    concat = lower_bound(GatherWorkload((32, 32), row, 5, 5, (2, 2), (1, -1, 0, 0)), cfg)
    assert concat.gemm_uops == 4 * 10 * 9
    assert concat.elements == 4 * 11 * 9
