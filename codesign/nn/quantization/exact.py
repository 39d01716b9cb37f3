# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# torch is only partly annotated.
"""The accelerator's integers in torch; `codesign.kernels.reference` has the same in numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from codesign.nn.quantization.frozen import FrozenStep
from codesign.nn.quantization.plan import Step

_FLOAT32_INTEGERS = 2**24
"""Sums below this are exact in float32, in whatever order they are taken."""


class Fit(Protocol):
    """The integers that a step runs with on an accelerator."""

    @property
    def per_channel(self) -> bool:
        """Whether weights may have one scale for each channel."""
        ...

    def __call__(
        self,
        frozen: FrozenStep,
        scales: tuple[np.float32, ...],
        shapes: tuple[tuple[int, ...], ...],
    ) -> Any:
        """Numbers (`codesign.kernels.Params`) of a step whose inputs have these scales and shapes
        [C, H, W] or [C]; ModelError if the accelerator has none."""
        ...


def weight_unit(params: Any, frozen: FrozenStep, source: float) -> torch.Tensor:
    """Real value [O or 1] of one step of the weights of ``params``; ``source`` is the input's
    scale."""
    if params.scaling is None:
        return torch.tensor([float(frozen.scale) / source * 2.0**-params.shift])
    assert frozen.weight_scale is not None
    return torch.from_numpy(frozen.weight_scale)


def accumulate(
    whole: NDArray[np.int8],
    steps: torch.Tensor,
    weight: torch.Tensor,
    product: Callable[[Step, torch.Tensor, torch.Tensor], torch.Tensor],
    step: Step,
) -> torch.Tensor:
    """Sums of integer inputs times integer weights ``whole`` (``weight``, with its gradient)."""
    reach = int(np.abs(whole.astype(np.int64)).reshape(len(whole), -1).sum(axis=1).max()) * 128
    if reach < _FLOAT32_INTEGERS and not steps.is_cuda:  # on a GPU, TF32 would round
        return product(step, steps, weight)
    return product(step, steps.double(), weight.double())


def requantized(acc: torch.Tensor, params: Any) -> torch.Tensor:
    """Outputs of a convolution or dense step from its sums [N, O, ...], int64."""
    shape = (1, -1, *[1] * (acc.dim() - 2))

    def channels(values: NDArray[np.int32]) -> torch.Tensor:
        return torch.from_numpy(values.astype(np.int64)).reshape(shape).to(acc.device)

    whole = torch.round(acc).long() + channels(params.bias)
    if params.scaling is None:
        return _shifted(whole, params)
    least, most, multiplier, fraction, offset = (channels(row) for row in params.scaling)
    clipped = torch.minimum(torch.maximum(whole, least), most)
    total = clipped * multiplier + (clipped * fraction >> params.pre_shift) + offset
    return (total.int().long() >> params.shift).clamp(params.low, params.high)


def summed(inputs: list[torch.Tensor], params: Any) -> torch.Tensor:
    """Outputs of an addition, an activation or a change of scale, int64."""
    pairs = zip(params.multipliers, inputs, strict=True)
    total = sum((m * torch.round(x).long() for m, x in pairs), torch.zeros_like(inputs[0]).long())
    return _shifted(total + params.bias, params)


def averaged(step: Step, x: torch.Tensor, params: Any) -> torch.Tensor:
    """Outputs of an average pooling, int64."""
    window = (step.kernel, step.stride, step.padding)
    total = functional.avg_pool2d(x.double(), *window, divisor_override=1).round().long()
    ones = torch.ones_like(x[:1, :1]).double()
    count = functional.avg_pool2d(ones, *window, divisor_override=1).round().long()
    multiplier, bias = torch.zeros_like(count), torch.zeros_like(count)
    for valid, (m, b) in params.by_count.items():
        multiplier[count == valid] = m
        bias[count == valid] = b
    return _shifted(total * multiplier + bias, params)


def _shifted(acc: torch.Tensor, params: Any) -> torch.Tensor:
    """``clip((acc + 2**(shift-1)) >> shift, low, high)``."""
    rounded = (acc + (1 << params.shift >> 1)) >> params.shift
    return rounded.clamp(params.low, params.high)
