# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# onnx and onnxruntime carry no usable annotations.
"""Random quantised networks, for the law that every one compiles and runs exactly.

A `GraphSpec` is drawn by hypothesis (`graph_specs`) and becomes an ONNX model in QDQ form
(`build_model`); every drawn number is taken modulo what is possible, so that any specification is a
legal network and a failing one shrinks. `assert_exact` is the law.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

import codesign
from codesign.errors import MissingDependencyError
from codesign.hw.config import VtaConfig
from codesign.hw.space import load_space

try:
    from hypothesis import strategies as st
except ImportError as error:
    raise MissingDependencyError(
        "random graphs need hypothesis: pip install 'codesign[test]'"
    ) from error

SPACES = ("neuhardco", "portable", "edge")
LARGEST_CHANNELS, LARGEST_SIDE = 48, 16
RELATIVE_ERROR, STEPS_OF_ERROR = 0.12, 4.0
"""Root mean square of ours - onnxruntime's: at most this share of the output's, plus this many
output steps. Weights are rounded anew for shift-only machines, at every layer."""
FLOAT_STEP = 0.05
"""Output step assumed of a float network, whose activations reach about 6."""
_CHOICES = 8
_T = TypeVar("_T")


@dataclass(frozen=True)
class Step:
    """One operator: ``sources`` counts back from the newest tensor, ``choices`` its options."""

    kind: str
    sources: tuple[int, int]
    choices: tuple[int, ...]


@dataclass(frozen=True)
class GraphSpec:
    """A network: input [batch, channels, height, width], its activations' type, its operators.

    Without ``quantized`` it is the float network, which needs calibration.
    """

    shape: tuple[int, int, int, int]
    unsigned: bool
    asymmetric: bool
    seed: int
    steps: tuple[Step, ...]
    quantized: bool = True


def graph_specs(most_steps: int = 6) -> st.SearchStrategy[GraphSpec]:
    """Networks of one to ``most_steps`` operators (some more where one needs a helper)."""
    numbers = st.integers(0, 1000)
    steps = st.builds(
        Step,
        st.sampled_from(KINDS),
        st.tuples(st.integers(0, 3), st.integers(0, 3)),
        st.tuples(*[numbers] * _CHOICES),
    )
    shape = st.tuples(st.integers(1, 3), st.integers(1, 20), st.integers(1, 12), st.integers(1, 12))
    return st.builds(
        GraphSpec,
        shape,
        st.booleans(),
        st.booleans(),
        st.integers(0, 2**16),
        st.lists(steps, min_size=1, max_size=most_steps).map(tuple),
        st.sampled_from([True, True, True, False]),
    )


def configs() -> st.SearchStrategy[VtaConfig]:
    """Configurations of the three shipped spaces."""

    def draw(space: str, seed: int) -> VtaConfig:
        return load_space(space).sample(1, np.random.default_rng(seed))[0]

    return st.builds(draw, st.sampled_from(SPACES), st.integers(0, 2**16))


def build_model(spec: GraphSpec) -> Any:
    """The `onnx.ModelProto`; tensors that nothing reads are the outputs."""
    from onnx import TensorProto, checker, helper, numpy_helper

    graph = _Graph(spec, np.random.default_rng(spec.seed))
    graph.quantized("x", spec.shape, ())
    for step in spec.steps:
        _OPERATORS[step.kind](graph, step, _Choices(list(step.choices)))
    outputs = [t for t in graph.tensors if t.name not in graph.read]
    made = helper.make_graph(
        graph.nodes,
        "random",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, spec.shape)],
        [helper.make_tensor_value_info(t.name, TensorProto.FLOAT, t.shape) for t in outputs],
        [numpy_helper.from_array(array, name) for name, array in graph.constants.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(made, opset_imports=opset, ir_version=8)
    checker.check_model(model, full_check=True)
    return model


def assert_exact(spec: GraphSpec, cfg: VtaConfig, samples: int = 2) -> None:
    """The network compiles, equals its integer reference everywhere, and is near onnxruntime."""
    model = build_model(spec)
    rng = np.random.default_rng(spec.seed + 1)
    x = rng.standard_normal((samples * spec.shape[0], *spec.shape[1:])).astype(np.float32)
    calibration = None if spec.quantized else x
    result = codesign.compile(model, cfg, calibration=calibration).run({"x": x})
    assert result.mismatches == 0, f"{result.mismatches} elements differ from the reference"
    steps = {t.name: t.scale or FLOAT_STEP for t in _tensors(spec)}
    for name, wanted in _onnxruntime(model, x, spec.shape[0]).items():
        ours = result.outputs[name].astype(np.float64)
        error = float(np.sqrt(np.mean((ours - wanted) ** 2)))
        allowed = RELATIVE_ERROR * float(np.sqrt(np.mean(wanted**2)))
        allowed += STEPS_OF_ERROR * steps[name]
        assert error <= allowed, f"{name}: {error:.4g} from onnxruntime, {allowed:.4g} allowed"


def _tensors(spec: GraphSpec) -> Sequence[_Tensor]:
    graph = _Graph(spec, np.random.default_rng(spec.seed))
    graph.quantized("x", spec.shape, ())
    for step in spec.steps:
        _OPERATORS[step.kind](graph, step, _Choices(list(step.choices)))
    return graph.tensors


def _onnxruntime(model: Any, x: NDArray[Any], batch: int) -> dict[str, NDArray[Any]]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options)
    runs = [session.run(None, {"x": x[i : i + batch]}) for i in range(0, len(x), batch)]
    names = [value.name for value in session.get_outputs()]
    return {
        n: np.concatenate(arrays) for n, arrays in zip(names, zip(*runs, strict=True), strict=True)
    }


@dataclass(frozen=True)
class _Tensor:
    """A dequantised activation: its name, shape with the batch, step, and standard deviation."""

    name: str
    shape: tuple[int, ...]
    scale: float


@dataclass
class _Choices:
    """Reads drawn numbers, each taken modulo the number of options."""

    numbers: list[int]

    def pick(self, options: Sequence[_T]) -> _T:
        return options[self.numbers.pop(0) % len(options)]


@dataclass
class _Graph:
    """Nodes and constants so far; activations have a standard deviation near 1.

    ``zeros`` names the zero point of every quantised activation.
    """

    spec: GraphSpec
    rng: np.random.Generator
    nodes: list[Any] = field(default_factory=lambda: [])
    constants: dict[str, NDArray[Any]] = field(default_factory=lambda: {})
    tensors: list[_Tensor] = field(default_factory=lambda: [])
    read: set[str] = field(default_factory=lambda: set())
    zeros: dict[str, str] = field(default_factory=lambda: {})

    def node(self, op: str, inputs: Sequence[str], **attributes: Any) -> str:
        from onnx import helper

        name = f"v{len(self.nodes)}"
        self.read.update(inputs)
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def constant(self, array: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(array)
        return name

    def quantized(self, name: str, shape: tuple[int, ...], like: Sequence[_Tensor]) -> _Tensor:
        """``name`` behind a QuantizeLinear and a DequantizeLinear; ``like`` gives the scale."""
        if not self.spec.quantized:
            self.tensors.append(_Tensor(name, shape, 0.0))
            return self.tensors[-1]
        kind = np.uint8 if self.spec.unsigned else np.int8
        middle = 128 if self.spec.unsigned else 0
        if like:
            scale, zero = like[0].scale, self.constants[self.zeros[like[0].name]]
        else:
            scale = 0.03 * 2.0 ** self.rng.uniform(-0.7, 0.7)
            zero = kind(middle + (self.rng.integers(-60, 60) if self.spec.asymmetric else 0))
        names = [self.constant(np.float32(scale)), self.constant(zero)]
        made = self.node("DequantizeLinear", [self.node("QuantizeLinear", [name, *names]), *names])
        self.zeros[made] = names[1]
        self.tensors.append(_Tensor(made, shape, float(scale)))
        return self.tensors[-1]

    def weight(self, shape: tuple[int, ...], fan_in: int, axis: int | None) -> str:
        """An int8 weight behind a DequantizeLinear, per channel along ``axis`` or per tensor."""
        real = self.rng.standard_normal(shape) / np.sqrt(fan_in)
        if not self.spec.quantized:
            return self.constant(real.astype(np.float32))
        others = None if axis is None else tuple(i for i in range(len(shape)) if i != axis)
        scale = np.maximum(np.abs(real).max(axis=others, keepdims=True) / 127, 1e-6)
        stored = np.clip(np.rint(real / scale), -127, 127).astype(np.int8)
        flat = scale.astype(np.float32).reshape(() if axis is None else (-1,))
        names = [self.constant(stored), self.constant(flat)]
        names.append(self.constant(np.zeros(flat.shape, np.int8)))
        return self.node("DequantizeLinear", names, **({} if axis is None else {"axis": axis}))

    def source(self, step: Step, which: int = 0, rank: int = 4) -> _Tensor | None:
        """The tensor that the step counts back to, of those with a rank."""
        fitting = [t for t in self.tensors if len(t.shape) == rank]
        return fitting[-1 - step.sources[which] % len(fitting)] if fitting else None

    def activated(self, name: str, choices: _Choices) -> str:
        """Nothing, ReLU, ReLU6 or leaky ReLU behind ``name``."""
        kind = choices.pick(["", "Relu", "Clip", "LeakyRelu"])
        if kind == "Clip":
            bounds = [self.constant(np.float32(v)) for v in (0, choices.pick([6, 1, 2.5]))]
            return self.node("Clip", [name, *bounds])
        return self.node(kind, [name]) if kind else name


def _windows(size: int, kernel: int, stride: int, dilation: int, pads: int) -> int:
    return (size + pads - dilation * (kernel - 1) - 1) // stride + 1


def _conv(graph: _Graph, step: Step, choices: _Choices) -> None:
    source = graph.source(step)
    assert source is not None
    batch, channels, *image = source.shape
    groups = choices.pick([1, 1, channels, *(g for g in (2, 3, 4) if channels % g == 0)])
    out = groups * choices.pick([n for n in (1, 2, 3, 8, 17) if groups * n <= LARGEST_CHANNELS])
    dilation, stride = choices.pick([(1, 1), (1, 1), (2, 1), (1, 2)]), choices.pick([1, 2])
    pads = choices.pick([(0, 0, 0, 0), (1, 1, 1, 1), (2, 2, 2, 2), (0, 1, 1, 0)])
    kernel = choices.pick([(3, 3), (1, 1), (5, 5), (1, 3), (2, 2), (7, 1)])
    rows, cols = (
        _windows(image[i], kernel[i], stride, dilation[i], pads[i] + pads[i + 2]) for i in (0, 1)
    )
    if min(rows, cols) < 1:
        kernel, pads, rows, cols = (1, 1), (0, 0, 0, 0), *((n - 1) // stride + 1 for n in image)
    fan_in = channels // groups * prod(kernel)
    shape = (out, channels // groups, *kernel)
    names = [source.name, graph.weight(shape, fan_in, choices.pick([0, None]))]
    if choices.pick([True, False]):
        names.append(graph.constant(graph.rng.normal(0, 0.3, out).astype(np.float32)))
    name = graph.node(
        "Conv",
        names,
        group=groups,
        strides=[stride, stride],
        dilations=dilation,
        pads=pads,
        kernel_shape=kernel,
    )
    graph.quantized(graph.activated(name, _again(step)), (batch, out, rows, cols), ())


def _transposed(graph: _Graph, step: Step, choices: _Choices) -> None:
    source = graph.source(step)
    assert source is not None
    batch, channels, height, width = source.shape
    if max(height, width) > LARGEST_SIDE // 2:
        return _conv(graph, step, choices)
    kernel, stride, pad, extra = choices.pick(
        [(2, 2, 0, 0), (3, 2, 1, 1), (4, 2, 1, 0), (3, 1, 1, 0)]
    )
    out = choices.pick([1, 3, 8, 17])
    weight = graph.weight((channels, out, kernel, kernel), channels * kernel**2 // stride**2, None)
    name = graph.node(
        "ConvTranspose",
        [source.name, weight],
        strides=[stride] * 2,
        pads=[pad] * 4,
        output_padding=[extra] * 2,
    )
    sides = ((n - 1) * stride + kernel - 2 * pad + extra for n in (height, width))
    graph.quantized(graph.activated(name, choices), (batch, out, *sides), ())


def _dense(graph: _Graph, step: Step, choices: _Choices) -> None:
    source = graph.source(step, rank=2)
    if source is None:
        image = graph.source(step)
        assert image is not None
        flat = graph.node("Flatten", [image.name])
        source = graph.quantized(flat, (image.shape[0], prod(image.shape[1:])), [image])
    inner, out = source.shape[1], choices.pick([1, 10, 33])
    if choices.pick([True, False]):
        bias = graph.constant(graph.rng.normal(0, 0.3, out).astype(np.float32))
        weight = graph.weight((out, inner), inner, None)
        name = graph.node("Gemm", [source.name, weight, bias], transB=1)
    else:
        name = graph.node("MatMul", [source.name, graph.weight((inner, out), inner, 1)])
    graph.quantized(graph.activated(name, choices), (source.shape[0], out), ())


def _tokens(graph: _Graph, step: Step, choices: _Choices) -> None:
    """Pixels as tokens through a constant matrix, and back to an image."""
    source = graph.source(step)
    assert source is not None
    batch, channels, height, width = source.shape
    shape = graph.constant(np.array([batch, channels, height * width], np.int64))
    rows = graph.node("Transpose", [graph.node("Reshape", [source.name, shape])], perm=[0, 2, 1])
    tokens = graph.quantized(rows, (batch, height * width, channels), [source])
    out = choices.pick([1, 8, 17])
    name = graph.node("MatMul", [tokens.name, graph.weight((channels, out), channels, None)])
    made = graph.quantized(graph.activated(name, choices), (batch, height * width, out), ())
    shape = graph.constant(np.array([batch, out, height, width], np.int64))
    name = graph.node("Transpose", [made.name], perm=[0, 2, 1])
    graph.quantized(graph.node("Reshape", [name, shape]), (batch, out, height, width), [made])


def _attention(graph: _Graph, step: Step, choices: _Choices) -> None:
    """The product of two activations."""
    source = graph.source(step)
    assert source is not None
    batch, channels, height, width = source.shape
    other = graph.node("Transpose", [source.name], perm=[0, 1, 3, 2])
    scale = graph.constant(np.float32(width**-0.5))
    name = graph.node("Mul", [graph.node("MatMul", [source.name, other]), scale])
    graph.quantized(name, (batch, channels, height, height), ())


def _add(graph: _Graph, step: Step, choices: _Choices) -> None:
    source = graph.source(step)
    assert source is not None
    same = [t for t in graph.tensors if t.shape == source.shape]
    other = same[step.sources[1] % len(same)]
    name = graph.node("Add", [source.name, other.name])
    graph.quantized(graph.activated(name, choices), source.shape, ())


def _concat(graph: _Graph, step: Step, choices: _Choices) -> None:
    source = graph.source(step)
    assert source is not None
    batch, _, *image = source.shape
    fitting = [t for t in graph.tensors if len(t.shape) == 4 and [*t.shape[2:]] == image]
    parts = [source, *fitting[-1 - step.sources[1] % len(fitting) :][:2]]
    total = sum(t.shape[1] for t in parts)
    if total > LARGEST_CHANNELS:
        return _relu(graph, step, choices)
    name = graph.node("Concat", [t.name for t in parts], axis=1)
    graph.quantized(name, (batch, total, *image), choices.pick([[source], []]))


def _split(graph: _Graph, step: Step, choices: _Choices) -> None:
    source = graph.source(step)
    assert source is not None
    batch, channels, *image = source.shape
    begin = choices.pick(range(channels))
    end = choices.pick(range(begin + 1, channels + 1))
    bounds = [graph.constant(np.array([v], np.int64)) for v in (begin, end, 1)]
    name = graph.node("Slice", [source.name, *bounds])
    graph.quantized(name, (batch, end - begin, *image), [source])


def _pool(graph: _Graph, step: Step, choices: _Choices) -> None:
    source = graph.source(step)
    assert source is not None
    kind = choices.pick(["MaxPool", "AveragePool"])
    kernel, stride, pad = choices.pick(
        [(3, 2, 1), (2, 2, 0), (3, 1, 1), (2, 1, 0), (1, 2, 0), (5, 1, 2)]
    )
    sides = [_windows(n, kernel, stride, 1, 2 * pad) for n in source.shape[2:]]
    if min(sides) < 1:
        return _global(graph, step, choices)
    extra = {"count_include_pad": choices.pick([0, 1])} if kind == "AveragePool" else {}
    name = graph.node(
        kind,
        [source.name],
        kernel_shape=[kernel] * 2,
        strides=[stride] * 2,
        pads=[pad] * 4,
        **extra,
    )
    like = [source] if kind == "MaxPool" or choices.pick([True, False]) else []
    graph.quantized(name, (*source.shape[:2], *sides), like)


def _global(graph: _Graph, step: Step, choices: _Choices) -> None:
    source = graph.source(step)
    assert source is not None
    name = graph.node("GlobalAveragePool", [source.name])
    graph.quantized(name, (*source.shape[:2], 1, 1), choices.pick([[source], []]))


def _relu(graph: _Graph, step: Step, choices: _Choices) -> None:
    source = graph.source(step)
    assert source is not None
    name = graph.activated(source.name, choices)
    if name == source.name:
        name = graph.node("Relu", [source.name])
    graph.quantized(name, source.shape, choices.pick([[source], []]))


def _prelu(graph: _Graph, step: Step, choices: _Choices) -> None:
    source = graph.source(step)
    assert source is not None
    slope = graph.rng.uniform(0, 0.5, (source.shape[1], 1, 1)).astype(np.float32)
    name = graph.node("PRelu", [source.name, graph.constant(slope)])
    graph.quantized(name, source.shape, ())


def _sigmoid(graph: _Graph, step: Step, choices: _Choices) -> None:
    source = graph.source(step)
    assert source is not None
    gate = graph.quantized(graph.node("Sigmoid", [source.name]), source.shape, ())
    graph.quantized(graph.node("Mul", [source.name, gate.name]), source.shape, ())


def _upsample(graph: _Graph, step: Step, choices: _Choices) -> None:
    source = graph.source(step)
    assert source is not None
    batch, channels, height, width = source.shape
    if max(height, width) > LARGEST_SIDE // 2:
        return _pool(graph, step, choices)
    scales = graph.constant(np.array([1, 1, 2, 2], np.float32))
    name = graph.node(
        "Resize",
        [source.name, "", scales],
        mode="nearest",
        nearest_mode="floor",
        coordinate_transformation_mode="asymmetric",
    )
    graph.quantized(name, (batch, channels, 2 * height, 2 * width), [source])


def _pad(graph: _Graph, step: Step, choices: _Choices) -> None:
    source = graph.source(step)
    assert source is not None
    batch, channels, height, width = source.shape
    pads = np.zeros(8, np.int64)
    pads[[2, 3, 6, 7]] = [choices.pick([0, 1, 2]) for _ in range(4)]
    zero = graph.constant(np.float32(0))
    if graph.spec.quantized and choices.pick([True, False]):  # as onnxruntime's quantiser writes it
        steps = [graph.constant(np.float32(source.scale)), graph.constant(np.int8(0))]
        zero = graph.node("DequantizeLinear", [graph.constant(np.int8(0)), *steps])
    name = graph.node("Pad", [source.name, graph.constant(pads), zero], mode="constant")
    sides = (height + int(pads[2] + pads[6]), width + int(pads[3] + pads[7]))
    graph.quantized(name, (batch, channels, *sides), [source])


def _again(step: Step) -> _Choices:
    """The drawn numbers once more, for an operator that has read most of them."""
    return _Choices([n // 7 for n in step.choices])


_OPERATORS: dict[str, Callable[[_Graph, Step, _Choices], None]] = {
    "add": _add,
    "attention": _attention,
    "concat": _concat,
    "conv": _conv,
    "conv_transpose": _transposed,
    "dense": _dense,
    "global_pool": _global,
    "pad": _pad,
    "pool": _pool,
    "prelu": _prelu,
    "relu": _relu,
    "sigmoid_gate": _sigmoid,
    "slice": _split,
    "tokens": _tokens,
    "upsample": _upsample,
}
KINDS = tuple(sorted(_OPERATORS))
"""Kinds of `Step`."""
