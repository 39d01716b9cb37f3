# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportIncompatibleMethodOverride=false
# torch is only partly annotated.
"""Quantisers of weights and activations with straight-through gradients.

NAF (Eq. 5 to 7 of its paper): symmetric signed, weights through tanh, activations clipped at a
learned C. Rivals: DoReFa-Net (Zhou et al., 2016) and PACT (Choi et al., 2018). Rounding is half up,
as on the accelerator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from codesign.errors import ModelError


def levels(bits: int) -> int:
    """Largest integer of a symmetric signed format: 127 for 8 bits, 7 for 4."""
    if not 2 <= bits <= 8:
        raise ModelError(f"{bits} bits: a quantiser has 2..8")
    return 2 ** (bits - 1) - 1


def round_half_up(x: torch.Tensor) -> torch.Tensor:
    """``floor(x + 1/2)``; the gradient passes straight through."""
    return x + (torch.floor(x.detach() + 0.5) - x.detach())


def quantize_unit(x: torch.Tensor, bits: int) -> torch.Tensor:
    """``quant_k`` on [-1, 1]: the nearest multiple of 1 / `levels`."""
    steps = levels(bits)
    return round_half_up(x * steps) / steps


def naf_weight(weight: torch.Tensor, bits: int) -> torch.Tensor:
    """Eq. 5: ``quant_k(tanh w / max |tanh w|)`` in [-1, 1], zero stays zero, one scale a layer."""
    squashed = torch.tanh(weight)
    return quantize_unit(squashed / squashed.abs().max().clamp_min(1e-12), bits)


def dorefa_weight(weight: torch.Tensor, bits: int) -> torch.Tensor:
    """``2 quant(tanh w / (2 max |tanh w|) + 1/2) - 1`` in [-1, 1] on 2^k levels, none of them 0."""
    squashed = torch.tanh(weight)
    halved = squashed / (2 * squashed.abs().max().clamp_min(1e-12)) + 0.5
    steps = 2**bits - 1
    return 2 * round_half_up(halved * steps) / steps - 1


def naf_activation(x: torch.Tensor, clip: torch.Tensor, bits: int, rectified: bool) -> torch.Tensor:
    """Eq. 6: ``quant_k(clamp(x, -C, C) / C) * C``; rectified tensors are clamped to 0..C.

    The gradient for C is Eq. 7, ``[x >= C] - [x <= -C]``.
    """
    return quantize_unit(LearnedClip.of(x, clip, rectified) / clip.detach(), bits) * clip.detach()


def pact_activation(
    x: torch.Tensor, clip: torch.Tensor, bits: int, rectified: bool
) -> torch.Tensor:
    """Clamped at a learned alpha, unsigned levels for rectified tensors; its gradient is
    ``[x >= alpha]`` only."""
    if rectified:
        clipped = LearnedClip.of(x, clip, True)
        steps = 2**bits - 1
        return round_half_up(clipped / clip.detach() * steps) / steps * clip.detach()
    below = torch.maximum(x, -clip.detach())
    return quantize_unit(LearnedClip.of(below, clip, True, floor=False) / clip.detach(), bits) * (
        clip.detach()
    )


def dorefa_activation(
    x: torch.Tensor, clip: torch.Tensor, bits: int, rectified: bool
) -> torch.Tensor:
    """Clamped to the fixed range 0..C (rectified) or -C..C, unsigned levels for rectified tensors.

    DoReFa's range is 1, for networks that are trained so from the start. Here ``clip`` sets it, as
    calibrated, so that networks of other ranges can be compared; it does not learn.
    """
    fixed = clip.detach()
    unit = (x / fixed).clamp(0.0 if rectified else -1.0, 1.0)
    if not rectified:
        return quantize_unit(unit, bits) * fixed
    steps = 2**bits - 1
    return round_half_up(unit * steps) / steps * fixed


class LearnedClip(torch.autograd.Function):
    """``clamp(x, -C or 0, C)`` whose gradient for C counts what is cut off (Eq. 7)."""

    @staticmethod
    def of(
        x: torch.Tensor, clip: torch.Tensor, rectified: bool, floor: bool = True
    ) -> torch.Tensor:
        """The clamp; without ``floor`` there is no lower bound."""
        sign = 0.0 if rectified else -1.0
        return LearnedClip.apply(x, clip, sign if floor else None)  # pyright: ignore[reportReturnType]

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, clip: torch.Tensor, sign: float | None) -> torch.Tensor:
        ctx.save_for_backward(x, clip)
        ctx.sign = sign
        top = torch.minimum(x, clip)
        return top if sign is None else torch.maximum(top, sign * clip)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        x, clip = ctx.saved_tensors
        above = x >= clip
        below = torch.zeros_like(above) if ctx.sign is None else x <= ctx.sign * clip
        for_clip = (grad * above).sum() + (ctx.sign or 0.0) * (grad * below).sum()
        return grad * ~(above | below), for_clip.reshape(clip.shape), None


WeightQuantizer = Callable[[torch.Tensor, int], torch.Tensor]
ActivationQuantizer = Callable[[torch.Tensor, torch.Tensor, int, bool], torch.Tensor]

QUANTIZERS: dict[str, tuple[WeightQuantizer, ActivationQuantizer]] = {
    "naf": (naf_weight, naf_activation),
    "dorefa": (dorefa_weight, dorefa_activation),
    "pact": (dorefa_weight, pact_activation),
}
"""Weight and activation quantiser by name; PACT's paper takes DoReFa's weights."""
