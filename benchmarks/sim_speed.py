"""How fast the simulator and the checker are, on one core (CPU seconds, the best of the samples).

Functional: GEMM micro-ops a second of a tiled 3×3 convolution at 1x16x16 int8, data included; the
share is of the densest int8 multiply-accumulate loop of the processor, measured beside it.
Upstream's functional simulator does 28 M micro-ops/s on one core. Timing only: events
(instructions and bursts) a second on the whole program of ResNet-18 (224×224, pynq); upstream's
Verilated RTL does 0.42 M cycles a second. Checker: instructions a second on the same program, with
memory (micro-ops, uninitialised reads, hazards). Scaling: time and peak memory an instruction, and
the largest machine of the spaces.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from claims import Claim, Results, parser
from numpy.typing import NDArray
from resnet18 import WholeProgram, whole_program

import codesign
from codesign.hw.config import VtaConfig
from codesign.hw.space import load_space
from codesign.isa import (
    INSTRUCTION,
    UOP,
    Memory,
    Opcode,
    check,
    decode,
    encode,
    encode_uops,
)
from codesign.kernels import ConvWorkload
from codesign.sim import Simulator
from codesign.sim.native import instruction_sets, peak_macs, select_instruction_set

UPSTREAM_UOPS, UPSTREAM_CYCLES = 28e6, 0.42e6
BASE = 0x1000
ROUNDS = 2_000_000  # of the loop that measures the peak


def seconds(work: Callable[[], object], samples: int) -> list[float]:
    """CPU seconds of each call; the first one warms up and does not count."""
    work()
    found: list[float] = []
    for _ in range(samples):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return found


def table(rows: list[dict[str, int]]) -> NDArray[np.void]:
    made = np.zeros(len(rows), INSTRUCTION)
    for index, row in enumerate(rows):
        for name, value in row.items():
            made[name][index] = value
    return made


def convolution(cfg: VtaConfig, instructions: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """GEMM instructions of 14×14 outputs, 3×3 taps: one micro-op a tap, loops over the outputs."""
    uops = np.zeros(9, UOP)
    uops["src"] = [y * 16 + x for y in range(3) for x in range(3)]
    uops["wgt"] = range(9)
    memory = np.random.default_rng(0).integers(0, 256, 1 << 20, dtype=np.uint8)
    encoded = encode_uops(uops, cfg).ravel()
    memory[: encoded.size] = encoded

    def load(kind: Memory, size: int, count: int) -> dict[str, int]:
        transfer = {"dram_base": BASE // size, "y_size": 1, "x_size": count, "x_stride": count}
        return {"opcode": Opcode.LOAD, "memory_type": kind, **transfer}

    rows = [load(Memory.UOP, 4, 9), load(Memory.INP, 16, 2048), load(Memory.WGT, 256, 1024)]
    rows[-1]["push_next"] = 1
    gemm = {"opcode": Opcode.GEMM, "uop_end": 9, "iter_out": 14, "iter_in": 14}
    gemm |= {"dst_factor_out": 14, "dst_factor_in": 1, "src_factor_out": 16, "src_factor_in": 1}
    rows += [dict(gemm) for _ in range(instructions)]
    rows[3]["pop_prev"] = 1
    rows.append({"opcode": Opcode.FINISH})
    return encode(table(rows), cfg), memory


def functional(results: Results, samples: int) -> None:
    cfg = VtaConfig()
    stream, memory = convolution(cfg, 2_000)
    macs = cfg.batch * cfg.block_in * cfg.block_out
    for name in reversed(instruction_sets()):
        select_instruction_set(name)
        simulator = Simulator(cfg)
        uops = simulator.run(stream, memory, BASE).counters["gemm_uops"]
        rates: list[float] = []
        peaks: list[float] = []
        # Interleaved, so that both see the same clock and the same neighbours.
        for _ in range(samples):
            rates += [uops / t for t in seconds(partial(simulator.run, stream, memory, BASE), 1)]
            done = peak_macs(ROUNDS)
            peaks += [done / t for t in seconds(partial(peak_macs, ROUNDS), 1) if done]
        best = max(rates)
        results.figures[f"{name}: GEMM micro-ops/s"] = best
        results.figures[f"{name}: GMAC/s"] = best * macs / 1e9
        if peaks:
            results.figures[f"{name}: share of int8 peak"] = best * macs / max(peaks)
    goal = 8 * UPSTREAM_UOPS
    results.claims.append(
        Claim(
            f"functional, 1x16x16 int8 ({instruction_sets()[0]})",
            best / 1e6,
            "M GEMM micro-ops/s",
            "≥ 224 (8 × upstream's 28)",
            best >= goal,
            [rate / 1e6 for rate in rates],
        )
    )


def timing(results: Results, program: WholeProgram, cfg: VtaConfig, samples: int) -> None:
    simulator = Simulator(cfg)

    def run() -> dict[str, int]:
        return simulator.run(program.instructions, None, program.base, timing_only=True).counters

    counters = run()
    events = counters["instructions"] + counters["read_bursts"] + counters["write_bursts"]
    times = seconds(run, samples)
    best = min(times)
    rates = [events / t / 1e6 for t in times]
    results.claims += [
        Claim("timing only", max(rates), "M events/s", "≥ 5", max(rates) >= 5, rates),
        Claim(
            "timing only, ResNet-18's whole program",
            best * 1e3,
            "ms",
            "≤ 10",
            best <= 0.010,
            [t * 1e3 for t in times],
        ),
        Claim(
            "timing only ÷ upstream's Verilated RTL",
            counters["cycles"] / best / UPSTREAM_CYCLES,
            "ratio",
            "≥ 2000",
            counters["cycles"] / best / UPSTREAM_CYCLES >= 2000,
        ),
    ]
    results.figures |= {"ResNet-18 cycles": counters["cycles"], "ResNet-18 events": events}
    memory = program.memory.copy()
    times = seconds(lambda: simulator.run(program.instructions, memory, program.base), samples)
    results.figures["ResNet-18 with data, ms"] = min(times) * 1e3
    results.figures["ResNet-18 with data, M GEMM micro-ops/s"] = (
        counters["gemm_uops"] / min(times) / 1e6
    )


def checker(results: Results, program: WholeProgram, cfg: VtaConfig, samples: int) -> None:
    """Legal, with the rules of upstream's hardware too, and with faults all over the program."""
    faulty = program.instructions.copy()
    table = decode(faulty, cfg)
    resets = (table["opcode"] == Opcode.GEMM) & (table["reset"] == 1)
    table["reset"][resets] = 0  # products on accumulators that hold nothing yet
    streams = {
        "checker": (program.instructions, False),
        "checker, portable": (program.instructions, True),
        "checker, portable, faulty": (encode(table, cfg), True),
    }
    for name, (stream, portable) in streams.items():
        work = partial(check, stream, cfg, program.memory, program.base, portable)
        found = work()
        assert bool(found) == (stream is not program.instructions), found[:3]
        rates = [len(stream) / t / 1e6 for t in seconds(work, samples)]
        best = max(rates)
        results.claims.append(Claim(name, best, "M instructions/s", "≥ 1", best >= 1, rates))
    results.figures["findings of the faulty program"] = len(found)


