# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# onnx's protobuf classes carry no usable annotations.
"""Fuzzing the way from an ONNX file to a Package: every mutated file compiles or is refused.

    python -m codesign.testing.onnx_fuzz --count 10000 --seed 0 --progress fuzz.jsonl

Case ``i`` of a seed is always the same file: a small valid network (float or QDQ, of every
operator that `random_graphs` knows) with bytes or fields changed. Refused means a `CodesignError`
with exit code 4. Cases run in a worker process with a time and a memory limit, so that a crash in
TVM or onnx is a finding and not the end; running the command again goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from codesign.errors import CodesignError
from codesign.testing.isolation import Fault, Isolated

COMPILED, REFUSED = "compiled", "refused"
SECONDS = 120
_EXTREMES = (0, -1, 1, 2, 3, 7, 255, 2**31 - 1, 2**31, -(2**31), 2**62, -(2**63))
_OPS = ("Conv", "Relu", "Add", "Gemm", "Reshape", "LSTM", "Loop", "If", "Foo", "Concat", "MaxPool",
        "QuantizeLinear", "DequantizeLinear", "Transpose", "Squeeze", "Softmax")  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What became of a case: ``kind`` is "compiled", "refused", or names what went wrong."""

    case: int
    kind: str
    text: str = ""

    @property
    def is_finding(self) -> bool:
        return self.kind not in (COMPILED, REFUSED)


def mutated_file(seed: int, case: int) -> bytes:
    """The bytes of a case."""
    from onnx import ModelProto

    rng = np.random.default_rng([seed, case])
    model = _network(rng)
    if rng.random() < 0.3:
        return _mutated_bytes(model.SerializeToString(), rng)
    for _ in range(int(rng.integers(1, 4))):
        mutation = _MUTATIONS[int(rng.integers(len(_MUTATIONS)))]
        before = ModelProto()
        before.CopyFrom(model)
        try:
            mutation(model, rng)
        except (ValueError, TypeError, IndexError, AttributeError):
            model = before  # out of a field's range, or what an earlier mutation removed
    return model.SerializeToString()


def run_case(numbers: Sequence[int]) -> dict[str, Any]:
    """Compile a case, given as (seed, case), in this process; the fields of an `Outcome`."""
    return vars(_outcome(*numbers))


def _outcome(seed: int, case: int) -> Outcome:
    import codesign

    data = mutated_file(seed, case)
    samples = {"x": np.random.default_rng(case).standard_normal((2, *_SHAPE[1:]), np.float32)}
    cfg = codesign.load_config("pynq")
    with tempfile.TemporaryDirectory(prefix="codesign-fuzz-") as folder:
        path = Path(folder, "model.onnx")
        path.write_bytes(data)
        try:
            codesign.compile(path, cfg, calibration=samples)
        except CodesignError as error:
            good = error.exit_code == 4 and str(error).strip()
            return Outcome(case, REFUSED if good else "no text or exit code", str(error)[:200])
        except Exception as error:  # what must not happen is what is looked for
            return Outcome(case, f"raised {type(error).__name__}", str(error)[-300:])
    return Outcome(case, COMPILED)


def fuzz(
    count: int, seed: int = 0, progress: Path | None = None, first: int = 0
) -> Iterator[Outcome]:
    """Outcomes of cases ``first`` to ``first + count``; those in ``progress`` are not run again."""
    done = _read(progress, seed)
    with Isolated("codesign.testing.onnx_fuzz:run_case", SECONDS) as worker:
        for case in range(first, first + count):
            if case in done:
                yield done[case]
                continue
            answer = worker.call([seed, case])
            if isinstance(answer, Fault):
                outcome = Outcome(case, answer.kind, answer.text)
            else:
                outcome = Outcome(**answer)
            _append(progress, seed, outcome)
            yield outcome


