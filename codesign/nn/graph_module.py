# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# torch's functional interface is only partly annotated.
"""The torch module of a `Graph`, and its untrained but well-scaled weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from codesign.nn.graph import Graph, Node


class GraphModule(nn.Module):
    """Runs the live nodes of a graph; input float32 [N, C, H, W], output float32 [N, classes].

    Convolutions are followed by their batch norm, as in the published networks; `fused` gives
    the same network with batch norms folded. A graph without output returns its constant logits.
    """

    def __init__(self, graph: Graph, classes: int) -> None:
        super().__init__()
        self.graph = graph
        self.live = graph.live()
        self.parts = nn.ModuleDict()
        for index in self.live:
            node = graph.nodes[index]
            part = _part(graph, node)
            if part is not None:
                self.parts[node.name or f"pool_{index}"] = part
        if graph.output is None:
            self.constant = nn.Parameter(torch.zeros(classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.graph.output is None:
            return self.constant + 0.0 * x.flatten(1)[:, :1]
        values: dict[int, torch.Tensor] = {}
        for index in self.live:
            node = self.graph.nodes[index]
            operands = [values[source] for source in node.inputs]
            if node.kind == "input":
                values[index] = x
            elif node.kind == "relu":
                values[index] = functional.relu(operands[0])
            elif node.kind == "relu6":
                values[index] = functional.relu6(operands[0])
            elif node.kind == "add":
                values[index] = operands[0] + operands[1]
            elif node.kind == "concat":
                values[index] = torch.cat(operands, 1)
            elif node.kind == "crop":
                values[index] = operands[0][:, :, 1:, 1:]
            elif node.kind == "gate":
                values[index] = operands[0] * torch.sigmoid(operands[1])
            elif node.kind == "dense":
                values[index] = self.parts[node.name](operands[0].flatten(1))
            else:
                values[index] = self.parts[node.name or f"pool_{index}"](operands[0])
        return values[self.graph.output]


def _part(graph: Graph, node: Node) -> nn.Module | None:
    """The module of a node; None for what has neither weights nor a window."""
    if node.kind in ("input", "relu", "relu6", "add", "concat", "crop", "gate"):
        return None
    channels, *size = graph.nodes[node.inputs[0]].shape
    kernel, stride, padding, dilation = node.window
    if node.kind == "conv":
        conv = nn.Conv2d(
            channels, node.channels, kernel, stride, padding, dilation, node.groups, bias=False
        )
        return nn.Sequential(conv, nn.BatchNorm2d(node.channels))
    if node.kind == "pointwise":
        return nn.Conv2d(channels, node.channels, 1)
    if node.kind == "norm":
        return nn.BatchNorm2d(node.channels)
    if node.kind == "dense":
        return nn.Linear(channels, node.channels)
    if node.kind == "max_pool":
        return nn.MaxPool2d(kernel, stride, padding)
    if node.kind == "avg_pool":
        return nn.AvgPool2d(kernel, stride, padding, count_include_pad=False)
    return nn.AvgPool2d((size[0], size[1]), 1)


@torch.no_grad()
def initialise(module: GraphModule, seed: int) -> GraphModule:
    """Seeded random weights, and batch-norm statistics of one batch of seeded noise.

    The weights are untrained; the statistics keep activations in range, so that quantisation
    and timing behave as with trained weights.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        generator = torch.Generator().manual_seed(seed)
        for part in module.modules():
            if isinstance(part, nn.Conv2d):
                fan_in = part.weight[0].numel()
                part.weight.normal_(0.0, (2.0 / fan_in) ** 0.5, generator=generator)
                if part.bias is not None:
                    part.bias.zero_()
            elif isinstance(part, nn.Linear):
                part.weight.normal_(0.0, (1.0 / part.in_features) ** 0.5, generator=generator)
                part.bias.zero_()
            elif isinstance(part, nn.BatchNorm2d):
                part.momentum = 1.0
        source = next((n for n in module.graph.nodes if n.kind == "input"), None)
        if source is not None and module.graph.output is not None:
            shape = (16, source.channels, source.height, source.width)
            module.train()(torch.randn(shape, generator=generator))
    finally:
        torch.set_num_threads(threads)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d) and part.running_var is not None:
            part.momentum = 0.1
            # A channel that is silent in this batch would get a weight beyond any fixed point.
            part.running_var.clamp_(min=0.1 * float(part.running_var.mean()))
    return module.eval()


@torch.no_grad()
def fused(module: GraphModule) -> GraphModule:
    """The same function with batch norms folded into the convolution before them.

    A batch norm that no convolution precedes becomes a 1x1 convolution with a diagonal weight.
    """
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    result = GraphModule(module.graph, 1).eval()
    for name, part in module.parts.items():
        if isinstance(part, nn.Sequential):
            conv: Any = part[0]
            norm: Any = part[1]
            result.parts[name] = fuse_conv_bn_eval(conv, norm)
        elif isinstance(part, nn.BatchNorm2d):
            width = part.num_features
            identity = nn.Conv2d(width, width, 1, bias=False).eval()
            identity.weight.copy_(torch.eye(width)[:, :, None, None])
            result.parts[name] = fuse_conv_bn_eval(identity, part)
        else:
            result.parts[name] = part
    if module.graph.output is None:
        result.constant = module.constant
    return result