def scaling(results: Results, samples: int) -> None:
    """Time and memory an instruction, of short and of long streams."""
    cfg = VtaConfig()
    costs: list[float] = []
    for count in (1_000, 4_000, 16_000):
        stream, _ = convolution(cfg, count)
        run = lambda stream=stream: Simulator(cfg).run(stream, None, BASE, timing_only=True)  # noqa: E731
        costs.append(min(seconds(run, samples)) / count)
    ratio = costs[-1] / costs[0]
    name = "time an instruction, 16 000 ÷ 1 000 instructions"
    results.claims.append(Claim(name, ratio, "ratio", "≤ 1.5", ratio <= 1.5, costs))
    lengths = (500_000, 4_000_000)
    peaks = [_peak_bytes(count) for count in lengths]
    grown = (peaks[1] - peaks[0]) / (lengths[1] - lengths[0]) - cfg.instruction_bytes
    name = "peak memory an instruction, beyond the program's 16 bytes"
    results.claims.append(Claim(name, grown, "bytes", "≤ 1", grown <= 1, peaks))


_LONG_RUN = """
import pathlib, sys
import numpy as np
from codesign.hw.config import VtaConfig
from codesign.sim import Simulator
stream = np.zeros((int(sys.argv[1]), 16), np.uint8)
stream.fill(0)  # LOAD UOP of no micro-ops
stream[-1, 0] = 3  # FINISH
memory = np.zeros(4096, np.uint8)
Simulator(VtaConfig()).run(stream, memory, timeline=False)
status = pathlib.Path("/proc/self/status").read_text()
print(status.split("VmHWM:")[1].split()[0])  # KiB
"""


def _peak_bytes(instructions: int) -> int:
    """Of a process that runs so many instructions, with data and without a timeline."""
    command = [sys.executable, "-c", _LONG_RUN, str(instructions)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout) * 1024


def largest_machine(results: Results, samples: int, seed: int) -> None:
    """64×64 blocks, 2 MiB of SRAM: convolutions with data, a small one against the reference."""
    points = load_space("neuhardco").configs()
    cfg = next(c for c in points if c.pes == 4096 and c.log_wgt_buff_size == 20)

    def convolved(channels: int, size: int) -> WholeProgram:
        workload = ConvWorkload(channels, channels, size, size, (3, 3), (1, 1), (1, 1, 1, 1))
        return whole_program(cfg, seed, [workload])

    small = convolved(64, 4)
    assert not check(small.instructions, cfg, small.memory, small.base)
    memories = [small.memory.copy(), small.memory.copy()]
    for engine, memory in zip(("cpp", "reference"), memories, strict=True):
        Simulator(cfg, engine).run(small.instructions, memory, small.base)
    wrong = int((memories[0] != memories[1]).sum())
    name = "64×64 blocks, 2 MiB of SRAM: bytes unlike the reference"
    results.claims.append(Claim(name, wrong, "bytes", "0", wrong == 0))
    large = convolved(256, 56)
    work = partial(Simulator(cfg).run, large.instructions, large.memory.copy(), large.base)
    best = min(seconds(work, samples))
    results.figures["64×64 blocks: 256→256 channels, 3×3, 56×56, with data, ms"] = best * 1e3
    results.figures["64×64 blocks: GMAC/s"] = work().counters["gemm_macs"] / best / 1e9


def main() -> int:
    options = parser(__doc__ or "").parse_args()
    samples = 3 if options.quick else 15
    results = Results("Speed of the simulator (one core)")
    cfg = codesign.load_config("pynq")
    functional(results, samples)
    program = whole_program(cfg, options.seed)
    timing(results, program, cfg, samples)
    checker(results, program, cfg, samples)
    scaling(results, samples)
    largest_machine(results, samples, options.seed)
    results.show(options.json)
    return results.exit_code


if __name__ == "__main__":
    sys.exit(main())
