"""Physical invariants of simulated schedules (truth level T2), over workloads and machines."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.kernels import (
    ConvWorkload,
    ElementwiseWorkload,
    PoolWorkload,
    Schedule,
    Workload,
    best_schedule,
    candidates,
    lower_bound,
    measure,
)

CFG = VtaConfig()
DATA = ("inp_load_bytes", "wgt_load_bytes", "acc_load_bytes", "out_store_bytes")
TOLERANCE, CHUNK_CYCLES = 1.03, 8


def conv(i: int, o: int, size: int, kernel: int, stride: int = 1) -> ConvWorkload:
    pad = kernel // 2
    return ConvWorkload(i, o, size, size, (kernel, kernel), (stride, stride), (pad,) * 4)


WORKLOADS: list[Workload] = [
    conv(16, 16, 8, 3),
    conv(32, 48, 14, 3, 2),
    conv(64, 64, 14, 1),
    conv(3, 32, 20, 7, 2),
    ConvWorkload(128, 100, 1, 1),
    ElementwiseWorkload(2, 32, 12, 12),
    PoolWorkload("max", 32, 12, 12, (3, 3), (2, 2), (1, 1, 1, 1)),
    PoolWorkload("avg", 64, 7, 7, (7, 7)),
]
BETTER: dict[str, dict[str, int]] = {
    "lower latency": {"read_latency": 6},
    "no latency": {"read_latency": 0, "write_address_latency": 0},
    "wider bus": {"bus_bits": 128},
    "more in flight": {"outstanding_reads": 64},
    "bigger inputs": {"log_inp_buff_size": 15},
}
BASE = dataclasses.replace(CFG, log_inp_buff_size=14, max_burst_beats=64)


@settings(max_examples=20, deadline=None)
@given(
    workload=st.sampled_from(WORKLOADS),
    bus=st.sampled_from([64, 128, 256]),
    latency=st.sampled_from([0, 18, 60]),
    blocks=st.sampled_from([(3, 3), (4, 4), (3, 4), (5, 4)]),
)
def test_no_faster_than_physics(
    workload: Workload, bus: int, latency: int, blocks: tuple[int, int]
) -> None:
    block_in, block_out = blocks
    cfg = dataclasses.replace(
        CFG,
        bus_bits=bus,
        max_burst_beats=64,
        read_latency=latency,
        log_block_in=block_in,
        log_block_out=block_out,
        encoding="wide",
    )
    found = best_schedule(workload, cfg)
    if isinstance(found, Infeasible):
        return
    bound = lower_bound(workload, cfg)
    counters = found.counters
    assert found.cycles >= bound.cycles
    assert sum(counters[name] for name in DATA) >= bound.dram_bytes
    assert counters["gemm_macs"] <= found.cycles * cfg.batch * cfg.block_in * cfg.block_out
    if isinstance(workload, ConvWorkload):
        assert counters["gemm_macs"] >= workload.macs
    bus_bytes = cfg.bus_bits // 8
    read = sum(counters[f"{name}_load_bytes"] for name in ("inp", "wgt", "acc", "uop"))
    assert counters["read_beats"] * bus_bytes >= read + counters["fetch_bytes"]
    assert counters["read_beats"] <= found.cycles
    assert counters["write_beats"] * bus_bytes >= counters["out_store_bytes"]
    assert counters["write_bursts"] >= counters["write_rows"]
    for module in ("load", "compute", "store"):
        assert 0 <= counters[f"{module}_busy_cycles"] <= found.cycles + 1


@pytest.mark.parametrize("change", BETTER)
@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda w: f"{type(w).__name__}")
def test_a_better_machine_is_not_slower_on_fixed_streams(workload: Workload, change: str) -> None:
    """Best of the same schedules; 3 % and 8 cycles a fetch chunk allow for anomalies."""
    cfg = dataclasses.replace(BASE, **BETTER[change])
    schedules = candidates(workload, BASE)[:6]
    before, after = (_best(workload, machine, schedules) for machine in (BASE, cfg))
    assert before is not None and after is not None
    chunk = min(cfg.max_burst_beats * cfg.bus_bits // 64, 2 * cfg.max_burst_beats) // 2
    chunks = -(-after[1] // chunk)
    assert after[0] <= TOLERANCE * before[0] + CHUNK_CYCLES * chunks


def _best(workload: Workload, cfg: VtaConfig, schedules: list[Schedule]) -> tuple[int, int] | None:
    """(cycles, instructions) of the fastest schedule."""
    measured = [measure(workload, cfg, schedule) for schedule in schedules]
    good = [m for m in measured if not isinstance(m, Infeasible)]
    return min(((m.cycles, m.counters["instructions"]) for m in good), default=None)
