# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportAttributeAccessIssue=false, reportPrivateImportUsage=false
# onnx carries no usable annotations.
"""The compiler as an `onnx.backend.base.Backend`, and ONNX's own node tests through it.

    python -m codesign.testing.onnx_backend --update

regenerates ``onnx_nodes.json``: the status of every node test of the installed onnx. A model
without quantisation runs on the host alone, with the importer and the host pipeline of a compiled
network and no calibration, which would change its values. A quantised one goes through
`codesign.compile`, every region compared with the integer reference.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from onnx.backend.base import Backend, BackendRep
from onnx.backend.test.runner import Runner

import codesign
from codesign.compiler.verify import execute
from codesign.errors import CodesignError, ModelError
from codesign.frontend.model import graph_inputs, is_quantized, read_model
from codesign.hw.config import VtaConfig
from codesign.store.atomic import write_text
from codesign.testing.isolation import Fault, Isolated

STATUSES = ("accelerator", "host", "constant operands", "unsupported", "wrong", "error")
"""Best first. "accelerator": passes with all inputs but the first as constants, as they are in
networks, and with a unit on the accelerator. "host": passes. "constant operands": passes on the
host with those constants only. "unsupported": refused with a `CodesignError`. "wrong" and "error"
are findings."""
PASSING = STATUSES[:3]
SECONDS = 120
CONFIG = "pynq"


class CodesignRep(BackendRep):
    """A model ready to run; ``offloaded`` counts its units on the accelerator."""

    def __init__(self, model: Any, cfg: VtaConfig) -> None:
        checked = read_model(model)
        self._names = [value.name for value in graph_inputs(checked)]
        self._package: codesign.Package | None = None
        self.offloaded = 0
        if is_quantized(checked):
            self._package = codesign.compile(checked, cfg)
            self.offloaded = len(self._package.units)
        else:
            self._module = codesign.import_onnx(checked)

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Outputs of the model for its inputs, in order or by name.

        Raises
        ------
        AssertionError
            a region's output differs from its integer reference.
        """
        arrays = self._by_name(inputs)
        if self._package is None:
            return tuple(execute(self._module, arrays))
        with self._package.session() as session:
            outputs = session.run(arrays)
            assert not session.mismatches(), "a region differs from its integer reference"
        return outputs

    def _by_name(self, inputs: Any) -> dict[str, Any]:
        if isinstance(inputs, Mapping):
            inputs = [inputs[name] for name in self._names]
        elif isinstance(inputs, np.ndarray):
            inputs = [inputs]
        if len(inputs) != len(self._names):
            raise ModelError(f"the inputs are {', '.join(self._names)}; got {len(inputs)} arrays")
        arrays = (np.ascontiguousarray(array) for array in inputs)
        return {
            name: array.reshape(np.shape(given))
            for name, given, array in zip(self._names, inputs, arrays, strict=True)
        }


class CodesignBackend(Backend):
    """ONNX's backend interface; device "CPU" is the host with the simulated accelerator."""

    @classmethod
    def prepare(cls, model: Any, device: str = "CPU", **kwargs: Any) -> CodesignRep:
        """``config`` names a configuration (default pynq).

        Raises
        ------
        CodesignError
            the model cannot be served.
        """
        return CodesignRep(model, codesign.load_config(kwargs.get("config", CONFIG)))

    @classmethod
    def supports_device(cls, device: str) -> bool:
        return device == "CPU"


def node_test_names() -> list[str]:
    """Names of the installed onnx's node tests."""
    return sorted(_node_tests())


