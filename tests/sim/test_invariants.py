"""Physical invariants of the simulator (truth level T2): random legal programs over the spaces."""

from __future__ import annotations

import dataclasses
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.hw.config import VtaConfig
from codesign.hw.energy import dram_bytes, energy_parts_mj
from codesign.hw.feasibility import violations
from codesign.hw.space import load_space
from codesign.isa import Memory, Opcode, decode, encode
from codesign.isa.encoding import Bytes, Table
from codesign.isa.tables import Module, element_bytes
from codesign.sim import Simulator
from codesign.sim.result import SimResult
from codesign.testing.programs import Program, random_program

SPACES = ("neuhardco", "portable", "edge")
TOLERANCE, CHUNK_CYCLES = 1.03, 8
SEEDS = st.integers(0, 2**32 - 1)


@lru_cache(maxsize=len(SPACES))
def points(space: str) -> list[VtaConfig]:
    return load_space(space).sample(60, np.random.default_rng(1))


def drawn(space: str, seed: int) -> tuple[VtaConfig, np.random.Generator]:
    rng = np.random.default_rng(seed)
    configs = points(space)
    return configs[int(rng.integers(len(configs)))], rng


def timed(cfg: VtaConfig, stream: Bytes) -> SimResult:
    return Simulator(cfg).run(stream, None, timing_only=True)


def distinct_bytes(table: Table, opcode: Opcode, cfg: VtaConfig, program: Program) -> int:
    """DRAM bytes that some transfer of ``opcode`` touches, each counted once."""
    touched = np.zeros(program.memory.size, bool)
    for row in table[(table["opcode"] == opcode) & (table["x_size"] > 0)]:
        size = element_bytes(int(row["memory_type"]), cfg)
        for y in range(int(row["y_size"])):
            first = (int(row["dram_base"]) + y * int(row["x_stride"])) * size - program.base_address
            touched[first : first + int(row["x_size"]) * size] = True
    return int(touched.sum())


@pytest.mark.parametrize("space", SPACES)
@settings(max_examples=12, deadline=None)
@given(seed=SEEDS)
def test_traffic_work_and_energy_are_possible(space: str, seed: int) -> None:
    cfg, rng = drawn(space, seed)
    program = random_program(rng, cfg, int(rng.integers(2, 60)))
    result = timed(cfg, program.instructions)
    table, counters = decode(program.instructions, cfg), result.counters
    # MACs a cycle <= PEs, lanes a cycle <= one element; no module works longer than the program.
    assert counters["gemm_macs"] <= result.cycles * cfg.pes
    assert counters["gemm_uops"] + counters["alu_uops"] <= result.cycles
    # DRAM bytes >= compulsory bytes, and the bus carries them within the cycles.
    loaded = sum(counters[f"{name}_load_bytes"] for name in ("inp", "wgt", "acc", "uop"))
    assert loaded >= distinct_bytes(table, Opcode.LOAD, cfg, program)
    stored = counters["out_store_bytes"]
    assert stored >= distinct_bytes(table, Opcode.STORE, cfg, program)
    fetched = len(table) * cfg.instruction_bytes
    assert counters["fetch_bytes"] == fetched
    assert dram_bytes(counters) == loaded + stored + fetched
    bus_bytes = cfg.bus_bits // 8
    assert counters["read_beats"] * bus_bytes >= loaded + fetched
    assert counters["write_beats"] * bus_bytes >= stored
    assert max(counters["read_beats"], counters["write_beats"]) <= result.cycles
    assert counters["read_bursts"] <= counters["read_beats"]
    assert counters["write_bursts"] <= counters["write_beats"]
    # Energy parts are not negative and together are the energy of the counters, part by part.
    parts = energy_parts_mj(counters, cfg)
    assert min(parts.values()) >= 0
    doubled = energy_parts_mj({name: 2 * value for name, value in counters.items()}, cfg)
    assert sum(doubled.values()) == pytest.approx(2 * sum(parts.values()))


