# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# torch.fx is only partly annotated.
"""Spaces from ordinary torch modules: write ``choice(...)`` where something is to be searched.

::

    class Net(nn.Module):
        def __init__(self, classes: int) -> None:
            super().__init__()
            width = choice("width", (16, 32))
            kernel = choice("kernel", (3, 5, 7))
            self.stem = nn.Conv2d(3, width, kernel, padding=kernel // 2, bias=False)
            self.body = choice("body", {"skip": nn.Identity, "pool": pool})()
            ...

    @dataclass(frozen=True)
    class Mine(TunableSpace):
        @property
        def name(self) -> str:
            return "mine"

        def module(self) -> nn.Module:
            return Net(self.num_classes)
"""

from __future__ import annotations

import operator
from abc import abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from codesign.errors import ModelError
from codesign.nn.graph import GraphBuilder, Tensor
from codesign.nn.space import Decision, Genotype, NetworkSpace, Option

if TYPE_CHECKING:
    from torch import nn

T = TypeVar("T")
_Chooser = Callable[[Decision], Option]
_chooser: ContextVar[_Chooser | None] = ContextVar("chooser", default=None)


def choice(name: str, options: Sequence[T] | Mapping[str, T]) -> T:
    """One of ``options``, as the genotype says; a mapping is chosen from by its keys.

    Options of a sequence are texts or whole numbers. To be called while a `TunableSpace` makes
    its module; ModelError elsewhere.
    """
    choose = _chooser.get()
    if choose is None:
        raise ModelError(
            f"choice({name!r}, ...) outside of TunableSpace.module(); make the network by "
            "build(genotype) of its space, and call choice while it is made, not in forward"
        )
    if isinstance(options, Mapping):
        return options[str(choose(_decision(name, tuple(options))))]
    keys = _decision(name, options)
    return options[keys.options.index(choose(keys))]


def _decision(name: str, options: Sequence[Any]) -> Decision:
    texts = [str(option) for option in options]
    sane = all(isinstance(option, (str, int)) and "-" not in str(option) for option in options)
    if not options or len(set(texts)) < len(texts) or not sane:
        raise ModelError(
            f"choice({name!r}): options {list(options)!r}; at least one, all different, texts or "
            "whole numbers without '-' are allowed; give other values in a mapping"
        )
    return Decision(name, tuple(options))


@contextmanager
def _choosing(choose: _Chooser) -> Generator[None]:
    token = _chooser.set(choose)
    try:
        yield
    finally:
        _chooser.reset(token)


@dataclass(frozen=True)
class TunableSpace(NetworkSpace):
    """A space whose decisions are the choices met while `module` runs; torch is loaded.

    Every choice has its own name and is met whatever else is chosen. The module may consist of
    convolutions, batch norms, ReLU and ReLU6, sums, concatenations of channels, poolings, linear
    layers behind a global pooling, and what does nothing in evaluation.
    """

    @abstractmethod
    def module(self) -> nn.Module:
        """The network, with `choice` for what is to be searched."""

    @property
    def decisions(self) -> tuple[Decision, ...]:
        return _decisions(self)

    def build(self, genotype: Genotype) -> nn.Module:
        self.check(genotype)
        left = dict(zip(self.decisions, genotype.choices, strict=True))

        def choose(decision: Decision) -> Option:
            if decision not in left:
                raise ModelError(
                    f"{self.name}: choice {decision.name!r} {decision.options} is met a second "
                    "time, or only where certain others are taken; every choice must be met once"
                )
            return left.pop(decision)

        with _choosing(choose):
            module = self.module()
        if left:
            names = ", ".join(decision.name for decision in left)
            raise ModelError(
                f"{self.name}: {names} not met with {self.to_json(genotype)}; every choice must be "
                "met whatever else is chosen"
            )
        return module

    def network(self, builder: GraphBuilder, x: int, choices: tuple[Any, ...]) -> Tensor:
        from torch import fx

        traced = fx.symbolic_trace(self.build(Genotype(choices)).eval())
        values: dict[str, Tensor] = {}
        for node in traced.graph.nodes:
            if node.op == "placeholder":
                values[node.name] = x
            elif node.op == "output":
                return values[node.args[0].name]
            else:
                values[node.name] = _add(builder, traced, node, values)
        raise ModelError(f"{self.name}: the module has no output")


