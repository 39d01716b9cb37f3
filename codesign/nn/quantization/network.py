# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# torch is only partly annotated.
"""`QuantizedNetwork`: a network whose every tensor is quantised, for training and export."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from codesign.errors import ModelError
from codesign.nn.datasets import PIXEL_SCALE, real
from codesign.nn.datasets.dataset import Images
from codesign.nn.quantization.exact import (
    Fit,
    accumulate,
    averaged,
    requantized,
    summed,
    weight_unit,
)
from codesign.nn.quantization.frozen import FrozenNetwork, FrozenStep
from codesign.nn.quantization.joined import clip_owners
from codesign.nn.quantization.plan import INPUT, Step, plan
from codesign.nn.quantization.quantizers import QUANTIZERS, LearnedClip, levels
from codesign.nn.quantization.ranges import (
    SMALLEST_CLIP,
    channel_grid,
    least_error_clip,
    shift_grid,
)
from codesign.nn.quantization.real_steps import (
    affine,
    along_channels,
    along_rows,
    live_taps,
    product,
    unit_weights,
    weightless,
)
from codesign.nn.quantization.scheme import Scheme

Mode = Literal["float", "quantized", "exact"]
INT8 = Scheme()


@dataclass(frozen=True)
class _Value:
    """A tensor in real numbers, multiples of ``scale`` where it is quantised."""

    real: torch.Tensor
    scale: torch.Tensor

    @property
    def steps(self) -> torch.Tensor:
        """The integers that the tensor stands for; their gradient is that of the real values."""
        ratio = self.real / self.scale
        return ratio + (torch.round(ratio.detach()) - ratio.detach())


class QuantizedNetwork(nn.Module):
    """A network as steps (`plan`), each of whose outputs has a learned clip and bits.

    Outputs that a concatenation joins have one clip (`joined`).

    Inputs are float32 images of `codesign.nn.datasets.real`, int8 at `PIXEL_SCALE`. The weights are
    copies. ``mode`` decides what `forward` computes:

    * ``float``: the network as it was,
    * ``quantized``: weights and activations through the scheme's quantiser (batch norms live),
    * ``exact``: what the accelerator computes, integer by integer; see `harden`.
    """

    def __init__(
        self, network: nn.Module, image_shape: tuple[int, int, int], scheme: Scheme = INT8
    ) -> None:
        super().__init__()
        self.image_shape = image_shape
        self.scheme = scheme
        self.steps = plan(network, image_shape)
        self.bits = scheme.bits_of(self.steps)
        self._owners = clip_owners(self.steps, self.bits)
        self.mode: Mode = "quantized"
        self._fit: Fit | None = None
        modules: dict[str, Any] = dict(network.named_modules())
        shapes = {INPUT: image_shape} | {step.name: step.shape for step in self.steps}
        self.layers = nn.ModuleDict()
        self.norms = nn.ModuleDict()
        self.clips = nn.ParameterDict()
        for step in self.steps:
            if step.kind in ("conv", "dense"):
                layer = copy.deepcopy(modules[step.layer]) if step.layer else unit_weights(step)
                self.layers[step.name] = layer
            if step.kind == "conv":
                # The compiler cuts these taps off before it fits the others; zero, none matters.
                size = shapes[step.inputs[0]][1:]
                self._layer(step).weight.detach().mul_(live_taps(step, size))
            if step.norm:
                self.norms[step.name] = copy.deepcopy(modules[step.norm])
            if self._owners.get(step.name) == step.name:
                self.clips[step.name] = nn.Parameter(torch.tensor(6.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = {INPUT: self._input(x)}
        for step in self.steps:
            values[step.name] = self._run(step, [values[name] for name in step.inputs])
        return values[self.steps[-1].name].real

    @torch.no_grad()
    def calibrate(self, images: Images) -> QuantizedNetwork:
        """Set every clip to the value that costs the least squared error on ``images``."""
        mode, self.mode = self.mode, "float"
        self.eval()
        x = torch.from_numpy(real(images)).to(next(self.parameters()).device)
        values = {INPUT: _Value(x, x.new_tensor(PIXEL_SCALE))}
        found = dict.fromkeys(self.clips, 0.0)
        for step in self.steps:
            values[step.name] = self._run(step, [values[name] for name in step.inputs])
            if not step.keeps_scale:
                clip = least_error_clip(values[step.name].real, levels(self.bits[step.name][1]))
                owner = self._owners[step.name]
                found[owner] = max(found[owner], clip)
        for owner, clip in found.items():
            self.clips[owner].fill_(clip)
        self.mode = mode
        return self

    @torch.no_grad()
    def fold_norms(self) -> QuantizedNetwork:
        """Batch norms become part of the weights and biases before them."""
        steps: list[Step] = []
        for step in self.steps:
            if step.norm:
                layer, norm = self._layer(step), self._norm(step)
                factor, offset = affine(norm)
                layer.weight.mul_(factor.reshape(-1, *[1] * (layer.weight.dim() - 1)))
                before = 0.0 if layer.bias is None else layer.bias
                layer.bias = nn.Parameter(before * factor + offset)
                layer.weight.requires_grad_(True)
                del self.norms[step.name]
            steps.append(replace(step, norm=""))
        self.steps = tuple(steps)
        return self

    def harden(self, fit: Fit) -> QuantizedNetwork:
        """Compute from now on what the accelerator of ``fit`` computes (mode ``exact``).

        Batch norms are folded. Weights lie on the grid that makes the accelerator's requantisation
        exact: one scale a layer, ``output scale / input scale / 2^shift``, for shifts, or one scale
        a channel for multipliers. Every step's integers come from the compiler's own fit, in each
        training step anew, so that the exported network, compiled, gives the same integers on every
        element. The gradient takes the rounding as it was not there.
        """
        self.fold_norms()
        self._fit, self.mode = fit, "exact"
        return self

    @torch.no_grad()
    def freeze(self) -> FrozenNetwork:
        """The network in integers and scales, batch norms folded into the weights' scales."""
        scales = {INPUT: torch.tensor(PIXEL_SCALE)}
        frozen: list[FrozenStep] = []
        for step in self.steps:
            source = scales[step.inputs[0]]
            scales[step.name] = source if step.keeps_scale else self._scale(step).cpu()
            frozen.append(self._frozen(step, source, scales[step.name]))
        return FrozenNetwork(self.image_shape, np.float32(PIXEL_SCALE), tuple(frozen))

    def _input(self, x: torch.Tensor) -> _Value:
        scale = x.new_tensor(PIXEL_SCALE)
        if self.mode == "float":
            return _Value(x, scale)
        return _Value(torch.round(x / scale).clamp(-128, 127) * scale, scale)

    def _run(self, step: Step, inputs: list[_Value]) -> _Value:
        if step.keeps_scale:
            return _Value(weightless(step, [v.real for v in inputs]), inputs[0].scale)
        if self.mode == "exact":
            return self._run_exact(step, inputs)
        y = self._real(step, [v.real for v in inputs])
        if self.mode == "float":
            return _Value(y.clamp(step.low, step.high), inputs[0].scale)
        quantize = QUANTIZERS[self.scheme.quantizer][1]
        clip, bits = self._clip(step), self.bits[step.name][1]
        if step.rectified:
            y = y.clamp(0.0, step.high)
        return _Value(quantize(y, clip, bits, step.rectified), clip.detach() / levels(bits))

    def _real(self, step: Step, inputs: list[torch.Tensor]) -> torch.Tensor:
        if step.kind not in ("conv", "dense"):
            return weightless(step, inputs)
        layer = self._layer(step)
        weight = layer.weight
        if self.mode == "quantized":
            weight = self._quantized_weight(step)
        y = product(step, inputs[0], weight) + along_channels(step, layer.bias)
        return self._norm(step)(y) if step.norm else y

    def _quantized_weight(self, step: Step) -> torch.Tensor:
        """The scheme's weights, brought back to the layer's range."""
        weight = self._layer(step).weight
        if not step.layer:
            return weight
        peak = torch.tanh(weight.detach()).abs().max()
        return QUANTIZERS[self.scheme.quantizer][0](weight, self.bits[step.name][0]) * peak

    def _run_exact(self, step: Step, inputs: list[_Value]) -> _Value:
        assert self._fit is not None
        scale, clip = self._scale(step), self._clip(step)
        with torch.no_grad():
            frozen = self._frozen(step, inputs[0].scale.cpu(), scale.cpu())
            scales = tuple(np.float32(v.scale.item()) for v in inputs)
            shapes = tuple(tuple(v.real.shape[1:]) for v in inputs)
            params = self._fit(frozen, scales, shapes)
        if step.kind in ("conv", "dense"):
            layer = self._layer(step)
            unit = weight_unit(params, frozen, inputs[0].scale.item()).to(scale.device)
            shape = (-1, *[1] * (layer.weight.dim() - 1))
            ratio = layer.weight / unit.reshape(shape)
            whole = torch.from_numpy(params.weight.astype(np.float32)).reshape(ratio.shape)
            weight = ratio + (whole.to(ratio.device) - ratio.detach())
            acc = accumulate(params.weight, inputs[0].steps, weight, product, step)
            y = acc.to(scale.dtype) * along_channels(step, unit * inputs[0].scale)
            y = y + along_channels(step, layer.bias)
            whole_out = requantized(acc.detach(), params)
        else:
            y = weightless(step, [v.real for v in inputs])
            steps = [v.steps.detach() for v in inputs]
            whole_out = (
                averaged(step, steps[0], params)
                if step.kind == "avg_pool"
                else summed(steps, params)
            )
        if step.rectified:
            y = y.clamp(0.0, step.high)
        smooth = LearnedClip.of(y, clip, step.rectified)
        out = whole_out.to(scale.dtype) * scale
        return _Value(smooth + (out - smooth.detach()), scale)

    def _frozen(self, step: Step, source: torch.Tensor, scale: torch.Tensor) -> FrozenStep:
        """Numbers of one step; ``source`` and ``scale`` are those of its input and output."""
        if step.keeps_scale:
            unbounded = np.float32(np.inf)
            return FrozenStep(step, np.float32(scale.item()), -unbounded, unbounded)
        high = np.float32(min(step.high, self._clip(step).item()))
        low = np.float32(0.0 if step.rectified else -self._clip(step).item())
        frozen = FrozenStep(step, np.float32(scale.item()), low, high)
        if step.kind not in ("conv", "dense"):
            return frozen
        layer = self._layer(step)
        most = levels(self.bits[step.name][0])
        bias = torch.zeros(len(layer.weight)) if layer.bias is None else layer.bias.cpu()
        if self.mode == "exact":
            assert self._fit is not None
            grid = channel_grid if self._fit.per_channel else shift_grid
            weight = layer.weight.cpu()
            steps = grid(weight, float(source), float(scale), most, step.name)
            whole = torch.round(weight / along_rows(steps, weight)).clamp(-most, most)
        else:
            whole, steps, bias = self._folded(step, bias, most)
        return replace(
            frozen,
            weight=whole.numpy().astype(np.int8),
            weight_scale=steps.numpy().astype(np.float32),
            bias=bias.numpy().astype(np.float32),
        )

    def _folded(
        self, step: Step, bias: torch.Tensor, most: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Integer weights, their scales and the bias with the batch norm inside."""
        if self.scheme.quantizer != "naf":
            raise ModelError(
                f"quantiser {self.scheme.quantizer!r} has no symmetric integers to export; "
                "train with 'naf', or call harden"
            )
        real_weight = self._quantized_weight(step).cpu()
        peak = torch.tanh(self._layer(step).weight).abs().max().cpu()
        one = peak / most if step.layer else torch.tensor(1.0)
        whole, steps = torch.round(real_weight / one), one.reshape(1)
        if step.norm:
            factor, offset = (t.cpu() for t in affine(self._norm(step)))
            bias = bias * factor + offset
            whole = whole * along_rows(torch.where(factor < 0, -1.0, 1.0), whole)
            steps = one * factor.abs().clamp_min(1e-12)
        return whole, steps, bias

    def _scale(self, step: Step) -> torch.Tensor:
        """Real value of one integer step of the output."""
        return self._clip(step).detach() / levels(self.bits[step.name][1])

    def _clip(self, step: Step) -> torch.Tensor:
        return self.clips[self._owners[step.name]].clamp_min(SMALLEST_CLIP)

    def _layer(self, step: Step) -> Any:
        return self.layers[step.name]

    def _norm(self, step: Step) -> Any:
        return self.norms[step.name]
