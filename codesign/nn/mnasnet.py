"""The MnasNet space of Accel-NASBench (Ahmad et al., 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from codesign.nn.blocks import classifier, conv_relu, inverted_bottleneck
from codesign.nn.graph import GraphBuilder, Tensor
from codesign.nn.space import Decision, NetworkSpace

_STAGES = ((16, 1), (24, 2), (40, 2), (80, 2), (112, 1), (192, 2), (320, 1))
"""(channels, stride of the first block)."""
_STEM = 32
_HEAD = 1280
_REDUCTION = 4
"""Input channels of a block for each inner channel of its squeeze-and-excitation."""


def _stage(stage: int) -> tuple[Decision, ...]:
    return (
        Decision(f"stage {stage} expansion", (1, 4, 6)),
        Decision(f"stage {stage} kernel", (3, 5)),
        Decision(f"stage {stage} layers", (1, 2, 3, 4) if stage == 5 else (1, 2, 3)),
        Decision(f"stage {stage} squeeze-and-excitation", (0, 1)),
    )


_DECISIONS = tuple(decision for stage in range(len(_STAGES)) for decision in _stage(stage))
_PLAIN = tuple(decision for stage in range(len(_STAGES)) for decision in _stage(stage)[:3])


@dataclass(frozen=True)
class MnasNet(NetworkSpace):
    """Seven stages of inverted bottlenecks, each with one expansion, kernel and block count, with
    squeeze-and-excitation or without.

    The accelerator computes the means and convolutions of squeeze-and-excitation, the host the
    sigmoid and the product. ``excitation=False``: the part of the space that has none, whose
    genotypes do not mention it. The published networks are 224 pixels wide (``resolution=224``).
    """

    dataset: str = "imagenet"
    resolution: int | None = 64
    excitation: bool = True

    @property
    def name(self) -> str:
        return "mnasnet"

    @property
    def decisions(self) -> tuple[Decision, ...]:
        return _DECISIONS if self.excitation else _PLAIN

    def network(self, builder: GraphBuilder, x: int, choices: tuple[Any, ...]) -> Tensor:
        x = conv_relu(builder, x, _STEM, "stem", kernel=3, stride=2)
        each = len(self.decisions) // len(_STAGES)
        for stage, (channels, stride) in enumerate(_STAGES):
            expansion, kernel, layers, *excited = choices[each * stage : each * (stage + 1)]
            for layer in range(layers):
                name = f"stage{stage}_layer{layer}_e{expansion}k{kernel}"
                first = stride if layer == 0 else 1
                inner = builder.shape(x)[0] // _REDUCTION if any(excited) else 0
                x = inverted_bottleneck(
                    builder, x, channels, name, kernel, expansion, first, squeeze=inner
                )
        return classifier(builder, x, self.num_classes, _HEAD)
