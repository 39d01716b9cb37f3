"""The three spaces of NAHAS: inverted bottlenecks (IBN), EfficientNet-B0, and fused IBN.

Zhou et al., "Towards the co-design of neural networks and accelerators" (MLSys 2022).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from codesign.nn.blocks import classifier, conv_relu, inverted_bottleneck, rounded
from codesign.nn.graph import GraphBuilder, Tensor
from codesign.nn.space import Decision, NetworkSpace, Option

_MOBILENET_V2 = (
    (16, 1, 1),
    (24, 2, 2),
    (32, 3, 2),
    (64, 4, 2),
    (96, 3, 1),
    (160, 3, 2),
    (320, 1, 1),
)
_EFFICIENTNET_B0 = (
    (16, 1, 1),
    (24, 2, 2),
    (40, 2, 2),
    (80, 3, 2),
    (112, 3, 1),
    (192, 4, 2),
    (320, 1, 1),
)
"""(channels, blocks, stride of the first block); the first block has expansion 1."""
_STEM = 32
_HEAD = 1280
_KERNEL: tuple[str, tuple[Option, ...]] = ("kernel", (3, 5, 7))
_EXPANSION: tuple[str, tuple[Option, ...]] = ("expansion", (3, 6))
_TYPE: tuple[str, tuple[Option, ...]] = ("type", ("ibn", "fused"))
_GROUPS: tuple[str, tuple[Option, ...]] = ("groups", (1, 2))


def _decisions(blocks: int, *whats: tuple[str, tuple[Option, ...]]) -> tuple[Decision, ...]:
    """The kernel of the first block, and every ``what`` of each further one."""
    further = [
        Decision(f"block {block} {name}", options)
        for block in range(1, blocks)
        for name, options in whats
    ]
    return (Decision("block 0 kernel", _KERNEL[1]), *further)


_S1 = _decisions(17, _KERNEL, _EXPANSION)
_S2 = _decisions(16, _KERNEL, _EXPANSION)
_S3 = (
    *(Decision(f"stage {stage} width percent", (75, 100, 125)) for stage in range(7)),
    *_decisions(16, _TYPE, _KERNEL, _EXPANSION, _GROUPS),
)


@dataclass(frozen=True)
class _Nahas(NetworkSpace):
    """The published networks are 224 pixels wide (``resolution=224``)."""

    dataset: str = "imagenet"
    resolution: int | None = 64


@dataclass(frozen=True)
class NahasS1(_Nahas):
    """MobileNetV2 with kernel and expansion of each of its 17 blocks."""

    @property
    def name(self) -> str:
        return "nahas-s1"

    @property
    def decisions(self) -> tuple[Decision, ...]:
        return _S1

    def network(self, builder: GraphBuilder, x: int, choices: tuple[Any, ...]) -> Tensor:
        return _simple(self, builder, x, choices, _MOBILENET_V2)


@dataclass(frozen=True)
class NahasS2(_Nahas):
    """EfficientNet-B0 without squeeze-and-excitation and Swish, 16 blocks likewise."""

    @property
    def name(self) -> str:
        return "nahas-s2"

    @property
    def decisions(self) -> tuple[Decision, ...]:
        return _S2

    def network(self, builder: GraphBuilder, x: int, choices: tuple[Any, ...]) -> Tensor:
        return _simple(self, builder, x, choices, _EFFICIENTNET_B0)


@dataclass(frozen=True)
class NahasS3(_Nahas):
    """S2 with a width for each stage, and for each block IBN or fused IBN and groups.

    ``groups`` are those of the expanding convolution (1x1 in IBN, k x k in fused IBN).
    """

    @property
    def name(self) -> str:
        return "nahas-s3"

    @property
    def decisions(self) -> tuple[Decision, ...]:
        return _S3

    def network(self, builder: GraphBuilder, x: int, choices: tuple[Any, ...]) -> Tensor:
        stages = tuple(
            (rounded(width * percent / 100), blocks, stride)
            for (width, blocks, stride), percent in zip(_EFFICIENTNET_B0, choices, strict=False)
        )
        kernel, rest = choices[7], choices[8:]
        x = conv_relu(builder, x, _STEM, "stem", kernel=3, stride=2)
        for block, (width, stride) in enumerate(_blocks(stages)):
            if block == 0:
                x = inverted_bottleneck(builder, x, width, f"block0_k{kernel}", kernel, 1, stride)
                continue
            kind, k, e, groups = rest[4 * (block - 1) : 4 * block]
            label = f"block{block}_{kind}_k{k}e{e}g{groups}_from{builder.shape(x)[0]}"
            fused = kind == "fused"
            x = inverted_bottleneck(builder, x, width, label, k, e, stride, groups, fused)
        return classifier(builder, x, self.num_classes, _HEAD)


def _blocks(stages: tuple[tuple[int, int, int], ...]) -> Iterator[tuple[int, int]]:
    """(channels, stride) of every block."""
    for width, blocks, stride in stages:
        for block in range(blocks):
            yield width, stride if block == 0 else 1


def _simple(
    space: NetworkSpace,
    builder: GraphBuilder,
    x: int,
    choices: tuple[Any, ...],
    stages: tuple[tuple[int, int, int], ...],
) -> Tensor:
    x = conv_relu(builder, x, _STEM, "stem", kernel=3, stride=2)
    for block, (width, stride) in enumerate(_blocks(stages)):
        kernel, expansion = choices[2 * block - 1 : 2 * block + 1] if block else (choices[0], 1)
        label = f"block{block}_k{kernel}e{expansion}"
        x = inverted_bottleneck(builder, x, width, label, kernel, expansion, stride)
    return classifier(builder, x, space.num_classes, _HEAD)
