"""ResNet-18 at 224×224 as one instruction stream: what the speed benchmarks simulate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.isa import INSTRUCTION, Memory, Opcode, decode, encode
from codesign.kernels import (
    ConvParams,
    ConvWorkload,
    ElementwiseParams,
    ElementwiseWorkload,
    Params,
    Placement,
    PoolParams,
    PoolWorkload,
    Workload,
    best_schedule,
    build,
    identity_copies,
    input_layouts,
    output_layout,
    shift_steps,
    valid_counts,
)

PAGE = 4096


@dataclass(frozen=True)
class WholeProgram:
    """All units one after another, each with buffers of its own; ``memory[0]`` is at ``base``."""

    instructions: NDArray[np.uint8]
    memory: NDArray[np.uint8]
    base: int
    macs: int


def units() -> list[Workload]:
    """The network's units in order: 20 convolutions, their additions, pools, the classifier."""

    def conv(i: int, o: int, size: int, kernel: int = 3, stride: int = 1) -> ConvWorkload:
        pad = kernel // 2
        return ConvWorkload(
            i, o, size, size, (kernel, kernel), (stride, stride), (pad, pad, pad, pad)
        )

    found: list[Workload] = [
        conv(3, 64, 224, 7, 2),
        PoolWorkload("max", 64, 112, 112, (3, 3), (2, 2), (1, 1, 1, 1)),
    ]
    channels, size = 64, 56
    for stage in range(4):
        for block in range(2):
            wider = 64 << stage
            stride = 2 if stage and not block else 1
            found.append(conv(channels, wider, size, 3, stride))
            if stride == 2:
                found.append(conv(channels, wider, size, 1, 2))
            size //= stride
            found += [conv(wider, wider, size), ElementwiseWorkload(2, wider, size, size)]
            channels = wider
    found.append(PoolWorkload("avg", 512, 7, 7, (7, 7)))
    found.append(ConvWorkload(512, 1000, 1, 1))
    return found


def whole_program(
    cfg: VtaConfig, seed: int = 0, workloads: Sequence[Workload] | None = None
) -> WholeProgram:
    """Random weights and input; schedules are the tuner's best ones. Other workloads on request."""
    rng = np.random.default_rng(seed)
    base = address = PAGE
    tables: list[NDArray[np.void]] = []
    constants: list[tuple[int, NDArray[np.uint8]]] = []
    macs = 0

    def place(nbytes: int) -> int:
        nonlocal address
        at = address
        address += -(-nbytes // PAGE) * PAGE
        return at

    for workload in units() if workloads is None else workloads:
        found = best_schedule(workload, cfg)
        if isinstance(found, Infeasible):
            raise RuntimeError(f"{workload}: {found}")
        unit = build(workload, _params(workload, rng), cfg, found.schedule)
        placement = Placement(
            tuple(place(layout.nbytes(cfg)) for layout in input_layouts(workload)),
            place(output_layout(workload).nbytes(cfg)),
            place(unit.constants.nbytes),
        )
        constants.append((placement.constants, unit.constants))
        tables.append(decode(unit.instructions(placement), cfg))
        if isinstance(workload, ConvWorkload):
            macs += workload.macs
    joined = np.concatenate([_drained(table) for table in tables[:-1]] + tables[-1:])
    memory = rng.integers(0, 256, address - base, dtype=np.uint8)
    for at, data in constants:
        memory[at - base : at - base + data.size] = data
    return WholeProgram(encode(joined, cfg), memory, base, macs)


def _drained(table: NDArray[np.void]) -> NDArray[np.void]:
    """The unit with a no-op in FINISH's place, which the next unit's loads and stores wait for."""
    waits = np.zeros(2, INSTRUCTION)
    waits["opcode"] = Opcode.LOAD, Opcode.STORE
    waits["memory_type"] = Memory.INP, Memory.OUT
    waits["pop_next"][0] = waits["pop_prev"][1] = 1
    last = table[-1:].copy()
    last["opcode"] = Opcode.LOAD  # of no micro-ops
    last["push_prev"] = last["push_next"] = 1
    return np.concatenate([table[:-1], last, waits])


def _params(workload: Workload, rng: np.random.Generator) -> Params:
    if isinstance(workload, ConvWorkload):
        shape = (workload.out_channels, workload.in_channels, *workload.kernel)
        weight = rng.integers(-127, 128, shape, dtype=np.int8)
        return ConvParams(weight, np.zeros(workload.out_channels, np.int32), 9)
    if isinstance(workload, ElementwiseWorkload):
        return ElementwiseParams((1,) * workload.operands, 0, 1)
    if workload.kind == "max":
        return None
    counts = {n: min(127 * identity_copies(workload, n), 64) for n in valid_counts(workload)}
    return PoolParams({n: (m, 0) for n, m in counts.items()}, 6 * shift_steps(workload))