@lru_cache
def _decisions(space: TunableSpace) -> tuple[Decision, ...]:
    met: list[Decision] = []

    def choose(decision: Decision) -> Option:
        if any(decision.name == other.name for other in met):
            raise ModelError(f"{space.name}: two choices are called {decision.name!r}; rename one")
        met.append(decision)
        return decision.options[0]

    with _choosing(choose):
        space.module()
    return tuple(met)


def _add(builder: GraphBuilder, traced: Any, node: Any, values: Mapping[str, Tensor]) -> Tensor:
    """Add what one node of the trace does."""
    import torch
    from torch.nn import functional

    def tensor(argument: Any) -> int:
        value = values.get(getattr(argument, "name", ""))
        if value is None:
            raise _unsupported(node, f"operand {argument!r}")
        return value

    if node.op == "call_module":
        module = traced.get_submodule(node.target)
        return _add_module(builder, module, tensor(node.args[0]), node)
    target = node.target
    if target in (operator.add, operator.iadd, torch.add, "add"):
        return builder.add([tensor(argument) for argument in node.args])
    if target in (torch.relu, functional.relu, "relu"):
        return builder.relu(tensor(node.args[0]))
    if target is functional.relu6:
        return builder.relu6(tensor(node.args[0]))
    if target is torch.cat and (*node.args, *node.kwargs.values())[1:] == (1,):
        return builder.concat([tensor(argument) for argument in node.args[0]])
    if target in (torch.flatten, "flatten"):
        return tensor(node.args[0])
    if target in (torch.mean, "mean") and set(node.args[1]) in ({2, 3}, {-2, -1}):
        return builder.global_pool(tensor(node.args[0]))
    raise _unsupported(node, str(getattr(target, "__name__", target)))


def _add_module(builder: GraphBuilder, module: Any, x: int, node: Any) -> Tensor:
    from torch import nn

    name, window = str(node.target).replace(".", "_"), {}
    if isinstance(module, (nn.Identity, nn.Dropout, nn.Flatten)):
        return x
    if isinstance(module, nn.ReLU6):
        return builder.relu6(x)
    if isinstance(module, nn.ReLU):
        return builder.relu(x)
    if isinstance(module, nn.BatchNorm2d):
        # The convolution of a graph has its batch norm already.
        alone = builder.nodes[x].kind != "conv" or len(node.args[0].users) > 1
        return builder.norm(x, name) if alone else x
    if isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size in (1, (1, 1)):
        return builder.global_pool(x)
    if isinstance(module, nn.Linear) and builder.shape(x)[1:] == (1, 1):
        return builder.dense(x, module.out_features, name)
    for key in ("kernel_size", "stride", "padding", "dilation"):
        value = getattr(module, key, 1)
        sizes = set(value) if isinstance(value, tuple) else {value}
        if len(sizes) > 1 or not isinstance(next(iter(sizes)), int):
            raise _unsupported(node, f"{module} (the same whole number for both directions)")
        window[key] = sizes.pop()
    kernel, stride, padding, dilation = window.values()
    if isinstance(module, nn.Conv2d):
        return builder.conv(
            x, module.out_channels, name, kernel, stride, padding, module.groups, dilation
        )
    if isinstance(module, nn.MaxPool2d) and dilation == 1 and not module.ceil_mode:
        return builder.max_pool(x, kernel, stride, padding)
    valid = padding == 0 or not getattr(module, "count_include_pad", True)
    if isinstance(module, nn.AvgPool2d) and valid and not module.ceil_mode:
        return builder.avg_pool(x, kernel, stride, padding)
    raise _unsupported(node, str(module))


def _unsupported(node: Any, what: str) -> ModelError:
    return ModelError(
        f"tunable network, {node.name}: {what} cannot be read; allowed are Conv2d, BatchNorm2d, "
        "ReLU, ReLU6, +, torch.cat(..., 1), MaxPool2d, AvgPool2d(count_include_pad=False), "
        "AdaptiveAvgPool2d(1), flatten, and Linear on a 1x1 image"
    )