@pytest.mark.parametrize("space", SPACES)
@settings(max_examples=12, deadline=None)
@given(seed=SEEDS)
def test_counters_are_the_sums_over_the_timeline(space: str, seed: int) -> None:
    cfg, rng = drawn(space, seed)
    result = timed(cfg, random_program(rng, cfg, int(rng.integers(2, 60))).instructions)
    assert len(result.timeline) == result.counters["instructions"]
    for module in Module:
        spans = result.timeline[result.timeline["module"] == module]
        assert (spans["start"][1:] >= spans["end"][:-1]).all()
        assert (spans["start"] > spans["enqueued"]).all()
        busy = int((spans["end"] - spans["start"]).sum())
        assert busy == result.counters[f"{module.name.lower()}_busy_cycles"]
    assert result.cycles == int(result.timeline["start"][-1]) + 1


BETTER: dict[str, dict[str, int]] = {
    "read latency": {"read_latency": 0},
    "write latency": {"write_address_latency": 0, "write_response_latency": 1},
    "more in flight": {"outstanding_reads": 64},
    "wider bus": {"bus_bits": 2},  # factor
    "much wider bus": {"bus_bits": 4},  # factor
}


@pytest.mark.parametrize("change", BETTER)
@pytest.mark.parametrize("space", SPACES)
@settings(max_examples=8, deadline=None)
@given(seed=SEEDS)
def test_a_better_memory_system_is_not_slower(space: str, change: str, seed: int) -> None:
    """The best of a fixed set of streams; 3 % and 8 cycles a fetch chunk allow for anomalies."""
    cfg, rng = drawn(space, seed)
    fields = dict(BETTER[change])
    if "bus_bits" in fields:
        fields["bus_bits"] = min(512, fields["bus_bits"] * cfg.bus_bits)
    cfg = dataclasses.replace(cfg, max_burst_beats=min(cfg.max_burst_beats, 64))
    better = dataclasses.replace(cfg, **fields)
    if violations(better):
        return
    streams = [random_program(rng, cfg, 40).instructions for _ in range(4)]
    before = min(timed(cfg, stream).cycles for stream in streams)
    results = [timed(better, stream) for stream in streams]
    best = min(results, key=lambda result: result.cycles)
    words = min(better.max_burst_beats * better.bus_bits // 64, 2 * better.max_burst_beats)
    chunk = max(1, words * 8 // better.instruction_bytes)
    chunks = -(-best.counters["instructions"] // chunk)
    assert best.cycles <= TOLERANCE * before + CHUNK_CYCLES * chunks


@pytest.mark.parametrize("space", SPACES)
@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, buffer=st.sampled_from(["uop", "inp", "wgt", "acc"]))
def test_a_bigger_buffer_does_not_change_a_stream(space: str, seed: int, buffer: str) -> None:
    """Room that a program does not use costs nothing, whatever the width of its fields."""
    cfg, rng = drawn(space, seed)
    cfg = dataclasses.replace(cfg, encoding="wide")
    name = f"log_{buffer}_buff_size"
    bigger = dataclasses.replace(cfg, **{name: getattr(cfg, name) + 1})
    if violations(cfg) or violations(bigger):
        return
    stream = random_program(rng, cfg, 40).instructions
    again = encode(decode(stream, cfg), bigger)
    assert timed(bigger, again).counters == timed(cfg, stream).counters


def test_the_spaces_cover_blocks_and_encodings() -> None:
    drawn_points = [cfg for space in SPACES for cfg in points(space)]
    assert {cfg.instruction_encoding for cfg in drawn_points} == {"vta", "wide"}
    assert {4, 8, 16, 32, 64} <= {cfg.block_in for cfg in drawn_points}
    assert element_bytes(Memory.WGT, max(drawn_points, key=lambda c: c.pes)) == 4096
