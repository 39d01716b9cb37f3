"""The simulator against upstream's RTL, the executable specifications, and mutated streams.

Vectors: memory and cycles of 167 programs recorded from upstream's RTL, on the C++ core.
Differential: random legal programs over random configurations; the reference and the C++ core, with
every set of kernels that the processor has, must agree in every byte, counter and timeline entry,
and the checker with its specification word for word. Fuzz: mutated streams under the address and
undefined-behaviour sanitizers; every one must run or be refused by name, and none that the checker
calls clean may be refused. The long form runs 10 000 programs and 10⁶ streams on all cores;
``--quick`` 300 and 5 000; ``--only`` chooses one of the three.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import numpy as np
from claims import STDERR, Claim, Results, parser
from rich.progress import Progress, track

from codesign.hw.config import VtaConfig
from codesign.sim import Simulator
from codesign.sim.native import instruction_sets
from codesign.testing.engines import assert_checkers_agree, assert_engines_agree
from codesign.testing.fuzz import fuzz
from codesign.testing.programs import random_config, random_program

VECTORS = Path(__file__).parents[1] / "tests" / "golden" / "rtl_vectors.npz"
BATCH = 20  # programs a task
BAR: dict[str, Any] = {"console": STDERR, "disable": not STDERR.is_terminal}


def rtl_vectors() -> tuple[int, int, int]:
    """(programs, equal in memory, equal in cycles) of the C++ core."""
    with np.load(VECTORS, allow_pickle=False) as file:
        v = {key: file[key] for key in file.files}

    def item(name: str, index: int) -> np.ndarray:
        first, end = v[f"{name}_off"][index : index + 2]
        return v[f"{name}_data"][int(first) : int(end)].copy()

    count = len(v["name"])
    memories = cycles = 0
    for index in range(count):
        cfg = dataclasses.replace(
            VtaConfig(),
            max_burst_beats=int(v["max_burst_beats"][index]),
            read_latency=int(v["Lm"][index]),
            write_address_latency=int(v["Law"][index]),
            write_response_latency=int(v["Lb"][index]),
        )
        memory, base = item("mem", index), int(v["mem_base"][index])
        expected = memory.copy()
        for region in range(*map(int, v["region_first"][index : index + 2])):
            start = int(v["region_addr"][region]) - base
            data = item("region", region)
            expected[start : start + len(data)] = data
        fetched_from = int(v["insn_phys"][index])
        result = Simulator(cfg).run(item("insn", index), memory, base, fetched_from)
        memories += bool((memory == expected).all())
        cycles += result.cycles == int(v["cycles"][index])
    return count, memories, cycles


def differences(seed: int, task: int) -> list[str]:
    """Programs of one task on which engines, kernels or checkers differ."""
    found: list[str] = []
    for number in range(BATCH):
        rng = np.random.default_rng([seed, task, number])
        cfg = random_config(rng)
        program = random_program(rng, cfg, int(rng.integers(2, 80)))
        try:
            assert_engines_agree(cfg, program)
            assert_checkers_agree(cfg, program, portable=number % 2 == 0)
        except Exception as error:
            found.append(f"default_rng([{seed}, {task}, {number}]): {error}")
    return found


def vectors(results: Results, seed: int, quick: bool) -> None:
    count, memories, cycles = rtl_vectors()
    for name, equal in (("memory", memories), ("cycles", cycles)):
        text = f"RTL vectors equal in {name}"
        results.claims.append(Claim(text, equal, "programs", f"{count}", equal == count))


def differential(results: Results, seed: int, quick: bool) -> None:
    programs = 300 if quick else 10_000
    tasks = range(programs // BATCH)
    wrong: list[str] = []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        work = pool.map(differences, [seed] * len(tasks), tasks)
        for found in track(work, "comparing engines", total=len(tasks), **BAR):
            wrong += found
    for line in wrong[:10]:
        STDERR.print(line)
    name = f"C++ unlike the reference, of {programs} random programs"
    results.claims.append(Claim(name, len(wrong), "programs", "0", not wrong))
    results.figures["kernels compared"] = ", ".join(instruction_sets())


def mutated_streams(results: Results, seed: int, quick: bool) -> None:
    streams = 5_000 if quick else 1_000_000
    failures = 0
    with tempfile.TemporaryDirectory() as folder, Progress(**BAR) as progress:
        task = progress.add_task("fuzzing", total=streams)
        try:
            report = fuzz(Path(folder), streams, seed, advance=lambda n: progress.advance(task, n))
            results.figures |= {"fuzzed, legal": report.legal, "fuzzed, refused": report.refused}
        except CalledProcessError as error:
            STDERR.print(error.stderr)
            failures = 1
    name = f"sanitizer findings or crashes in {streams} mutated streams"
    results.claims.append(Claim(name, failures, "findings", "0", not failures))


PARTS = {"vectors": vectors, "differential": differential, "fuzz": mutated_streams}


def main() -> int:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--only", choices=PARTS, help="one part (default: all three)")
    options = arguments.parse_args()
    results = Results("Exactness of the simulator")
    for name, part in PARTS.items():
        if options.only in (None, name):
            part(results, options.seed, options.quick)
    results.show(options.json)
    return results.exit_code


if __name__ == "__main__":
    sys.exit(main())
