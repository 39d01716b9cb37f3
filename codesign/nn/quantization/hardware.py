# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# numpy leaves the type of reshaped arrays partly unknown.
"""The compiler's own fit of a step to a configuration, for training and for checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from codesign.errors import Infeasible, ModelError
from codesign.hw.config import VtaConfig
from codesign.nn.quantization.frozen import FrozenStep
from codesign.nn.quantization.plan import StepKind

_UNITS: dict[StepKind, str] = {
    "conv": "conv2d",
    "dense": "dense",
    "add": "add",
    "activation": "requantize",
    "avg_pool": "avg_pool2d",
}


@dataclass(frozen=True)
class HardwareFit:
    """`codesign.nn.quantization.exact.Fit` for a configuration; loads the compiler when used.

    It describes a step to the compiler as the compiler reads it from the exported file, so that
    training and compilation arrive at the same integers.
    """

    cfg: VtaConfig

    @property
    def per_channel(self) -> bool:
        return self.cfg.has_mul

    def __call__(
        self,
        frozen: FrozenStep,
        scales: tuple[np.float32, ...],
        shapes: tuple[tuple[int, ...], ...],
    ) -> Any:
        from codesign.compiler.fit import fit_unit
        from relay_passes.spec import QuantizedTensor, UnitSpec

        step = frozen.step
        dense = step.kind == "dense"

        def tensor(shape: tuple[int, ...], scale: np.float32) -> QuantizedTensor:
            return QuantizedTensor((1, *shape), "int8", float(scale), 0, channel_last=dense)

        weight = weight_scale = bias = None
        if frozen.weight is not None:
            assert frozen.weight_scale is not None
            rows = frozen.weight_scale.reshape(-1, *[1] * (frozen.weight.ndim - 1))
            weight = (frozen.weight.astype(np.float32) * rows).astype(np.float64)
            weight = weight[:, :, None, None] if dense else weight
            weight_scale = np.broadcast_to(frozen.weight_scale.astype(np.float64), len(weight))
        if frozen.bias is not None:
            bias = frozen.bias.astype(np.float64)
        spec = UnitSpec(
            _UNITS[step.kind],  # pyright: ignore[reportArgumentType] -- values are unit kinds
            tuple(tensor(shape, scale) for shape, scale in zip(shapes, scales, strict=True)),
            tensor(step.shape, frozen.scale),
            weight,
            bias,
            weight_scale,
            float(frozen.low),
            float(frozen.high),
            step.kernel,
            step.stride,
            (*step.padding, *step.padding),
            step.dilation,
            groups=step.groups,
            count_include_pad=step.count_include_pad,
        )
        fit = fit_unit(spec, self.cfg)
        if isinstance(fit, Infeasible):
            raise ModelError(f"{step.name} cannot run on {self.cfg.name or 'the machine'}: {fit}")
        return fit[1]
