"""The supernet space of NAF: 21 blocks, each one of three operations at one of three bit widths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from codesign.nn.blocks import classifier, conv_relu, inverted_bottleneck
from codesign.nn.graph import GraphBuilder, Tensor
from codesign.nn.space import Decision, Genotype, NetworkSpace

_STAGES = (
    (24, 4, 2, 3),
    (32, 4, 2, 3),
    (64, 4, 2, 7),
    (112, 4, 1, 7),
    (184, 4, 2, 7),
    (352, 1, 1, 7),
)
"""(channels, blocks, stride of the first block, depthwise kernel)."""
_BLOCKS = tuple(
    (width, stride if block == 0 else 1, kernel)
    for width, blocks, stride, kernel in _STAGES
    for block in range(blocks)
)
_STEM = 16
_HEAD = 1504
_EXPANSIONS = {3: (2, 4, 6), 7: (4, 6, 8)}
_DECISIONS = tuple(
    decision
    for block, (_, _, kernel) in enumerate(_BLOCKS)
    for decision in (
        Decision(f"block {block} expansion", _EXPANSIONS[kernel]),
        Decision(f"block {block} bits", (4, 6, 8)),
    )
)


@dataclass(frozen=True)
class Naf(NetworkSpace):
    """Expansion 2, 4, 6 of 3x3 blocks (first two stages), 4, 6, 8 of 7x7 blocks; bits 4, 6, 8.

    Widths, depths and strides, which the paper leaves open, are FBNet's, whose 22 blocks are one
    fixed block (16 channels, expansion 1) and 21 free ones. Bits do not change the float network.
    """

    dataset: str = "imagenet"
    resolution: int | None = 64

    @property
    def name(self) -> str:
        return "naf"

    @property
    def decisions(self) -> tuple[Decision, ...]:
        return _DECISIONS

    def bits(self, genotype: Genotype) -> tuple[int, ...]:
        """Bit width of each block's weights and activations."""
        self.check(genotype)
        return tuple(int(bits) for bits in genotype.choices[1::2])

    def network(self, builder: GraphBuilder, x: int, choices: tuple[Any, ...]) -> Tensor:
        x = conv_relu(builder, x, _STEM, "stem", kernel=3, stride=2)
        x = inverted_bottleneck(builder, x, _STEM, "first", kernel=3, expansion=1)
        for block, (width, stride, kernel) in enumerate(_BLOCKS):
            expansion = choices[2 * block]
            label = f"block{block}_k{kernel}e{expansion}"
            x = inverted_bottleneck(builder, x, width, label, kernel, expansion, stride)
        return classifier(builder, x, self.num_classes, _HEAD)
