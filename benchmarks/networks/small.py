"""Networks that no library brings: heads, encoders, and the four of MLPerf Tiny, as torch modules.

Definitions follow the papers and the MLPerf Tiny rules (mlcommons.org/benchmarks/inference-tiny).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

ANCHORS, CLASSES = 3, 20


def conv(
    channels: int,
    out: int,
    kernel: int | tuple[int, int] = 3,
    stride: int | tuple[int, int] = 1,
    groups: int = 1,
    activation: type[nn.Module] = nn.ReLU,
) -> nn.Sequential:
    """Convolution with "same" padding, batch norm, activation."""
    pair = (kernel, kernel) if isinstance(kernel, int) else kernel
    pad = (pair[0] // 2, pair[1] // 2)
    layer = nn.Conv2d(channels, out, pair, stride, pad, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(out), activation())


def separable(channels: int, out: int, stride: int = 1) -> nn.Sequential:
    """Depthwise 3x3 and pointwise convolution (Howard et al. 2017)."""
    return nn.Sequential(
        conv(channels, channels, 3, stride, groups=channels), conv(channels, out, 1)
    )


class UNet(nn.Module):
    """Ronneberger et al. 2015, padded convolutions, transposed or nearest upsampling."""

    def __init__(self, width: int = 16, transposed: bool = True) -> None:
        super().__init__()
        widths = [width << level for level in range(5)]
        pairs = list(zip([3, *widths], widths, strict=False))
        self.down = nn.ModuleList(nn.Sequential(conv(i, o), conv(o, o)) for i, o in pairs)
        self.grow = nn.ModuleList(
            nn.ConvTranspose2d(2 * w, w, 2, 2)
            if transposed
            else nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(2 * w, w, 1))
            for w in widths[:4]
        )
        self.up = nn.ModuleList(nn.Sequential(conv(2 * w, w), conv(w, w)) for w in widths[:4])
        self.head = nn.Conv2d(width, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skips: list[torch.Tensor] = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else functional.max_pool2d(x, 2))
            skips.append(x)
        for level in reversed(range(4)):
            x = self.up[level](torch.cat([skips[level], self.grow[level](x)], 1))
        return self.head(x)


class _Leaky(nn.LeakyReLU):
    def __init__(self) -> None:
        super().__init__(0.1)


class TinyYolo(nn.Module):
    """The layers of YOLOv3-tiny: leaky ReLUs, max pooling with stride 1, two detection scales."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        w, out = width, ANCHORS * (5 + CLASSES)
        sizes = [3, w, 2 * w, 4 * w, 8 * w, 16 * w]
        self.stages = nn.ModuleList(conv(i, o, activation=_Leaky) for i, o in pairwise(sizes))
        self.top = nn.Sequential(
            conv(16 * w, 32 * w, activation=_Leaky),
            nn.ZeroPad2d((0, 1, 0, 1)),
            nn.MaxPool2d(2, 1),
            conv(32 * w, 64 * w, activation=_Leaky),
            conv(64 * w, 16 * w, 1, activation=_Leaky),
        )
        self.coarse = nn.Sequential(
            conv(16 * w, 32 * w, activation=_Leaky), nn.Conv2d(32 * w, out, 1)
        )
        self.lift = nn.Sequential(
            conv(16 * w, 8 * w, 1, activation=_Leaky), nn.Upsample(scale_factor=2)
        )
        self.fine = nn.Sequential(
            conv(24 * w, 16 * w, activation=_Leaky), nn.Conv2d(16 * w, out, 1)
        )

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        for stage in self.stages:
            x = stage(x)
            skip, x = x, functional.max_pool2d(x, 2)
        top = self.top(x)
        return self.coarse(top), self.fine(torch.cat([self.lift(top), skip], 1))


class _C2f(nn.Module):
    """Split, two bottlenecks, and the concatenation of all parts (YOLOv8's block)."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        half = out // 2
        self.first = conv(channels, out, 1, activation=nn.SiLU)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                conv(half, half, activation=nn.SiLU), conv(half, half, activation=nn.SiLU)
            )
            for _ in range(2)
        )
        self.last = conv(4 * half, out, 1, activation=nn.SiLU)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = list(self.first(x).chunk(2, 1))
        for block in self.blocks:
            parts.append(parts[-1] + block(parts[-1]))
        return self.last(torch.cat(parts, 1))


class AnchorFreeYolo(nn.Module):
    """YOLOv8-like: C2f stages with SiLU, spatial pyramid pooling, box and class branches."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        w = width
        self.stem = conv(3, w, 3, 2, activation=nn.SiLU)
        self.stage1 = nn.Sequential(conv(w, 2 * w, 3, 2, activation=nn.SiLU), _C2f(2 * w, 2 * w))
        self.stage2 = nn.Sequential(
            conv(2 * w, 4 * w, 3, 2, activation=nn.SiLU), _C2f(4 * w, 4 * w)
        )
        self.stage3 = nn.Sequential(
            conv(4 * w, 8 * w, 3, 2, activation=nn.SiLU), _C2f(8 * w, 8 * w)
        )
        self.squeeze = conv(8 * w, 4 * w, 1, activation=nn.SiLU)
        self.spread = conv(16 * w, 8 * w, 1, activation=nn.SiLU)
        self.merge = _C2f(12 * w, 4 * w)
        self.boxes = nn.ModuleList(nn.Conv2d(c, 64, 1) for c in (4 * w, 8 * w))
        self.classes = nn.ModuleList(nn.Conv2d(c, CLASSES, 1) for c in (4 * w, 8 * w))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skip = self.stage2(self.stage1(self.stem(x)))
        x = self.squeeze(self.stage3(skip))
        pooled = [x]
        for _ in range(3):
            pooled.append(functional.max_pool2d(pooled[-1], 5, 1, 2))
        deep = self.spread(torch.cat(pooled, 1))
        fine = self.merge(torch.cat([functional.interpolate(deep, scale_factor=2.0), skip], 1))
        found: list[torch.Tensor] = []
        for boxes, classes, level in zip(self.boxes, self.classes, (fine, deep), strict=True):
            found.append(torch.cat([boxes(level), classes(level).sigmoid()], 1).flatten(2))
        return torch.cat(found, 2)