def node_status(name: str) -> tuple[str, str]:
    """Status and explanation of one node test, run in this process."""
    test = _node_tests()[name]
    status, text = _status(test, test.model, test.data_sets)
    is_integer = any("uantize" in node.op_type or "QLinear" in node.op_type
                     for node in test.model.graph.node)  # fmt: skip
    if status == "wrong" or (status in PASSING and not is_integer):
        return status, text
    if any(isinstance(value, list) for inputs, _ in test.data_sets for value in inputs):
        return status, text  # sequences, which no constant can hold
    bound = [(_bound(test.model, inputs), inputs[:1], outs) for inputs, outs in test.data_sets]
    again = {_status(test, model, [(inputs, outs)])[0] for model, inputs, outs in bound}
    if again == {"accelerator"}:
        return "accelerator", ""
    if status not in PASSING and again and again <= set(PASSING):
        return "constant operands", ""
    return status, text


def _status(test: Any, model: Any, data_sets: Iterable[Any]) -> tuple[str, str]:
    try:
        rep = CodesignBackend.prepare(model)
        runs = [
            ([_array(value) for value in wanted], rep.run([_array(value) for value in inputs]))
            for inputs, wanted in data_sets
        ]
    except CodesignError as error:
        return "unsupported", str(error)[:160]
    except Exception as error:  # whatever else happens is a finding
        return "error", f"{type(error).__name__}: {' '.join(str(error).split())[-160:]}"
    try:
        for wanted, outputs in runs:
            Runner.assert_similar_outputs(wanted, outputs, rtol=test.rtol, atol=test.atol)
    except AssertionError as error:
        return "wrong", " ".join(str(error).split())[:160]
    return ("accelerator" if rep.offloaded else "host"), ""


def _array(value: Any) -> Any:
    """A test's value; types that numpy does not have come as TensorProto."""
    from onnx import TensorProto, numpy_helper

    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else value


def _bound(model: Any, inputs: Sequence[Any]) -> Any:
    """The model with every input but the first as a constant of the data set's value."""
    from onnx import ModelProto, numpy_helper

    made = ModelProto()
    made.CopyFrom(model)
    for value, array in zip(list(model.graph.input)[1:], inputs[1:], strict=True):
        made.graph.initializer.append(
            numpy_helper.from_array(np.asarray(_array(array)), value.name)
        )
    del made.graph.input[1:]
    return made


@cache
def _node_tests() -> dict[str, Any]:
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some cases overflow on purpose
        return {test.name: test for test in load_model_tests(kind="node")}


def statuses(names: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """(name, status, explanation) of node tests, run in a process that may crash."""
    with Isolated("codesign.testing.onnx_backend:node_status", SECONDS) as worker:
        for name in names:
            answer = worker.call(name)
            if isinstance(answer, Fault):
                yield name, "error", f"{answer.kind}: {' '.join(answer.text.split())[-160:]}"
            else:
                yield name, answer[0], answer[1]


def stored_statuses() -> dict[str, str]:
    """The generated list: status by name."""
    document = json.loads(files("codesign.testing").joinpath("onnx_nodes.json").read_text())
    return {name: status for status, names in document["tests"].items() for name in names}


def worse(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Tests of ``now`` whose status is worse than it was."""
    return [
        f"{name}: {before[name]} before, {status} now"
        for name, status in now.items()
        if name in before and STATUSES.index(status) > STATUSES.index(before[name])
    ]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--update", action="store_true", help="write the list")
    parser.add_argument("--match", default="", help="only tests whose name contains this")
    options = parser.parse_args(argv)
    found: dict[str, str] = {}
    names = [name for name in node_test_names() if options.match in name]
    for name, status, text in statuses(names):
        found[name] = status
        print(f"{name}: {status} {text}", file=sys.stderr, flush=True)
    print(json.dumps({"onnx": version("onnx"), **Counter(found.values())}))
    if options.update:
        known = {**stored_statuses(), **found} if options.match else found
        tests = {s: sorted(n for n, status in known.items() if status == s) for s in STATUSES}
        path = Path(__file__).with_name("onnx_nodes.json")
        write_text(path, json.dumps({"onnx": version("onnx"), "tests": tests}, indent=1) + "\n")
        return 0
    before = stored_statuses()
    for line in worse(before, found):
        print(line)
    return 1 if worse(before, found) else 0


if __name__ == "__main__":
    sys.exit(main())
