# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# torch.fx is only partly annotated.
"""A torch network as steps, each of which the accelerator runs as one unit.

Batch norms join the convolution before them, ReLUs the step before them where nothing else reads
it. All tensors between steps are quantised, sums and branches too: no step computes in float.
So a squeeze-and-excitation, whose sigmoid and product the accelerator leaves to the host, has none.
"""

from __future__ import annotations

import copy
import operator
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp
from torch.nn import functional

from codesign.errors import ModelError
from codesign.nn.graph_module import GraphModule

StepKind = Literal[
    "conv", "dense", "add", "activation", "avg_pool", "max_pool", "flatten", "concat", "crop"
]
INPUT = "x"


@dataclass(frozen=True)
class Step:
    """One operation; ``inputs`` are names of steps or `INPUT`, ``shape`` [C, H, W] or [C] of one
    image after it, ``low`` and ``high`` the bounds of its ReLU or ReLU6.

    ``layer`` and ``norm`` name the modules that hold its weights. A batch norm that follows no
    convolution is a convolution without ``layer``: one weight for each channel. ``first`` is the
    first row and column that a crop keeps.
    """

    name: str
    kind: StepKind
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    layer: str = ""
    norm: str = ""
    low: float = float("-inf")
    high: float = float("inf")
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    count_include_pad: bool = True
    first: tuple[int, int] = (0, 0)

    @property
    def rectified(self) -> bool:
        return self.low == 0.0

    @property
    def keeps_scale(self) -> bool:
        """Whether the output has the inputs' scale: nothing is computed."""
        return self.kind in ("max_pool", "flatten", "concat", "crop")


def plan(network: nn.Module, image_shape: tuple[int, int, int]) -> tuple[Step, ...]:
    """The steps of a network for images [C, H, W].

    Raises
    ------
    ModelError
        control flow that torch.fx cannot trace, or an operator without a step; named, with what
        is allowed.
    """
    if isinstance(network, GraphModule) and network.graph.output is None:
        raise ModelError(
            "quantisation: the network's output does not depend on its image; take another genotype"
        )
    try:
        # In training mode the run that finds shapes would move the batch norms' statistics.
        traced = fx.symbolic_trace(copy.deepcopy(network).eval())
        ShapeProp(traced).propagate(torch.zeros(1, *image_shape))
    except Exception as error:  # fx and the network itself raise anything
        text = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"quantisation: torch.fx cannot trace the network: {text}") from error
    return _Planner(traced).steps()


