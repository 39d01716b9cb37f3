"""The MnasNet space of Accel-NASBench (Ahmad et al., 2024), without squeeze-and-excitation."""

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
_DECISIONS = tuple(
    Decision(f"stage {stage} {what}", options)
    for stage in range(len(_STAGES))
    for what, options in (
        ("expansion", (1, 4, 6)),
        ("kernel", (3, 5)),
        ("layers", (1, 2, 3, 4) if stage == 5 else (1, 2, 3)),
    )
)


@dataclass(frozen=True)
class MnasNet(NetworkSpace):
    """Seven stages of inverted bottlenecks, each with one expansion, kernel and block count.

    The published networks are 224 pixels wide (``resolution=224``).
    """

    dataset: str = "imagenet"
    resolution: int | None = 64

    @property
    def name(self) -> str:
        return "mnasnet"

    @property
    def decisions(self) -> tuple[Decision, ...]:
        return _DECISIONS

    def network(self, builder: GraphBuilder, x: int, choices: tuple[Any, ...]) -> Tensor:
        x = conv_relu(builder, x, _STEM, "stem", kernel=3, stride=2)
        for stage, (channels, stride) in enumerate(_STAGES):
            expansion, kernel, layers = choices[3 * stage : 3 * stage + 3]
            for layer in range(layers):
                name = f"stage{stage}_layer{layer}_e{expansion}k{kernel}"
                first = stride if layer == 0 else 1
                x = inverted_bottleneck(builder, x, channels, name, kernel, expansion, first)
        return classifier(builder, x, self.num_classes, _HEAD)
