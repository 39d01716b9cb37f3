"""Stall reasons account for every idle cycle; traces and charts show what ran."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.hw.config import VtaConfig
from codesign.isa import Memory, Opcode, decode
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


def test_the_trace_is_valid_and_complete() -> None:
    rng = np.random.default_rng(7)
    cfg = VtaConfig()
    program = random_program(rng, cfg, 60)
    result = run(cfg, program)
    trace = json.loads(json.dumps(chrome_trace(result, decode(program.instructions, cfg), cfg)))
    events = trace["traceEvents"]
    assert {event["ph"] for event in events} == {"M", "X"}
    slices = [event for event in events if event["ph"] == "X"]
    for event in slices:
        assert {"name", "cat", "pid", "tid", "ts", "dur", "args"} <= set(event)
        assert event["dur"] > 0
    instructions = [event for event in slices if event["cat"] == "instruction"]
    assert sorted(e["args"]["index"] for e in instructions) == list(range(len(result.timeline)))
    assert {e["args"]["text"].split()[0] for e in instructions} >= {"LOAD", "STORE", "FINISH"}
    for module in Module:
        track = [event for event in slices if event["tid"] == module]
        for before, after in pairwise(track):
            assert before["args"]["end_cycle"] == after["args"]["start_cycle"]
    waits = sum(
        event["args"]["end_cycle"] - event["args"]["start_cycle"]
        for event in slices
        if event["cat"] != "instruction"
    )
    idle = [
        result.counters[f"{module.name.lower()}_{reason}_stall_cycles"]
        for module in Module
        for reason in ("token", "fetch", "queue")
    ]
    assert waits == sum(idle)


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
    assert joined["otherData"]["cycles"] == launch
    events = [event for event in joined["traceEvents"] if event.get("cat") == "instruction"]
    first, second = ([e for e in events if e["args"]["program"] == name] for name in "ab")
    assert len(first) + len(second) == sum(len(program.instructions) for program in programs)
    # FINISH's second cycle lies behind the end.
    assert max(e["ts"] + e["dur"] for e in first) <= min(e["ts"] for e in second) + 1 / 100
