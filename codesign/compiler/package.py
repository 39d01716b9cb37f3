# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# tvm carries no usable annotations.
"""`Package`: a compiled network that loads and runs in a fresh process, without torch or onnx.

``module.tar`` holds four members: ``manifest.json`` (versions, configuration, hashes, layers, host
operators), ``host.so`` (TVM's executable with the accelerator programs inside), ``graph.json`` and
``constants.npz`` (the integer reference).
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from codesign.compiler import archive
from codesign.compiler.compose import Compose, compose_region
from codesign.compiler.graph import Unit, UnitGraph
from codesign.compiler.host_ops import HostOp
from codesign.compiler.layouts import RegionUnit
from codesign.compiler.placement import PAGE_BYTES
from codesign.compiler.program import RegionProgram, UnitStream
from codesign.compiler.result import LayerResult, RunResult, layer_result
from codesign.errors import DataError
from codesign.frontend.calibration import SampleSource, batches, check_samples, load_samples
from codesign.hw.config import VtaConfig
from codesign.hw.energy import energy_parts_mj
from codesign.kernels import Schedule
from codesign.sim.simulator import Engine

if TYPE_CHECKING:
    from codesign.compiler.execute import Session
    from codesign.compiler.verify_region import Mismatch


@dataclass(frozen=True)
class Port:
    """A network input: its ONNX name, declared shape and numpy dtype name."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, eq=False)
class PackageUnit:
    """One accelerator unit: what it computes, its schedule, its figures of one pass.

    A pass is BATCH images; with compose "overlap" cycles are counted from the end of the unit
    before it.
    """

    name: str
    region: str
    unit: Unit
    schedule: Mapping[str, Any]
    cycles: int
    dram_bytes: int

    @property
    def workload(self) -> Any:
        return self.unit.workload

    @property
    def params(self) -> Any:
        return self.unit.params


