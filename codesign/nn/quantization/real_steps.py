# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# torch is only partly annotated.
"""What a step computes in real numbers, with gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from codesign.nn.quantization.plan import Step


def product(step: Step, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Convolution or dense without its bias."""
    if step.kind == "dense":
        return functional.linear(x, weight)
    window = (step.stride, step.padding, step.dilation, step.groups)
    return functional.conv2d(x, weight, None, *window)


def weightless(step: Step, inputs: list[torch.Tensor]) -> torch.Tensor:
    """A step that has no weights; one that only clips or rescales gives its input."""
    first = inputs[0]
    if step.kind == "add":
        return first + inputs[1]
    if step.kind == "flatten":
        return first.flatten(1)
    if step.kind == "concat":
        return torch.cat(inputs, 1)
    if step.kind == "crop":
        return first[:, :, step.first[0] :, step.first[1] :]
    if step.kind == "max_pool":
        return functional.max_pool2d(first, step.kernel, step.stride, step.padding)
    if step.kind == "avg_pool":
        return functional.avg_pool2d(
            *(first, step.kernel, step.stride, step.padding),
            count_include_pad=step.count_include_pad,
        )
    return first


def unit_weights(step: Step) -> nn.Conv2d:
    """The weights of a batch norm that follows no convolution: one for each channel, fixed."""
    layer = nn.Conv2d(step.groups, step.groups, 1, groups=step.groups, bias=False)
    nn.init.ones_(layer.weight).requires_grad_(False)
    return layer


def live_taps(step: Step, size: tuple[int, ...]) -> torch.Tensor:
    """1 where a tap [kh, kw] of a convolution of images [H, W] reads a pixel for some output, else
    0: it reads padding only."""
    live: list[torch.Tensor] = []
    for axis, taps in enumerate(step.kernel):
        starts = torch.arange(step.shape[1:][axis]) * step.stride[axis] - step.padding[axis]
        pixels = starts + torch.arange(taps)[:, None] * step.dilation[axis]
        live.append(((pixels >= 0) & (pixels < size[axis])).any(dim=1).float())
    return torch.outer(*live)


def along_channels(step: Step, values: torch.Tensor | None) -> torch.Tensor | float:
    """Per-channel values, shaped as the output of one image."""
    if values is None:
        return 0.0
    return values if step.kind == "dense" else values.reshape(-1, 1, 1)


def along_rows(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Per-channel values, shaped as the weights [O, ...]."""
    return values.reshape(-1, *[1] * (weight.dim() - 1))


def affine(norm: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Factor and offset of a batch norm in evaluation mode."""
    factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return factor, norm.bias - norm.running_mean * factor
