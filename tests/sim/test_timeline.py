"""Stall reasons account for every idle cycle; traces and charts show what ran."""

from __future__ import annotations

import dataclasses
import json
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.hw.config import VtaConfig
from codesign.isa import Memory, Opcode, decode, disassemble
from codesign.isa.tables import Module, element_bytes
from codesign.sim import Simulator
from codesign.sim.result import SimResult
from codesign.sim.timeline import activity, chrome_trace, gantt, join
from codesign.testing.programs import Program, random_config, random_program


def run(cfg: VtaConfig, program: Program) -> SimResult:
    return Simulator(cfg).run(
        program.instructions, program.memory, program.base_address, timing_only=True
    )


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_working_and_idle_cycles_sum_to_all_cycles(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cfg = random_config(rng)
    result = run(cfg, random_program(rng, cfg, int(rng.integers(2, 80))))
    for module in activity(result).values():
        assert sum(module.values()) == result.cycles
        assert min(module.values()) >= 0


def test_counters_equal_sums_over_the_timeline() -> None:
    rng = np.random.default_rng(5)
    cfg = random_config(rng)
    result = run(cfg, random_program(rng, cfg, 80))
    for module in Module:
        spans = result.timeline[result.timeline["module"] == module]
        busy = int((spans["end"] - spans["start"]).sum())
        assert busy == result.counters[f"{module.name.lower()}_busy_cycles"]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_counters_equal_sums_over_the_program(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cfg = random_config(rng)
    program = random_program(rng, cfg, 60)
    counters = run(cfg, program).counters
    t = decode(program.instructions, cfg)
    moving = np.isin(t["opcode"], [Opcode.LOAD, Opcode.STORE]) & (t["x_size"] > 0)
    size = np.array([element_bytes(memory, cfg) for memory in Memory])[t["memory_type"]]
    moved = np.where(moving, t["y_size"] * t["x_size"] * size, 0)
    load = t["opcode"] == Opcode.LOAD
    for memory in (Memory.INP, Memory.WGT, Memory.UOP):
        of = moved[load & (t["memory_type"] == memory)].sum()
        assert of == counters[f"{memory.name.lower()}_load_bytes"]
    assert moved[~load].sum() == counters["out_store_bytes"]
    rows = np.where(moving, t["y_size"], 0)
    assert rows[load].sum() == counters["read_rows"]
    assert rows[~load].sum() == counters["write_rows"]
    micro_ops = t["iter_out"] * t["iter_in"] * (t["uop_end"] - t["uop_bgn"])
    gemm = t["opcode"] == Opcode.GEMM
    assert micro_ops[gemm & (t["reset"] == 0)].sum() == counters["gemm_uops"]
    assert micro_ops[t["opcode"] == Opcode.ALU].sum() == counters["alu_uops"]
    multipliers = cfg.batch * cfg.block_in * cfg.block_out
    assert counters["gemm_macs"] <= counters["cycles"] * multipliers


def assert_valid_trace(trace: dict[str, Any]) -> None:
    """Chrome's trace-event format, "JSON object" form, as Perfetto reads it.

    Complete events have a name, numbers ``ts`` and ``dur`` in µs (whole nanoseconds, Perfetto's
    unit), ``pid`` and ``tid``; a track's events come in order and do not overlap, so that they
    nest; metadata names every track once.
    """
    assert isinstance(trace["traceEvents"], list)
    assert trace["displayTimeUnit"] in ("ms", "ns")
    tracks: dict[tuple[int, int], int] = {}
    named: list[tuple[int, int]] = []
    for event in trace["traceEvents"]:
        assert event["ph"] in ("M", "X")
        assert isinstance(event["name"], str) and event["name"]
        assert isinstance(event["pid"], int)
        if event["ph"] == "M":
            assert event["name"] in ("process_name", "thread_name")
            assert isinstance(event["args"]["name"], str)
            if event["name"] == "thread_name":
                named.append((event["pid"], event["tid"]))
            continue
        assert set(event) == {"ph", "pid", "tid", "name", "cat", "ts", "dur", "args"}
        assert isinstance(event["tid"], int) and isinstance(event["args"], dict)
        for key in ("ts", "dur"):
            assert isinstance(event[key], (int, float)) and math.isfinite(event[key])
        begin, length = round(event["ts"] * 1000), round(event["dur"] * 1000)
        assert begin / 1000 == event["ts"] and length / 1000 == event["dur"]
        assert begin >= 0 and length > 0
        track = (event["pid"], event["tid"])
        assert begin >= tracks.get(track, 0)
        tracks[track] = begin + length
    assert len(named) == len(set(named))
    assert set(tracks) <= set(named)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    launch=st.integers(0, 10**9),
    clock=st.sampled_from([100, 333, 400, 1000]),
)
def test_the_trace_is_valid_and_complete(seed: int, launch: int, clock: int) -> None:
    rng = np.random.default_rng(seed)
    cfg = dataclasses.replace(random_config(rng), frequency_mhz=clock)
    program = random_program(rng, cfg, int(rng.integers(2, 60)))
    result = run(cfg, program)
    table = decode(program.instructions, cfg)
    trace = json.loads(json.dumps(chrome_trace(result, table, cfg, "unit", launch)))
    assert_valid_trace(trace)
    slices = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    instructions = [event for event in slices if event["cat"] == "instruction"]
    assert sorted(e["args"]["index"] for e in instructions) == list(range(len(result.timeline)))
    texts = [line.split(maxsplit=1)[1] for line in disassemble(table, cfg)]
    for event in instructions:
        _, _, start, end = result.timeline[event["args"]["index"]].item()
        assert (event["args"]["start_cycle"], event["args"]["end_cycle"]) == (start, end)
        assert event["args"]["text"] == texts[event["args"]["index"]]
        shown = min(end, result.cycles)  # FINISH's second cycle lies behind the end
        assert event["ts"] == pytest.approx((start + launch) / clock, abs=1e-3)
        assert event["dur"] == pytest.approx((shown - start) / clock, abs=1.1e-3)
    # From the launch on, a module's slices follow one another without a gap.
    for module in Module:
        track = [event["args"] for event in slices if event["tid"] == module]
        assert not track or track[0]["start_cycle"] == 0
        for before, after in pairwise(track):
            assert before["end_cycle"] == after["start_cycle"]
    # Waits are the idle cycles, by reason; a full queue shows as waiting for an instruction.
    for category, reasons in {"token": ("token",), "fetch": ("fetch", "queue")}.items():
        for module in Module:
            waits = [
                event["args"]["end_cycle"] - event["args"]["start_cycle"]
                for event in slices
                if event["cat"] == category and event["tid"] == module
            ]
            name = module.name.lower()
            stalls = [result.counters[f"{name}_{reason}_stall_cycles"] for reason in reasons]
            assert sum(waits) == sum(stalls)


def test_the_chart_has_a_row_a_module() -> None:
    rng = np.random.default_rng(9)
    cfg = VtaConfig()
    program = random_program(rng, cfg, 60)
    result = run(cfg, program)
    chart = gantt(result, decode(program.instructions, cfg), columns=50).splitlines()
    assert chart[0].startswith(f"{result.cycles} cycles")
    bars = [line for line in chart if line.endswith("|")]
    assert [bar.split("|")[0].strip() for bar in bars] == ["LOAD", "COMPUTE", "STORE"]
    assert all(len(bar.split("|")[1]) == 50 for bar in bars)
    assert set("".join(bar.split("|")[1] for bar in bars)) <= set("lGAs. ")


def test_joined_traces_follow_one_another() -> None:
    cfg = VtaConfig()
    programs = [random_program(np.random.default_rng(seed), cfg, 10) for seed in range(2)]
    traces = []
    launch = 0
    for name, program in zip("ab", programs, strict=True):
        result = run(cfg, program)
        table = decode(program.instructions, cfg)
        traces.append(chrome_trace(result, table, cfg, name, launch))
        launch += result.cycles
    joined = join(traces)
    assert_valid_trace(json.loads(json.dumps(joined)))
    assert joined["otherData"]["cycles"] == launch
    events = [event for event in joined["traceEvents"] if event.get("cat") == "instruction"]
    first, second = ([e for e in events if e["args"]["program"] == name] for name in "ab")
    assert len(first) + len(second) == sum(len(program.instructions) for program in programs)
    assert max(e["ts"] + e["dur"] for e in first) <= min(e["ts"] for e in second)
