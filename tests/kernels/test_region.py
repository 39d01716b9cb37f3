"""Regions: one stream for several units is exact, clean, and no slower than the units alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.isa import Memory, Opcode, check
from codesign.kernels import (
    ConvWorkload,
    ElementwiseWorkload,
    GatherWorkload,
    PoolWorkload,
    RegionUnit,
    Schedule,
    Workload,
    best_schedule,
    build,
    build_region,
    default_bias_tiles,
    input_layouts,
    output_layout,
    pack,
    reference,
    unpack,
)
from codesign.sim import Simulator
from tests.kernels.support import random_params
from tests.kernels.test_units import core

PAGE = 4096
Graph = list[tuple[Workload, tuple[int, ...]]]
"""Units and the tensors they read: 0 is the input, k > 0 the output of the k-th unit."""


def conv(inputs: int, outputs: int, size: int, kernel: int, stride: int = 1) -> ConvWorkload:
    pad = kernel // 2
    return ConvWorkload(inputs, outputs, size, size, (kernel, kernel), (stride, stride), (pad,) * 4)


def residual_network(channels: int, size: int) -> Graph:
    fused = dataclasses.replace(conv(channels, channels, size, 3), residual_border=0)
    return [
        (conv(16, channels, size, 3), (0,)),
        (conv(channels, channels, size, 3), (1,)),
        (fused, (2, 1)),
        (conv(channels, channels, size, 1), (3,)),
        (ElementwiseWorkload(2, channels, size, size), (4, 3)),
        (PoolWorkload("max", channels, size, size, (2, 2), (2, 2)), (5,)),
        (conv(channels, 2 * channels, size // 2, 1), (6,)),
        (PoolWorkload("avg", 2 * channels, size // 2, size // 2, (size // 2,) * 2), (7,)),
        (ConvWorkload(2 * channels, 10, 1, 1), (8,)),
    ]


def place(
    graph: Graph, cfg: VtaConfig, schedules: str | None = None
) -> tuple[list[RegionUnit], list[int], int, int]:
    """Units, addresses of all tensors, the end of memory, and the cycles of the units alone."""
    layouts = [input_layouts(graph[0][0])[0], *(output_layout(w) for w, _ in graph)]
    addresses = [PAGE]
    for layout in layouts:
        addresses.append(addresses[-1] + -(-layout.nbytes(cfg) // PAGE) * PAGE)
    rng, units, alone = np.random.default_rng(4), list[RegionUnit](), 0
    for k, (workload, reads) in enumerate(graph):
        best = best_schedule(workload, cfg, schedules)  # pyright: ignore[reportArgumentType]
        assert not isinstance(best, Infeasible), best
        alone += best.cycles
        inputs = tuple(addresses[i] for i in reads)
        params = random_params(workload, rng)
        units.append(RegionUnit(workload, params, best.schedule, inputs, addresses[k + 1]))
    return units, addresses[:-1], addresses[-1], alone


def run(graph: Graph, cfg: VtaConfig, flow: str | None = None, *, portable: bool = False) -> float:
    """Checks a region; its cycles by those of its units alone."""
    wide = [
        (dataclasses.replace(w, bias_tiles=default_bias_tiles(cfg)), reads)
        if isinstance(w, ConvWorkload)
        else (w, reads)
        for w, reads in graph
    ]
    units, addresses, end, alone = place(wide, cfg, flow)
    return cycles_if_exact(units, wide, addresses, end, cfg, portable=portable) / alone


def cycles_if_exact(
    units: list[RegionUnit],
    graph: Graph,
    addresses: list[int],
    end: int,
    cfg: VtaConfig,
    *,
    portable: bool = False,
) -> int:
    """Cycles of a region that stores what the reference says and breaks no rule."""
    region = build_region(units, cfg)
    constants: list[int] = []
    for data in region.constants:
        constants.append(end)
        end += data.size
    memory = np.zeros(end, np.uint8)
    for address, data in zip(constants, region.constants, strict=True):
        memory[address : address + data.size] = data
    first = input_layouts(graph[0][0])[0]
    shape = (cfg.batch, first.channels, first.height, first.width)
    tensors: list[NDArray[np.int8]] = [np.random.default_rng(1).integers(-128, 128, shape, np.int8)]
    packed = pack(tensors[0], first, cfg)
    memory[addresses[0] : addresses[0] + packed.size] = packed
    stream = region.instructions(constants)
    assert check(stream, cfg, memory=memory, base_address=0, portable=portable) == []
    result = Simulator(cfg).run(stream, memory, base_address=0)
    for k, (unit, (_, reads)) in enumerate(zip(units, graph, strict=True)):
        want = reference(unit.workload, unit.params, tuple(tensors[i] for i in reads))
        layout, at = output_layout(unit.workload), addresses[k + 1]
        got = unpack(memory[at : at + layout.nbytes(cfg)], layout, cfg)
        np.testing.assert_array_equal(got, want, err_msg=f"unit {k}: {unit.workload}")
        tensors.append(want)
    ends = result.timeline["end"][list(region.last)]
    assert (np.diff(ends) >= 0).all()
    assert ends[-1] <= result.cycles
    return result.cycles


def test_a_unit_that_needs_all_micro_ops_fits_anywhere() -> None:
    """GEMM and ALU share micro-ops at the lower end of the scratchpads only."""
    cfg = dataclasses.replace(core(16, 16), log_uop_buff_size=9)
    tight = ConvWorkload(32, 16, 8, 8, (2, 2), (1, 1), (1, 1, 1, 1))
    graph: Graph = [(conv(32, 32, 8, 1), (0,)), (tight, (1,))]
    units, addresses, end, _ = place(graph, cfg)
    schedule = Schedule("os", 2, 4, 2, 1, False, 3, 3, 2)
    alone = build(tight, units[1].params, cfg, schedule)
    loads = (alone.table["opcode"] == Opcode.LOAD) & (alone.table["memory_type"] == Memory.UOP)
    assert alone.table["x_size"][loads].tolist() == [128]
    units[1] = dataclasses.replace(units[1], schedule=schedule)
    cycles_if_exact(units, graph, addresses, end, cfg)


def joining_network(channels: int, size: int) -> Graph:
    """Branches that are pooled, joined, enlarged and cropped."""
    c, half = channels, size // 2
    whole = [(s, k) for s in (0, 1) for k in range(c)]
    return [
        (PoolWorkload("max", c, size, size, (3, 3), (2, 2), (0, 0, 1, 1)), (0,)),
        (PoolWorkload("max", c, half, half, (3, 3), (1, 1), (1, 1, 1, 1)), (1,)),
        (GatherWorkload((c, c), tuple(whole), half, half), (1, 2)),
        (conv(2 * c, c, half, 1), (3,)),
        (GatherWorkload((c,), tuple(whole[:c]), half, half, (2, 2), (1, 0, -1, 0)), (4,)),
        (PoolWorkload("max", c, size, size, (2, 2), (2, 2)), (5,)),
        (PoolWorkload("avg", c, half, half, (half, half)), (6,)),
    ]


@pytest.mark.parametrize("shape", [(4, 4), (8, 32), (16, 16), (32, 8)], ids=str)
def test_gathers_and_pools_are_exact_in_one_stream(shape: tuple[int, int]) -> None:
    assert run(joining_network(40, 12), core(*shape)) <= 1


@pytest.mark.parametrize("shape", [(4, 4), (8, 32), (16, 16), (32, 8)], ids=str)
@pytest.mark.parametrize("flow", ["os", "ws", "is", "rs"])
def test_a_residual_network_is_exact_in_one_stream(shape: tuple[int, int], flow: str) -> None:
    assert run(residual_network(32, 8), core(*shape), flow) <= 1


def test_a_region_runs_on_stock_hardware() -> None:
    assert run(residual_network(64, 14), VtaConfig(), portable=True) < 0.98


@settings(max_examples=10, deadline=None)
@given(
    channels=st.lists(st.sampled_from([3, 16, 24, 64]), min_size=3, max_size=6),
    size=st.integers(4, 14),
    kernels=st.lists(st.sampled_from([1, 3, 5]), min_size=5, max_size=5),
    shape=st.sampled_from([(4, 4), (8, 32), (16, 16), (64, 16)]),
)
def test_chains_of_convolutions_are_exact(
    channels: list[int], size: int, kernels: list[int], shape: tuple[int, int]
) -> None:
    graph: Graph = [
        (conv(i, o, size, k), (n,))
        for n, (i, o, k) in enumerate(zip(channels, channels[1:], kernels, strict=False))
    ]
    assert run(graph, core(*shape)) <= 1
