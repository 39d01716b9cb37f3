# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# onnx's protobuf classes carry no usable annotations.
"""Cross-layer equalisation of float ONNX models (Nagel et al. 2019, section 4.1).

Two convolutions with at most a ReLU between them compute the same with every channel between them
scaled down in the first and up in the second. Channels whose weights are small then use more of
the integers that all channels of a tensor share. Chains that would gain little stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROUNDS = 20
_SETTLED = 1e-3
_PAYS = 0.5
"""Bits that a weight must gain on average for a chain to be changed."""
_MOST = 16.0
"""Largest change of a channel in all rounds, up or down."""


@dataclass(frozen=True)
class _Layer:
    """A convolution with constant weights: names of its tensors, [O, I / groups, kh, kw]."""

    weight: str
    bias: str
    groups: int


_Pair = tuple[_Layer, _Layer]


def equalise(model: Any) -> Any:
    """A copy of the model with equalised chains of convolutions, same outputs up to rounding."""
    import onnx
    from onnx import numpy_helper

    made = onnx.ModelProto()
    made.CopyFrom(model)
    constants = {t.name: t for t in made.graph.initializer if len(t.dims) in (1, 4)}
    values = {n: numpy_helper.to_array(t).astype(np.float64) for n, t in constants.items()}
    for chain in _chains(_pairs(made, set(constants))):
        layers = [chain[0][0], *(second for _, second in chain)]
        names = [name for layer in layers for name in (layer.weight, layer.bias) if name]
        changed = _equalised({name: values[name] for name in names}, chain)
        gains = [_lost_bits(values[x.weight]) - _lost_bits(changed[x.weight]) for x in layers]
        if np.mean(gains) < _PAYS:
            continue
        for name in names:
            array = changed[name].astype(numpy_helper.to_array(constants[name]).dtype)
            constants[name].CopyFrom(numpy_helper.from_array(array, name))
    return made


def _equalised(
    values: dict[str, NDArray[np.float64]], chain: list[_Pair]
) -> dict[str, NDArray[np.float64]]:
    """Weights and biases with the ranges around every tensor of the chain made equal."""
    total = [np.ones(len(values[first.weight])) for first, _ in chain]
    for _ in range(_ROUNDS):
        largest = 0.0
        for index, (first, second) in enumerate(chain):
            factor = _factor(values[first.weight], values[second.weight], second.groups)
            factor = np.clip(factor, 1 / _MOST / total[index], _MOST / total[index])
            total[index] = total[index] * factor
            largest = max(largest, float(np.abs(np.log(factor)).max(initial=0.0)))
            _apply(values, first, second, factor)
        if largest < _SETTLED:
            break
    return values


def _lost_bits(weight: NDArray[np.float64]) -> float:
    """Bits between the largest weight of a layer and its average one."""
    bits = np.log2(np.abs(weight[weight != 0]))
    return float(bits.max() - bits.mean()) if len(bits) else 0.0


def _factor(
    first: NDArray[np.float64], second: NDArray[np.float64], groups: int
) -> NDArray[np.float64]:
    """Scale by which every channel between the layers grows, for equal weight ranges around it."""
    before = np.abs(first).max(axis=(1, 2, 3))
    after = np.abs(_by_input(second, groups)).max(axis=(1, 2))
    usable = (before > 0) & (after > 0)
    return np.where(usable, np.sqrt(after / np.where(usable, before, 1.0)), 1.0)


def _by_input(weight: NDArray[np.float64], groups: int) -> NDArray[np.float64]:
    """Weights [I, outputs of the group, taps], a view of the input channels."""
    outputs, inputs = len(weight) // groups, weight.shape[1]
    split = weight.reshape(groups, outputs, inputs, -1)
    return split.transpose(0, 2, 1, 3).reshape(groups * inputs, outputs, -1)


def _apply(
    values: dict[str, NDArray[np.float64]],
    first: _Layer,
    second: _Layer,
    factor: NDArray[np.float64],
) -> None:
    values[first.weight] = values[first.weight] * factor[:, None, None, None]
    if first.bias:
        values[first.bias] = values[first.bias] * factor
    weight = values[second.weight]
    shares = factor.reshape(second.groups, 1, -1, 1, 1)
    split = weight.reshape(second.groups, -1, *weight.shape[1:])
    values[second.weight] = (split / shares).reshape(weight.shape)


def _chains(pairs: list[_Pair]) -> list[list[_Pair]]:
    """Pairs that share a layer, in order."""
    chains: dict[str, list[_Pair]] = {}
    for first, second in pairs:
        chain = chains.pop(first.weight, [])
        chains[second.weight] = [*chain, (first, second)]
    return list(chains.values())


def _pairs(model: Any, constants: set[str]) -> list[_Pair]:
    """Convolutions that follow each other; tensors between them and weights are used once."""
    readers: dict[str, list[Any]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    outputs = {value.name for value in model.graph.output}

    def only_reader(name: str) -> Any:
        found = readers.get(name, [])
        return found[0] if len(found) == 1 and name not in outputs else None

    def layer(node: Any) -> _Layer | None:
        if node is None or node.op_type != "Conv" or node.input[1] not in constants:
            return None
        names = [name for name in node.input[1:] if name]
        if any(name not in constants or len(readers[name]) > 1 for name in names):
            return None
        groups = next((a.i for a in node.attribute if a.name == "group"), 1)
        return _Layer(names[0], names[1] if len(names) > 1 else "", groups)

    found: list[_Pair] = []
    for node in model.graph.node:
        first = layer(node)
        after = only_reader(node.output[0]) if first else None
        if after is not None and after.op_type == "Relu":
            after = only_reader(after.output[0])
        second = layer(after)
        if first is not None and second is not None:
            found.append((first, second))
    return found
