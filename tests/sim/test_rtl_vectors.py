"""Both engines against programs recorded from upstream's RTL: every byte, every cycle."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from codesign.hw.config import VtaConfig
from codesign.sim import Simulator
from codesign.sim.simulator import Engine

VECTORS = Path(__file__).parents[1] / "golden" / "rtl_vectors.npz"
COUNT = 167


@pytest.fixture(scope="module")
def vectors() -> dict[str, NDArray[Any]]:
    with np.load(VECTORS, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def item(vectors: dict[str, NDArray[Any]], name: str, index: int) -> NDArray[np.uint8]:
    offsets = vectors[f"{name}_off"]
    return vectors[f"{name}_data"][int(offsets[index]) : int(offsets[index + 1])].copy()


def config(vectors: dict[str, NDArray[Any]], index: int) -> VtaConfig:
    return dataclasses.replace(
        VtaConfig(),
        max_burst_beats=int(vectors["max_burst_beats"][index]),
        read_latency=int(vectors["Lm"][index]),
        write_address_latency=int(vectors["Law"][index]),
        write_response_latency=int(vectors["Lb"][index]),
    )


def check(vectors: dict[str, NDArray[Any]], index: int, engine: Engine) -> None:
    memory, base = item(vectors, "mem", index), int(vectors["mem_base"][index])
    expected = memory.copy()
    for region in range(
        int(vectors["region_first"][index]), int(vectors["region_first"][index + 1])
    ):
        start = int(vectors["region_addr"][region]) - base
        data = item(vectors, "region", region)
        expected[start : start + len(data)] = data
    result = Simulator(config(vectors, index), engine).run(
        item(vectors, "insn", index), memory, base, int(vectors["insn_phys"][index])
    )
    assert (memory == expected).all()
    assert result.cycles == int(vectors["cycles"][index])
    counters = result.counters
    assert counters["read_beats"] == int(vectors["read_beats"][index])
    assert counters["write_beats"] == int(vectors["write_beats"][index])
    acc_writes = counters["gemm_uops"] + counters["gemm_reset_uops"] + counters["alu_uops"]
    assert acc_writes == int(vectors["acc_writes"][index])


def test_there_are_as_many_programs_as_recorded(vectors: dict[str, NDArray[Any]]) -> None:
    assert len(vectors["name"]) == COUNT


@pytest.mark.parametrize("index", range(COUNT))
def test_cpp_equals_rtl(vectors: dict[str, NDArray[Any]], index: int) -> None:
    check(vectors, index, "cpp")


@pytest.mark.parametrize("index", range(0, COUNT, 8))
def test_reference_equals_rtl(vectors: dict[str, NDArray[Any]], index: int) -> None:
    check(vectors, index, "reference")


@pytest.mark.long
@pytest.mark.parametrize("index", range(COUNT))
def test_reference_equals_rtl_on_every_program(
    vectors: dict[str, NDArray[Any]], index: int
) -> None:
    check(vectors, index, "reference")


@pytest.mark.parametrize("index", range(0, COUNT, 5))
def test_timing_alone_gives_the_same_cycles(vectors: dict[str, NDArray[Any]], index: int) -> None:
    result = Simulator(config(vectors, index)).run(
        item(vectors, "insn", index),
        None,
        int(vectors["mem_base"][index]),
        int(vectors["insn_phys"][index]),
        timing_only=True,
    )
    assert result.cycles == int(vectors["cycles"][index])
