"""Small trained networks: a ResNet-like and a MobileNet-like on scikit-learn's digits."""

from __future__ import annotations

import torch
from demo_digits import Block
from torch import nn


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
