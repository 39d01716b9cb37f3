"""Fuzzing the C++ core: mutated programs under the address and undefined-behaviour sanitizers."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import codesign.sim
from codesign.errors import MissingDependencyError
from codesign.hw.config import VtaConfig
from codesign.sim.native import config_values, instruction_sets
from codesign.testing.programs import Program, random_config, random_program

SOURCES = Path(codesign.sim.__file__).parent / "csrc"
_FLAGS = ("-std=c++17", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
_BINDINGS = {"binding.cc", "vta_module.cc"}
_CHUNK = 20_000  # streams a process


@dataclass(frozen=True)
class FuzzReport:
    """Streams that ran, those that were legal after all, and those refused with a named rule."""

    streams: int
    legal: int
    refused: int

    def plus(self, other: FuzzReport) -> FuzzReport:
        return FuzzReport(
            self.streams + other.streams, self.legal + other.legal, self.refused + other.refused
        )


def build_fuzzer(folder: Path) -> Path:
    """Compile the core and the fuzzer into ``folder``; returns the executable.

    Raises
    ------
    MissingDependencyError
        There is no g++.
    """
    compiler = shutil.which("g++")
    if compiler is None:
        raise MissingDependencyError("g++ is not there; fuzzing compiles the core: install g++")
    sources = [path for path in sorted(SOURCES.glob("*.cc")) if path.name not in _BINDINGS]
    sources.append(SOURCES / "fuzz" / "fuzz.cc")

    def compile_one(source: Path) -> Path:
        target = folder / f"{source.stem}.o"
        command = [compiler, *_FLAGS, *_set_flags(source), "-c", str(source), "-o", str(target)]
        subprocess.run(command, check=True)
        return target

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        objects = list(pool.map(compile_one, sources))
    program = folder / "fuzz"
    command = [compiler, *_FLAGS, *map(str, objects), "-o", str(program)]
    subprocess.run(command, check=True)
    return program


def _set_flags(source: Path) -> Sequence[str]:
    """Only the kernels that this processor can run are compiled in; CMakeLists.txt compiles all."""
    flags = {
        "avx2": ("-mavx2",),
        "avx512_vnni": ("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512vnni"),
    }
    name = {"kernels_avx2": "avx2", "kernels_avx512": "avx512_vnni"}.get(source.stem)
    return flags[name] if name in instruction_sets() else ()


def write_corpus(path: Path, programs: int, seed: int) -> None:
    """Legal random programs over random configurations, for the fuzzer to mutate."""
    rng = np.random.default_rng(seed)
    with path.open("wb") as file:
        for _ in range(programs):
            cfg = random_config(rng)
            file.write(_record(cfg, random_program(rng, cfg, int(rng.integers(2, 25)))))


def _record(cfg: VtaConfig, program: Program) -> bytes:
    sizes = (len(program.instructions), program.memory.size, program.base_address)
    head = np.array([*config_values(cfg), *sizes], "<i8")
    return head.tobytes() + program.instructions.tobytes() + program.memory.tobytes()


def fuzz(
    folder: Path,
    streams: int,
    seed: int = 0,
    programs: int = 300,
    advance: Callable[[int], None] | None = None,
) -> FuzzReport:
    """Build, write a corpus, run one process a core; ``advance`` is told streams that are done.

    Raises
    ------
    CalledProcessError
        On the first finding; its ``stderr`` is the sanitizer's report.
    """
    program = build_fuzzer(folder)
    corpus = folder / "corpus.bin"
    write_corpus(corpus, programs, seed)
    sizes = [min(_CHUNK, streams - first) for first in range(0, streams, _CHUNK)]

    def run(chunk: int) -> FuzzReport:
        command = [str(program), str(corpus), str(sizes[chunk]), f"{seed}{chunk:06d}"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return FuzzReport(*map(int, done.stdout.split()))

    total = FuzzReport(0, 0, 0)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for part in pool.map(run, range(len(sizes))):
            total = total.plus(part)
            if advance is not None:
                advance(part.streams)
    return total
