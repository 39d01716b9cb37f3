"""Two small networks in the manner of ResNet and MobileNetV2, for images [1, 8, 8]."""

from __future__ import annotations

import torch
from torch import nn


class ResidualNet(nn.Module):
    """Stem, a residual block that narrows the image, max pooling, average, dense."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8))
        self.first = nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16))
        self.second = nn.Sequential(nn.Conv2d(16, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16))
        self.shortcut = nn.Sequential(nn.Conv2d(8, 16, 1, 2, bias=False), nn.BatchNorm2d(16))
        self.pool = nn.MaxPool2d(3, 1, 1)
        self.head = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(16, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        body = self.second(torch.relu(self.first(x)))
        return self.head(self.pool(torch.relu(body + self.shortcut(x))))


class MobileNet(nn.Module):
    """Stem and an inverted residual with ReLU6, a batch norm and a ReLU behind the sum."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8))
        self.expand = nn.Sequential(nn.Conv2d(8, 24, 1), nn.BatchNorm2d(24), nn.ReLU6())
        depthwise = nn.Conv2d(24, 24, 3, 1, 1, groups=24, bias=False)
        self.depthwise = nn.Sequential(depthwise, nn.BatchNorm2d(24), nn.ReLU6())
        self.project = nn.Sequential(nn.Conv2d(24, 8, 1, bias=False), nn.BatchNorm2d(8))
        self.last_norm = nn.BatchNorm2d(8)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = x + self.project(self.depthwise(self.expand(x)))
        x = nn.functional.relu(self.last_norm(x))
        return self.classifier(self.pool(x).flatten(1))
