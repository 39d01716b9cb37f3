# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportArgumentType=false
# tvm's annotations are partial and partly wrong.
"""Running a compiled network in TVM's virtual machine, region by region under observation."""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.compiler.compose import attribute_cycles, unit_ends
from codesign.compiler.graph import TensorSpec, UnitGraph, evaluate
from codesign.compiler.program import RegionProgram
from codesign.compiler.runtime import register, vta_modules
from codesign.compiler.verify_region import Mismatch, verify_outputs
from codesign.sim.simulator import Engine, Simulator

Evaluator = Callable[[UnitGraph, tuple[NDArray[Any], ...]], tuple[NDArray[Any], ...]]
"""Outputs of a region from its inputs, all as they are outside."""


class Session:
    """One virtual machine on an executable; not shared between threads (TVM's VM is not safe)."""

    def __init__(
        self, executable: Any, programs: tuple[RegionProgram, ...], engine: Engine = "cpp"
    ) -> None:
        register()
        import tvm
        from tvm import relax

        self._tvm = tvm
        self._programs = {program.graph.name: program for program in programs}
        self._graphs = {name: program.graph for name, program in self._programs.items()}
        self._modules = vta_modules(executable)
        for name, module in self._modules.items():
            module["record_io"](True)
            run = None if engine == "cpp" else _launcher(self._programs[name], engine)
            module["engine"](run and tvm.runtime.convert(run))
        self._machine: Any = relax.VirtualMachine(executable, tvm.cpu())

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> tuple[NDArray[Any], ...]:
        """Outputs of one declared batch; `inputs` in the network's order."""
        tensors = [self._tvm.runtime.tensor(array) for array in inputs.values()]
        result = self._machine["main"](*tensors)
        listed = [result] if hasattr(result, "numpy") else list(result)
        return tuple(tensor.numpy() for tensor in listed)

    def region_io(self, region: str) -> tuple[tuple[NDArray[Any], ...], tuple[NDArray[Any], ...]]:
        """Inputs and outputs of a region in the last run, as they are outside."""
        graph = self._graphs[region]
        recorded = [bytes(data) for data in self._modules[region]["last_io"]()]
        arrays = tuple(
            _array(data, graph.tensors[name], graph.batch)
            for name, data in zip((*graph.inputs, *graph.outputs), recorded, strict=True)
        )
        return arrays[: len(graph.inputs)], arrays[len(graph.inputs) :]

    def mismatches(self) -> list[Mismatch]:
        """What differs from the integer reference in the last run, one entry a region."""
        found = [
            verify_outputs(graph, *self.region_io(name)) for name, graph in self._graphs.items()
        ]
        return [mismatch for mismatch in found if mismatch is not None]

    def run_reference(
        self, inputs: Mapping[str, NDArray[Any]], evaluator: Evaluator = evaluate
    ) -> tuple[NDArray[Any], ...]:
        """Like `run`, every region computed by the integer reference or another ``evaluator``."""

        def region(graph: UnitGraph) -> Any:
            def compute(*arguments: Any) -> list[bytes]:
                arrays = tuple(
                    _array(a.numpy().tobytes(), graph.tensors[n], graph.batch)
                    for n, a in zip(graph.inputs, arguments, strict=True)
                )
                return [np.ascontiguousarray(o).tobytes() for o in evaluator(graph, arrays)]

            return self._tvm.runtime.convert(compute)

        for name, module in self._modules.items():
            module["substitute"](region(self._graphs[name]))
        try:
            return self.run(inputs)
        finally:
            for module in self._modules.values():
                module["substitute"](None)

    def counters(self) -> Counter[str]:
        """Counters of all streams in the last run, summed."""
        total: Counter[str] = Counter()
        for module in self._modules.values():
            for counters in module["last_counters"]():
                total.update({str(name): int(value) for name, value in counters.items()})
        return total

    def unit_cycles(self) -> dict[str, int]:
        """Cycles of every unit in the last run, all passes of it, by unit name."""
        found: dict[str, int] = {}
        for name, module in self._modules.items():
            rows = zip(
                self._programs[name].streams,
                module["last_ends"](),
                module["last_counters"](),
                strict=True,
            )
            for stream, ends, counters in rows:
                listed = [int(end) for end in ends]
                found |= attribute_cycles(stream.units, listed, int(counters["cycles"]))
        return found


def _launcher(program: RegionProgram, engine: Engine) -> Any:
    """Runs a stream of the program on another engine, for the runtime module to call."""

    def run(index: int, address: int, size: int) -> list[Any]:
        memory = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))
        stream = program.streams[index]
        result = Simulator(program.cfg, engine).run(stream.instructions, memory, 0)
        return [result.counters, unit_ends(stream, result)]

    return run


def _array(data: bytes, spec: TensorSpec, batch: int) -> NDArray[Any]:
    kind = np.uint8 if spec.unsigned else np.int8
    return np.frombuffer(data, kind).reshape(batch, *spec.outside_shape)