class _Planner:
    def __init__(self, traced: fx.GraphModule) -> None:
        self._nodes = traced.graph.nodes
        self._modules = dict(traced.named_modules())
        self._names: dict[fx.Node, str] = {}
        self._found: dict[str, Step] = {}

    def steps(self) -> tuple[Step, ...]:
        for node in self._nodes:
            if node.op == "placeholder":
                if self._names:
                    raise ModelError("quantisation: the network has several inputs; one is served")
                self._names[node] = INPUT
            elif node.op == "output":
                result = node.args[0]
                if not isinstance(result, fx.Node):
                    raise ModelError("quantisation: the network has several outputs; one is served")
                return self._needed(self._names[result])
            else:
                self._read(node)
        raise ModelError("quantisation: the network has no output")

    def _needed(self, output: str) -> tuple[Step, ...]:
        live = {output}
        for name in reversed(self._found):
            if name in live:
                live.update(self._found[name].inputs)
        return tuple(step for name, step in self._found.items() if name in live)

    def _read(self, node: fx.Node) -> None:
        what, name = self._operation(node)
        if what == "same":
            self._names[node] = self._names[_tensor(node, 0)]
        elif isinstance(what, nn.BatchNorm2d):
            self._norm(node, name)
        elif what in ("relu", "relu6"):
            self._activation(node, 6.0 if what == "relu6" else float("inf"))
        elif isinstance(what, (nn.Conv2d, nn.Linear)):
            self._weighted(node, what, name)
        elif what == "add":
            operands = (self._names[_tensor(node, 0)], self._names[_tensor(node, 1)])
            self._add(node, Step(node.name, "add", operands, _shape(node)))
        elif what == "flatten":
            self._add(node, Step(node.name, "flatten", self._inputs(node), _shape(node)))
        elif what == "concat":
            self._add(node, Step(node.name, "concat", self._joined(node), _shape(node)))
        elif what == "crop":
            first = self._first(node)
            step = Step(node.name, "crop", self._inputs(node), _shape(node), first=first)
            self._add(node, step)
        else:
            self._pool(node, what)

    def _operation(self, node: fx.Node) -> tuple[Any, str]:
        """The operator, as a module or a word, and the module's name."""
        target: Any = node.target
        if node.op == "call_module":
            module = self._modules[str(target)]
            if isinstance(module, (nn.Identity, nn.Dropout)):
                return "same", ""
            words: dict[Any, str] = {nn.ReLU: "relu", nn.ReLU6: "relu6", nn.Flatten: "flatten"}
            return words.get(type(module), module), str(target)
        word = _FUNCTIONS.get(target)
        if word is None:
            raise self._unknown(str(getattr(target, "__name__", target)), node)
        return word, ""

    def _unknown(self, what: str, node: fx.Node) -> ModelError:
        return ModelError(
            f"quantisation: no step for {what} ({node.name}); allowed are Conv2d, Linear, "
            "BatchNorm2d, ReLU, ReLU6, AvgPool2d, AdaptiveAvgPool2d(1), MaxPool2d, Flatten, "
            "Identity, Dropout, sums of two tensors, concatenations of channels and crops "
            "x[:, :, n:, n:]; a sigmoid or a product of two tensors is the host's"
        )

    def _inputs(self, node: fx.Node) -> tuple[str, ...]:
        return (self._names[_tensor(node, 0)],)

    def _joined(self, node: fx.Node) -> tuple[str, ...]:
        """Operands of a concatenation; images of one size, or it is none of channels."""
        parts = node.args[0]
        axis = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
        if axis != 1 or not isinstance(parts, (list, tuple)) or len(_shape(node)) != 3:
            raise self._unknown(f"cat along axis {axis}", node)
        return tuple(self._names[part] for part in parts if isinstance(part, fx.Node))

    def _first(self, node: fx.Node) -> tuple[int, int]:
        """First row and column of ``x[:, :, n:, n:]``."""
        key: Any = node.args[1]
        starts = [
            part.start or 0
            for part in (key if isinstance(key, tuple) else ())
            if isinstance(part, slice) and part.stop is None and part.step is None
        ]
        if len(starts) != 4 or len(key) != 4 or starts[:2] != [0, 0] or min(starts) < 0:
            raise self._unknown("an index that is no crop", node)
        return starts[2], starts[3]

    def _add(self, node: fx.Node, step: Step) -> None:
        self._found[step.name] = step
        self._names[node] = step.name

    def _alone(self, node: fx.Node) -> Step | None:
        """The step that the node's operand is, if nothing else reads that."""
        source = _tensor(node, 0)
        name = self._names[source]
        return self._found.get(name) if len(source.users) == 1 else None

    def _norm(self, node: fx.Node, name: str) -> None:
        before = self._alone(node)
        if before is not None and before.kind == "conv" and not before.norm and _open(before):
            self._add(node, replace(before, norm=name))
            return
        shape = _shape(node)
        self._add(
            node, Step(node.name, "conv", self._inputs(node), shape, "", name, groups=shape[0])
        )

    def _activation(self, node: fx.Node, high: float) -> None:
        before = self._alone(node)
        if before is not None and _open(before) and not before.keeps_scale:
            self._add(node, replace(before, low=0.0, high=high))
            return
        step = Step(node.name, "activation", self._inputs(node), _shape(node), low=0.0, high=high)
        self._add(node, step)

    def _weighted(self, node: fx.Node, module: nn.Conv2d | nn.Linear, name: str) -> None:
        if isinstance(module, nn.Linear):
            self._add(node, Step(node.name, "dense", self._inputs(node), _shape(node), name))
            return
        if isinstance(module.padding, str) or module.padding_mode != "zeros":
            raise self._unknown("Conv2d with padding that is not given in zeros", node)
        window = [_pair(v) for v in (module.kernel_size, module.stride, module.padding)]
        step = Step(
            *(node.name, "conv", self._inputs(node), _shape(node), name),
            kernel=window[0],
            stride=window[1],
            padding=window[2],
            dilation=_pair(module.dilation),
            groups=module.groups,
        )
        self._add(node, step)

    def _pool(self, node: fx.Node, module: Any) -> None:
        names, shape = self._inputs(node), _shape(node)
        if module == "global" or (
            isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size in (1, (1, 1))
        ):
            source = _shape(_tensor(node, 0))
            kernel = (source[1], source[2])
            step = Step(node.name, "avg_pool", names, shape, kernel=kernel, stride=kernel)
        elif isinstance(module, (nn.AvgPool2d, nn.MaxPool2d)) and not module.ceil_mode:
            average = isinstance(module, nn.AvgPool2d)
            if not average and _pair(module.dilation) != (1, 1):
                raise self._unknown("MaxPool2d with dilation", node)
            step = Step(
                *(node.name, "avg_pool" if average else "max_pool", names, shape),
                kernel=_pair(module.kernel_size),
                stride=_pair(module.stride),
                padding=_pair(module.padding),
                count_include_pad=module.count_include_pad if average else True,
            )
        else:
            raise self._unknown(type(module).__name__, node)
        self._add(node, step)


_FUNCTIONS: dict[Any, str] = {
    operator.add: "add",
    operator.iadd: "add",
    torch.add: "add",
    "add": "add",
    torch.relu: "relu",
    functional.relu: "relu",
    functional.relu6: "relu6",
    "relu": "relu",
    torch.flatten: "flatten",
    "flatten": "flatten",
    torch.cat: "concat",
    operator.getitem: "crop",
}


def _open(step: Step) -> bool:
    return step.low == float("-inf") and step.high == float("inf")


def _tensor(node: fx.Node, index: int) -> fx.Node:
    operand = node.args[index] if len(node.args) > index else None
    if not isinstance(operand, fx.Node):
        raise ModelError(f"quantisation: {node.name} has an operand that is no activation")
    return operand


def _shape(node: fx.Node) -> tuple[int, ...]:
    return tuple(int(n) for n in node.meta["tensor_meta"].shape[1:])


def _pair(value: Any) -> tuple[int, int]:
    return (int(value[0]), int(value[1])) if isinstance(value, tuple) else (int(value), int(value))
