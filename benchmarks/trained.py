"""Small networks to be trained here: ResNet-, MobileNet- and ConvNeXt-like."""

from __future__ import annotations

import torch
from torch import nn


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut, added and rectified."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
            nn.Conv2d(out, out, 3, 1, 1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


def resnet() -> nn.Module:
    """Stem and five residual blocks, two strides, average, dense."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, 1, 1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        Block(16, 16, 1),
        Block(16, 32, 2),
        Block(32, 32, 1),
        Block(32, 64, 2),
        Block(64, 64, 1),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


class Inverted(nn.Module):
    """Expand, depthwise, project; a shortcut where shapes allow (MobileNetV2's block)."""

    def __init__(self, channels: int, out: int, stride: int, expand: int = 4) -> None:
        super().__init__()
        wide = channels * expand
        self.shortcut = stride == 1 and channels == out
        self.body = nn.Sequential(
            *(nn.Conv2d(channels, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6()),
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False),
            *(nn.BatchNorm2d(wide), nn.ReLU6()),
            *(nn.Conv2d(wide, out, 1, bias=False), nn.BatchNorm2d(out)),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x) if self.shortcut else self.body(x)


class Separable(nn.Module):
    """Depthwise, pointwise, each with batch norm and ReLU (MobileNetV1's block)."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False),
            *(nn.BatchNorm2d(channels), nn.ReLU()),
            *(nn.Conv2d(channels, out, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU()),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x)


def _mobilenet(*blocks: nn.Module) -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
        *blocks,
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(48, 10),
    )


def mobilenet_v1() -> nn.Module:
    """Stem and four separable blocks."""
    return _mobilenet(
        Separable(16, 24, 1), Separable(24, 32, 2), Separable(32, 48, 1), Separable(48, 48, 2)
    )


def mobilenet_v2() -> nn.Module:
    """Stem and five inverted residual blocks with ReLU6."""
    return _mobilenet(
        *(Inverted(16, 16, 1), Inverted(16, 24, 2), Inverted(24, 24, 1)),
        *(Inverted(24, 48, 2), Inverted(48, 48, 1)),
    )


def _stem(images: int, side: int, out: int) -> list[nn.Module]:
    """A 3x3 convolution; images of 32 pixels and more are halved at once."""
    stride = 2 if side >= 32 else 1
    return [nn.Conv2d(images, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]


def _head(channels: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10)]


def resnet20(images: int, side: int) -> nn.Module:
    """Three stages of three residual blocks (20 layers), 12, 24 and 48 channels."""
    blocks: list[nn.Module] = []
    channels = 12
    for out, stride in ((12, 1), (24, 2), (48, 2)):
        blocks += [Block(channels, out, stride), Block(out, out, 1), Block(out, out, 1)]
        channels = out
    return nn.Sequential(*_stem(images, side, 12), *blocks, *_head(48))


def small_mobilenet_v2(images: int, side: int) -> nn.Module:
    """Seven inverted residual blocks with ReLU6, 16 to 48 channels."""
    blocks = [
        *(Inverted(16, 16, 1), Inverted(16, 24, 2), Inverted(24, 24, 1)),
        *(Inverted(24, 32, 1), Inverted(32, 32, 1), Inverted(32, 48, 2), Inverted(48, 48, 1)),
    ]
    return nn.Sequential(*_stem(images, side, 16), *blocks, *_head(48))


class Next(nn.Module):
    """7x7 depthwise, expand, project, and the block's input added (ConvNeXt's block).

    Batch norm and ReLU stand where ConvNeXt has layer norm and GELU.
    """

    def __init__(self, channels: int, expand: int = 4) -> None:
        super().__init__()
        wide = channels * expand
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 7, 1, 3, groups=channels, bias=False),
            *(nn.BatchNorm2d(channels), nn.Conv2d(channels, wide, 1), nn.ReLU()),
            *(nn.Conv2d(wide, channels, 1, bias=False), nn.BatchNorm2d(channels)),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x)


def small_convnext(images: int, side: int) -> nn.Module:
    """Two stages of two blocks, 16 and 32 channels, a 2x2 convolution between."""
    between = [nn.Conv2d(16, 32, 2, 2, bias=False), nn.BatchNorm2d(32)]
    blocks = [Next(16), Next(16), *between, Next(32), Next(32)]
    return nn.Sequential(*_stem(images, side, 16), *blocks, *_head(32))
