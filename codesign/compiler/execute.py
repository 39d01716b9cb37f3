# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportArgumentType=false
# tvm's annotations are partial and partly wrong.
"""Running a compiled network in TVM's virtual machine, region by region under observation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.compiler.graph import TensorSpec, UnitGraph, evaluate
from codesign.compiler.runtime import register, vta_modules


class Session:
    """One virtual machine on an executable; not shared between threads (TVM's VM is not safe)."""

    def __init__(self, executable: Any, graphs: tuple[UnitGraph, ...]) -> None:
        register()
        import tvm
        from tvm import relax

        self._tvm = tvm
        self._graphs = {graph.name: graph for graph in graphs}
        self._modules = {str(m["name"]()): m for m in vta_modules(executable)}
        for module in self._modules.values():
            module["record_io"](True)
        self._machine: Any = relax.VirtualMachine(executable, tvm.cpu())

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> tuple[NDArray[Any], ...]:
        """Outputs of one declared batch; `inputs` in the network's order."""
        tensors = [self._tvm.runtime.tensor(array) for array in inputs.values()]
        result = self._machine["main"](*tensors)
        listed = [result] if hasattr(result, "numpy") else list(result)
        return tuple(tensor.numpy() for tensor in listed)

    def mismatches(self) -> int:
        """Elements of region outputs in the last run that differ from the integer reference."""
        count = 0
        for name, module in self._modules.items():
            graph = self._graphs[name]
            recorded = [bytes(data) for data in module["last_io"]()]
            inputs, outputs = recorded[: len(graph.inputs)], recorded[len(graph.inputs) :]
            wanted = evaluate(
                graph,
                tuple(
                    _array(data, graph.tensors[n], graph.batch)
                    for n, data in zip(graph.inputs, inputs, strict=True)
                ),
            )
            for array, data in zip(wanted, outputs, strict=True):
                got = np.frombuffer(data, array.dtype).reshape(array.shape)
                count += int(np.count_nonzero(got != array))
        return count

    def run_reference(self, inputs: Mapping[str, NDArray[Any]]) -> tuple[NDArray[Any], ...]:
        """Like `run`, every region computed by the integer reference."""

        def region(graph: UnitGraph) -> Any:
            def compute(*arguments: Any) -> list[bytes]:
                arrays = tuple(
                    _array(a.numpy().tobytes(), graph.tensors[n], graph.batch)
                    for n, a in zip(graph.inputs, arguments, strict=True)
                )
                return [np.ascontiguousarray(o).tobytes() for o in evaluate(graph, arrays)]

            return self._tvm.runtime.convert(compute)

        for name, module in self._modules.items():
            module["substitute"](region(self._graphs[name]))
        try:
            return self.run(inputs)
        finally:
            for module in self._modules.values():
                module["substitute"](None)

    def counters(self) -> dict[str, dict[str, int]]:
        """Counters of every unit in the last run, by unit name."""
        found: dict[str, dict[str, int]] = {}
        for module in self._modules.values():
            for unit, values in module["last_profile"]().items():
                found[str(unit)] = {str(k): int(v) for k, v in values.items()}
        return found


def _array(data: bytes, spec: TensorSpec, batch: int) -> NDArray[Any]:
    kind = np.uint8 if spec.unsigned else np.int8
    return np.frombuffer(data, kind).reshape(batch, *spec.shape[: spec.rank - 1])
