"""AlphaNet's supernet space as Ren et al. fix it: 27^5 networks of given widths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from codesign.nn.blocks import conv_relu, inverted_bottleneck
from codesign.nn.graph import GraphBuilder, Tensor
from codesign.nn.space import Decision, NetworkSpace

_STAGES = ((16, 1), (24, 2), (32, 2), (64, 2), (112, 1), (192, 2), (216, 1))
"""(channels, stride of the first block); the first and the last stage are fixed."""
_STEM = 16
_FEATURES = 1792
_DECISIONS = tuple(
    Decision(f"stage {stage} {what}", options)
    for stage in range(1, 6)
    for what, options in (
        ("depth", (3, 4, 5) if stage == 1 else (3, 4, 6)),
        ("kernel", (3, 5, 7)),
        ("expansion", (4, 5, 6)),
    )
)


@dataclass(frozen=True)
class AlphaNet(NetworkSpace):
    """Depth, kernel and expansion of five stages; the first and the last have one 3x3 block.

    Widths are fixed as in semi-decoupled co-design; squeeze-and-excitation is left out and Swish
    is ReLU6. The published networks are 192 to 288 pixels wide.
    """

    dataset: str = "imagenet"
    resolution: int | None = 64

    @property
    def name(self) -> str:
        return "alphanet"

    @property
    def decisions(self) -> tuple[Decision, ...]:
        return _DECISIONS

    def network(self, builder: GraphBuilder, x: int, choices: tuple[Any, ...]) -> Tensor:
        x = conv_relu(builder, x, _STEM, "stem", kernel=3, stride=2)
        for stage, (width, stride) in enumerate(_STAGES):
            depth, kernel, expansion = 1, 3, 6 if stage else 1
            if 0 < stage < 6:
                depth, kernel, expansion = choices[3 * stage - 3 : 3 * stage]
            for block in range(depth):
                label = f"stage{stage}_block{block}_k{kernel}e{expansion}"
                first = stride if block == 0 else 1
                y = inverted_bottleneck(builder, x, width, label, kernel, expansion, first)
                projected = stage > 0 and block == 0
                x = _with_shortcut(builder, x, y, label, first) if projected else y
        x = conv_relu(builder, x, 6 * _STAGES[-1][0], "head")
        features = builder.dense(builder.global_pool(x), _FEATURES, "features")
        return builder.dense(builder.relu6(features), self.num_classes, "classifier")


def _with_shortcut(builder: GraphBuilder, x: int, y: int, name: str, stride: int) -> int:
    """``y`` plus ``x`` averaged to its size and projected to its width."""
    pad = builder.shape(x)[1] % stride
    small = builder.avg_pool(x, stride, stride, pad) if stride > 1 else x
    total = builder.add([builder.conv(small, builder.shape(y)[0], f"{name}_shortcut"), y])
    assert total is not None
    return total