def _read(progress: Path | None, seed: int) -> dict[int, Outcome]:
    if progress is None or not progress.is_file():
        return {}
    content = progress.read_bytes()
    whole = content.rfind(b"\n") + 1
    os.truncate(progress, whole)  # a killed run's torn line
    stored = [json.loads(line) for line in content[:whole].splitlines()]
    return {
        entry["case"]: Outcome(entry["case"], entry["kind"], entry["text"])
        for entry in stored
        if entry["seed"] == seed
    }


def _append(progress: Path | None, seed: int, outcome: Outcome) -> None:
    if progress is not None:
        with progress.open("a") as file:
            file.write(json.dumps({"seed": seed, **vars(outcome)}) + "\n")


# Networks and mutations ----------------------------------------------------------------------

_SHAPE = (1, 3, 6, 6)


def _network(rng: np.random.Generator) -> Any:
    from codesign.testing.random_graphs import KINDS, GraphSpec, Step, build_model

    steps = tuple(
        Step(
            KINDS[int(rng.integers(len(KINDS)))],
            (int(rng.integers(4)), int(rng.integers(4))),
            tuple(int(n) for n in rng.integers(0, 1000, 8)),
        )
        for _ in range(int(rng.integers(1, 5)))
    )
    quantized, unsigned, asymmetric = (bool(rng.random() < p) for p in (0.6, 0.5, 0.5))
    seed = int(rng.integers(2**16))
    return build_model(GraphSpec(_SHAPE, unsigned, asymmetric, seed, steps, quantized))


def _mutated_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    kind = int(rng.integers(4))
    at = int(rng.integers(len(changed)))
    if kind == 0:
        return bytes(changed[:at])
    if kind == 1:
        for position in rng.integers(0, len(changed), int(rng.integers(1, 9))):
            changed[int(position)] ^= 1 << int(rng.integers(8))
    elif kind == 2:
        changed[at:at] = rng.bytes(int(rng.integers(1, 20)))
    else:
        del changed[at : at + int(rng.integers(1, 200))]
    return bytes(changed)


def _one(items: Sequence[Any], rng: np.random.Generator) -> Any:
    return items[int(rng.integers(len(items)))] if len(items) else None


def _values(model: Any) -> list[Any]:
    return [*model.graph.input, *model.graph.output, *model.graph.value_info]


def _names(model: Any) -> list[str]:
    graph = model.graph
    outputs = [name for node in graph.node for name in node.output]
    return ["", "absent", "x", *outputs, *(t.name for t in graph.initializer)]


def _change_shape(model: Any, rng: np.random.Generator) -> None:
    value = _one(_values(model), rng)
    dims = value.type.tensor_type.shape.dim
    dim = _one(dims, rng)
    kind = int(rng.integers(5))
    if kind == 0 or dim is None:
        dims.add().dim_value = int(_one(_EXTREMES, rng))
    elif kind == 1:
        del dims[int(rng.integers(len(dims)))]
    elif kind == 2:
        dim.dim_param = "n"
    elif kind == 3:
        value.type.ClearField("tensor_type")
    else:
        dim.dim_value = int(_one(_EXTREMES, rng))


def _change_type(model: Any, rng: np.random.Generator) -> None:
    value = _one(_values(model), rng)
    value.type.tensor_type.elem_type = int(rng.integers(0, 24))