@dataclass(frozen=True, eq=False)
class Package:
    """A network compiled for one configuration.

    ``quantized`` and ``region_units``, the units in real numbers, exist where it was compiled only.
    ``executable`` is TVM's, with "vta" modules; ``library`` the bytes that it was loaded from.
    Threads may share a Package; its runs wait for each other.
    """

    model: str
    config: VtaConfig
    compose: Compose
    inputs: tuple[Port, ...]
    outputs: tuple[str, ...]
    programs: tuple[RegionProgram, ...]
    units: tuple[PackageUnit, ...]
    host_ops: tuple[HostOp, ...]
    macs: int
    executable: Any
    model_sha256: str = ""
    quantized: Any = field(default=None, repr=False)
    region_units: Mapping[str, tuple[RegionUnit, ...]] = field(
        default_factory=lambda: {}, repr=False
    )
    library: bytes = field(default=b"", repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def graphs(self) -> tuple[UnitGraph, ...]:
        """The integer programs of the regions."""
        return tuple(program.graph for program in self.programs)

    @property
    def streams(self) -> tuple[tuple[str, RegionProgram, UnitStream], ...]:
        """Every instruction stream in the order of a run: its name, its region, itself.

        A stream of one unit has the unit's name, one of a whole region the region's.
        """
        return tuple(
            (s.units[0] if self.compose == "exact" else program.graph.name, program, s)
            for program in self.programs
            for s in program.streams
        )

    @property
    def offloaded_macs(self) -> int:
        """MACs of one declared batch that run on the accelerator."""
        return sum(u.workload.macs * self._graph(u.region).batch for u in self.units)

    @property
    def cycles(self) -> int:
        """Cycles of one declared batch on the accelerator: the sum over units."""
        return sum(u.cycles * self.passes(u.region) for u in self.units)

    @property
    def peak_dram_bytes(self) -> int:
        """DRAM that all regions take: constants, micro-ops, activations, instructions."""
        return sum(
            program.memory_bytes + sum(_pages(s.instructions.size) for s in program.streams)
            for program in self.programs
        )

    def _graph(self, region: str) -> UnitGraph:
        return next(graph for graph in self.graphs if graph.name == region)

    def passes(self, region: str) -> int:
        """Launches of a region for one declared batch."""
        return -(-self._graph(region).batch // self.config.batch)

    def run(self, inputs: SampleSource, engine: Engine = "cpp") -> RunResult:
        """Run on the simulator, and compare every region output with the integer reference.

        Parameters
        ----------
        inputs : arrays by input name, or of the only input, any number of samples on the first
            axis; or an .npz file
        engine : "cpp", or "reference", the slow executable specification (small networks)

        Raises
        ------
        DataError
            names, shapes or types that do not fit the network's inputs.
        """
        collected: list[tuple[NDArray[Any], ...]] = []
        mismatches: list[Mismatch] = []
        steps, samples = self.batches(inputs)
        with self.session(engine) as session:
            for batch in steps:
                collected.append(session.run(batch))
                mismatches += session.mismatches()
            return self._result(self._stack(collected, samples), session, samples, mismatches)

    def reference(self, inputs: SampleSource) -> dict[str, NDArray[Any]]:
        """Network outputs with every region computed by the integer reference instead."""
        steps, samples = self.batches(inputs)
        with self.session() as session:
            results = [session.run_reference(batch) for batch in steps]
        return self._stack(results, samples)

    @contextmanager
    def session(self, engine: Engine = "cpp") -> Generator[Session]:
        """The executable for one thread: its modules keep what the last run did."""
        from codesign.compiler.execute import Session

        with self._lock:
            yield Session(self.executable, self.programs, engine)

    def cycles_composed(self, compose: Compose) -> int:
        """What `cycles` would be, composed in another way; simulated from the same schedules."""
        total = 0
        for program in self.programs:
            name = program.graph.name
            units = [unit for unit in self.units if unit.region == name]
            schedules = {unit.name: Schedule(**unit.schedule) for unit in units}
            region = compose_region(program.graph, self.config, schedules, compose)
            total += sum(region.cycles.values()) * self.passes(name)
        return total

    def memory_image(self, region: str) -> tuple[NDArray[np.uint8], int]:
        """DRAM of a region before a run (constants, micro-ops, borders), and its base address."""
        from codesign.compiler.runtime import vta_modules

        module = vta_modules(self.executable)[region]
        return np.frombuffer(bytes(module["initial_memory"]()), np.uint8).copy(), 0

    def save(self, path: str | Path) -> None:
        """Write ``module.tar``, whole or not at all."""
        archive.write(path, self.manifest(), self.library or self._linked(), self.graphs)

    def _linked(self) -> bytes:
        """The executable as a shared library."""
        with tempfile.TemporaryDirectory(prefix="codesign-") as folder:
            library = Path(folder, "host.so")
            self.executable.export_library(str(library))
            return library.read_bytes()

    @staticmethod
    def load(path: str | Path) -> Package:
        """Read what `save` wrote.

        Raises
        ------
        PackageError
            a missing, truncated, foreign or altered file, or one of another version.
        """
        return archive.read(path)

    def manifest(self) -> dict[str, Any]:
        """Versions, configuration, hashes, layers and host operators, ready for JSON."""
        return {
            "model": self.model,
            "model_sha256": self.model_sha256,
            "config": asdict(self.config),
            "compose": self.compose,
            "inputs": [asdict(port) for port in self.inputs],
            "outputs": self.outputs,
            "macs": self.macs,
            "offloaded_macs": self.offloaded_macs,
            "cycles": self.cycles,
            "peak_dram_bytes": self.peak_dram_bytes,
            "layers": [
                {
                    "name": u.name,
                    "region": u.region,
                    "op": u.workload.op,
                    "dataflow": u.schedule["dataflow"],
                    "macs": u.workload.macs * self._graph(u.region).batch,
                    "cycles": u.cycles,
                    "dram_bytes": u.dram_bytes,
                    "schedule": dict(u.schedule),
                }
                for u in self.units
            ],
            "host_ops": [asdict(op) for op in self.host_ops],
        }

    def signature(self) -> list[tuple[str, tuple[int, ...], str]]:
        """(name, shape, dtype) of every input."""
        return [(p.name, p.shape, p.dtype) for p in self.inputs]

    def batches(self, inputs: SampleSource) -> tuple[Iterator[dict[str, NDArray[Any]]], int]:
        """Declared batches of the inputs, and the number of samples."""
        if not self.inputs:
            raise DataError("the network has no inputs")
        arrays = load_samples(inputs, self.signature())
        samples = check_samples(arrays, self.signature(), "run")
        return batches(arrays, self.signature(), samples), samples

    def _stack(
        self, results: list[tuple[NDArray[Any], ...]], samples: int
    ) -> dict[str, NDArray[Any]]:
        stacked: dict[str, NDArray[Any]] = {}
        for index, name in enumerate(self.outputs):
            parts = [np.atleast_1d(result[index]) for result in results]
            stacked[name] = (
                np.concatenate(parts)[:samples] if len(parts) > 1 else parts[0][:samples]
            )
        return stacked

    def _result(
        self,
        outputs: dict[str, NDArray[Any]],
        session: Session,
        samples: int,
        mismatches: list[Mismatch],
    ) -> RunResult:
        unit_cycles = session.unit_cycles()
        layers: list[LayerResult] = [
            layer_result(
                u.unit,
                str(u.schedule["dataflow"]),
                self._graph(u.region).batch,
                unit_cycles[u.name],
                u.dram_bytes * self.passes(u.region),
                self.config,
            )
            for u in self.units
        ]
        cycles = sum(layer.cycles for layer in layers)
        offloaded = sum(layer.macs for layer in layers)
        roofline = sum(layer.roofline_cycles for layer in layers)
        parts = energy_parts_mj(session.counters(), self.config)
        return RunResult(
            outputs=outputs,
            model=self.model,
            config=self.config.name,
            compose=self.compose,
            samples=samples,
            cycles=cycles,
            latency_ms=cycles / (self.config.frequency_mhz * 1e3),
            energy_mj=sum(parts.values()),
            energy_parts_mj=parts,
            macs=self.macs,
            offloaded_macs=offloaded,
            utilization=offloaded / (cycles * self.config.pes) if cycles else 0.0,
            ceiling=offloaded / (roofline * self.config.pes) if roofline else 0.0,
            roofline_cycles=roofline,
            dram_bytes=sum(layer.dram_bytes for layer in layers),
            peak_dram_bytes=self.peak_dram_bytes,
            outputs_match=not mismatches,
            mismatches=sum(mismatch.count for mismatch in mismatches),
            first_mismatch=str(mismatches[0]) if mismatches else None,
            layers=tuple(layers),
            host_ops=self.host_ops,
        )


def _pages(nbytes: int) -> int:
    return -(-nbytes // PAGE_BYTES) * PAGE_BYTES
