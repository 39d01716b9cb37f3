# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# torch is only partly annotated.
"""Ranges: the clip of a tensor, and the scales that a layer's integer weights have."""

from __future__ import annotations

import numpy as np
import torch

from codesign.errors import ModelError

SMALLEST_CLIP = 1e-4
_FRACTIONS = np.linspace(0.3, 1.0, 15)
_SAMPLES = 1 << 17


def least_error_clip(values: torch.Tensor, most: int) -> float:
    """The clip that costs the least squared error on at most `_SAMPLES` of the values,
    evenly taken."""
    flat = values.flatten()
    flat = flat[:: -(-len(flat) // _SAMPLES)].abs()
    peak = float(flat.max())
    if peak <= SMALLEST_CLIP:
        return 1.0
    errors: list[float] = []
    for fraction in _FRACTIONS:
        step = peak * fraction / most
        rounded = torch.floor(flat / step + 0.5).clamp(max=most) * step
        errors.append(float(((rounded - flat) ** 2).mean()))
    return peak * float(_FRACTIONS[int(np.argmin(errors))])


def shift_grid(
    weight: torch.Tensor, source: float, scale: float, most: int, name: str
) -> torch.Tensor:
    """The finest weight scale [1] that makes requantisation a shift and still holds all weights."""
    peak = float(weight.abs().max()) * source / scale
    shift = int(np.floor(np.log2((most + 0.499) / max(peak, 2.0**-15 * most))))
    if shift + np.log2(127 / most) < 1:
        raise ModelError(
            f"{name}: weights reach {peak:.3g} output steps for one input step, a shift allows 63; "
            "let its clip grow"
        )
    return torch.tensor([scale / source * 2.0**-shift])


def channel_grid(
    weight: torch.Tensor, source: float, scale: float, most: int, name: str
) -> torch.Tensor:
    """One scale a channel [O]; what is left to the multiplier is not restricted."""
    del source, scale, name
    return weight.abs().reshape(len(weight), -1).max(dim=1).values.clamp_min(1e-12) / most