def _change_constant(model: Any, rng: np.random.Generator) -> None:
    constants = model.graph.initializer
    tensor = _one(constants, rng)
    if tensor is None:
        return
    kind = int(rng.integers(7))
    if kind == 0:
        del constants[int(rng.integers(len(constants)))]
    elif kind == 1:
        tensor.data_type = int(rng.integers(0, 24))
    elif kind == 2:
        tensor.dims.append(int(_one(_EXTREMES, rng)))
    elif kind == 3:
        tensor.raw_data = tensor.raw_data[: len(tensor.raw_data) // 2]
    elif kind == 4 and len(tensor.raw_data) >= 4:
        extreme = np.float32(_one([np.nan, np.inf, -np.inf, 0.0, -1.0, 1e30, 1e-40], rng))
        tensor.raw_data = (extreme.tobytes() * len(tensor.raw_data))[: len(tensor.raw_data)]
    elif kind == 5:
        del tensor.dims[:]
    else:
        tensor.name = str(_one(_names(model), rng))


def _change_node(model: Any, rng: np.random.Generator) -> None:
    nodes = model.graph.node
    index = int(rng.integers(len(nodes)))
    node = nodes[index]
    kind = int(rng.integers(9))
    if kind == 0:
        node.op_type = str(_one(_OPS, rng))
    elif kind == 1 and len(node.input):
        node.input[int(rng.integers(len(node.input)))] = str(_one(_names(model), rng))
    elif kind == 2:
        node.output[0] = str(_one(_names(model), rng))
    elif kind == 3 and len(nodes) > 1:
        del nodes[index]
    elif kind == 4:
        nodes.add().CopyFrom(node)
    elif kind == 5 and len(node.input):
        node.input[0] = node.output[0]
    elif kind == 6:
        node.input.append(str(_one(_names(model), rng)))
    elif kind == 7 and len(node.input):
        del node.input[int(rng.integers(len(node.input)))]
    else:
        node.domain = "com.example"


def _change_attribute(model: Any, rng: np.random.Generator) -> None:
    from onnx import helper

    holders = [node for node in model.graph.node if node.attribute]
    node = _one(holders, rng)
    if node is None:
        return
    attribute = _one(node.attribute, rng)
    kind = int(rng.integers(6))
    extreme = int(_one(_EXTREMES, rng))
    if kind == 0:
        node.attribute.remove(attribute)
    elif kind == 1:
        attribute.type = int(rng.integers(0, 15))
    elif kind == 2 and len(attribute.ints):
        attribute.ints[int(rng.integers(len(attribute.ints)))] = extreme
    elif kind == 3 and len(attribute.ints):
        attribute.ints.append(extreme)
    elif kind == 4:
        attribute.name = str(_one(["axis", "group", "mode", "kernel_shape", "absent"], rng))
    else:
        attribute.CopyFrom(helper.make_attribute(attribute.name, extreme))


def _change_version(model: Any, rng: np.random.Generator) -> None:
    if rng.random() < 0.5:
        model.opset_import[0].version = int(_one([1, 6, 7, 11, 13, 19, 21, 999], rng))
    elif rng.random() < 0.5:
        model.ir_version = int(_one([0, 1, 3, 12, 99], rng))
    else:
        del model.opset_import[:]


def _change_graph(model: Any, rng: np.random.Generator) -> None:
    graph = model.graph
    kind = int(rng.integers(5))
    if kind == 0:
        del graph.output[:]
    elif kind == 1:
        graph.output[0].name = str(_one(_names(model), rng))
    elif kind == 2:
        del graph.input[:]
    elif kind == 3:
        graph.input[0].name = str(_one(_names(model), rng))
    else:
        graph.output.add().CopyFrom(graph.output[0])


_MUTATIONS: tuple[Callable[[Any, np.random.Generator], None], ...] = (
    _change_attribute,
    _change_constant,
    _change_graph,
    _change_node,
    _change_node,
    _change_shape,
    _change_type,
    _change_version,
)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="cases (default 10000)")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--progress", type=Path, help="file of outcomes, to go on from")
    options = parser.parse_args(argv)
    counts: Counter[str] = Counter()
    for outcome in fuzz(options.count, options.seed, options.progress, options.first):
        counts[outcome.kind] += 1
        if outcome.is_finding:
            text = " ".join(outcome.text.split())
            print(f"case {outcome.case}: {outcome.kind}: {text}", file=sys.stderr, flush=True)
    findings = sum(n for kind, n in counts.items() if kind not in (COMPILED, REFUSED))
    print(json.dumps({"cases": sum(counts.values()), "findings": findings, **counts}))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