class Ssd(nn.Module):
    """SSD heads (Liu et al. 2016) on a MobileNet-like trunk; boxes and scores, concatenated."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        w, per_cell = width, 6
        self.trunk = nn.Sequential(
            conv(3, w, 3, 2),
            separable(w, 2 * w, 2),
            separable(2 * w, 4 * w, 2),
            separable(4 * w, 8 * w),
        )
        sizes = (8 * w, 16 * w, 16 * w)
        self.steps = nn.ModuleList([separable(8 * w, 16 * w, 2), separable(16 * w, 16 * w, 2)])
        self.boxes = nn.ModuleList(nn.Conv2d(c, per_cell * 4, 3, 1, 1) for c in sizes)
        self.scores = nn.ModuleList(nn.Conv2d(c, per_cell * (CLASSES + 1), 3, 1, 1) for c in sizes)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        levels = [self.trunk(x)]
        for step in self.steps:
            levels.append(step(levels[-1]))
        return self._rows(self.boxes, levels, 4), self._rows(self.scores, levels, CLASSES + 1)

    @staticmethod
    def _rows(heads: nn.ModuleList, levels: Sequence[torch.Tensor], size: int) -> torch.Tensor:
        rows = [
            head(level).permute(0, 2, 3, 1).reshape(len(level), -1, size)
            for head, level in zip(heads, levels, strict=True)
        ]
        return torch.cat(rows, 1)


class BertEncoder(nn.Module):
    """Devlin et al. 2019, BERT-tiny's width: token and position embeddings, post-norm layers."""

    def __init__(self, layers: int = 2, width: int = 128, tokens: int = 32) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(1000, width), nn.Embedding(tokens, width)
        self.norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(_EncoderLayer(width, 2) for _ in range(layers))
        self.pooler = nn.Linear(width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.words(tokens) + self.places.weight)
        for layer in self.layers:
            x = layer(x)
        return torch.tanh(self.pooler(x[:, 0]))


class _EncoderLayer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, width = x.shape

        def split(y: torch.Tensor) -> torch.Tensor:
            return y.reshape(batch, tokens, self.heads, width // self.heads).transpose(1, 2)

        query, key, value = split(self.query(x)), split(self.key(x)), split(self.value(x))
        scores = query @ key.transpose(2, 3) * (width // self.heads) ** -0.5
        mixed = (scores.softmax(-1) @ value).transpose(1, 2).reshape(batch, tokens, width)
        x = self.norm1(x + self.out(mixed))
        return self.norm2(x + self.down(functional.gelu(self.up(x))))


class ConvAutoencoder(nn.Module):
    """Strided convolutions down to a code, transposed convolutions back to the image."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Sequential(conv(3, 16, 3, 2), conv(16, 32, 3, 2), conv(32, 64, 3, 2))
        self.decode = nn.Sequential(
            nn.ConvTranspose2d(64, 32, 4, 2, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 16, 3, 2, 1, output_padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(16, 3, 2, 2),
            nn.Sigmoid(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.decode(self.encode(x))


def ds_cnn(width: int = 64) -> nn.Module:
    """Keyword spotting on 49 frames of 10 coefficients (Zhang et al. 2017; MLPerf Tiny)."""
    return nn.Sequential(
        conv(1, width, (9, 5), 2),
        *(separable(width, width) for _ in range(4)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(width, 12),
    )


def anomaly_detector() -> nn.Module:
    """The fully connected autoencoder of MLPerf Tiny's machine sounds: 640-128-8-128-640."""
    widths = [640, 128, 128, 128, 128, 8, 128, 128, 128, 128]
    layers: list[nn.Module] = []
    for i, o in pairwise(widths):
        layers += [nn.Linear(i, o), nn.BatchNorm1d(o), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(128, 640))


class ResNet8(nn.Module):
    """MLPerf Tiny's image classifier on 32x32: three residual blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 16)
        self.first = nn.ModuleList([conv(16, 16), conv(16, 32, 3, 2), conv(32, 64, 3, 2)])
        self.second = nn.ModuleList(conv(c, c, activation=nn.Identity) for c in (16, 32, 64))
        self.shortcut = nn.ModuleList(
            [nn.Identity(), nn.Conv2d(16, 32, 1, 2), nn.Conv2d(32, 64, 1, 2)]
        )
        self.head = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for first, second, shortcut in zip(self.first, self.second, self.shortcut, strict=True):
            x = functional.relu(second(first(x)) + shortcut(x))
        return self.head(functional.avg_pool2d(x, x.shape[-1]).flatten(1))


def visual_wake_words() -> nn.Module:
    """MLPerf Tiny's person detector: MobileNetV1 with a quarter of the width, 96x96."""
    plan = [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2)]
    plan.append((256, 1))
    layers: list[nn.Module] = [conv(3, 8, 3, 2)]
    channels = 8
    for out, stride in plan:
        layers.append(separable(channels, out, stride))
        channels = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 2))
