# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# torch's modules are only partly annotated.
"""Networks that tests and benchmarks compile, as torch modules with random weights."""

from __future__ import annotations

import io
import warnings
from typing import Any

import onnx
import torch
from torch import nn
from torch.nn import functional


class _Block(nn.Module):
    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(out)
        self.second = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != out:
            conv = nn.Conv2d(channels, out, 1, stride, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.norm1(self.first(x)))
        return torch.relu(self.norm2(self.second(y)) + self.shortcut(x))


class ResNet18(nn.Module):
    """He et al. 2016, basic blocks; ``width`` channels in the first stage."""

    def __init__(self, width: int = 64, classes: int = 1000) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.norm = nn.BatchNorm2d(width)
        blocks: list[nn.Module] = []
        channels = width
        for stage in range(4):
            out = width << stage
            blocks += [_Block(channels, out, 1 if stage == 0 else 2), _Block(out, out, 1)]
            channels = out
        self.body = nn.Sequential(*blocks)
        self.head = nn.Linear(channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.max_pool2d(torch.relu(self.norm(self.stem(x))), 3, 2, 1)
        x = functional.adaptive_avg_pool2d(self.body(x), 1)
        return self.head(torch.flatten(x, 1))


class Mlp(nn.Module):
    """Flattened image, two hidden layers."""

    def __init__(self, inputs: int = 784, hidden: int = 256, classes: int = 10) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(inputs, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, classes),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def _double(channels: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, out, 3, 1, 1),
        nn.BatchNorm2d(out),
        nn.ReLU(),
        nn.Conv2d(out, out, 3, 1, 1),
        nn.BatchNorm2d(out),
        nn.ReLU6(),
    )


class SmallUNet(nn.Module):
    """Two levels down and up, with concatenation and nearest upsampling."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.down1, self.down2 = _double(3, width), _double(width, 2 * width)
        self.bottom = _double(2 * width, 4 * width)
        self.up2, self.up1 = _double(6 * width, 2 * width), _double(3 * width, width)
        self.head = nn.Conv2d(width, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.down1(x)
        b = self.down2(functional.max_pool2d(a, 2))
        c = self.bottom(functional.avg_pool2d(b, 2))
        b = self.up2(torch.cat([functional.interpolate(c, scale_factor=2.0), b], 1))
        a = self.up1(torch.cat([functional.interpolate(b, scale_factor=2.0), a], 1))
        return self.head(a)


class Cell(nn.Module):
    """Parallel branches from one tensor: shared ReLUs, average pooling, several adds."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, 1, 1)
        self.left, self.right = nn.Conv2d(width, width, 3, 1, 1), nn.Conv2d(width, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        pooled = functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        return self.left(torch.relu(x)) + self.right(torch.relu(x)) + pooled


def settled(module: nn.Module, seed: int, shape: tuple[int, ...]) -> nn.Module:
    """``module`` with seeded weights and batch statistics of noise, in evaluation mode."""
    torch.manual_seed(seed)
    for child in module.modules():
        if isinstance(child, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(child.weight, nonlinearity="relu")
            if child.bias is not None:
                nn.init.normal_(child.bias, std=0.1)
    module.train()
    with torch.no_grad():
        for _ in range(3):
            module(torch.randn(4, *shape[1:]))
    return module.eval()


def exported(module: nn.Module, shape: tuple[int, ...]) -> Any:
    """The ONNX model, from ``x`` to ``y``, of a module that is `settled` on noise of a shape."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter that many files come from is deprecated
        torch.onnx.export(
            settled(module, 0, shape),
            torch.zeros(shape),
            file,
            dynamo=False,
            opset_version=17,
            input_names=["x"],
            output_names=["y"],
        )
    return onnx.load_from_string(file.getvalue())


class _Inverted(nn.Module):
    """Sandler et al. 2018: expand, depthwise, project, added where the shape stays."""

    def __init__(self, channels: int, out: int, stride: int, expand: int = 4) -> None:
        super().__init__()
        wide = expand * channels
        grow = [nn.Conv2d(channels, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6()]
        self.body = nn.Sequential(
            *(grow if expand > 1 else []),
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU6(),
            nn.Conv2d(wide, out, 1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.added = stride == 1 and channels == out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x) if self.added else self.body(x)


class SmallMobileNet(nn.Module):
    """Stem, three inverted residuals, classifier."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU6()
        )
        self.blocks = nn.Sequential(
            _Inverted(width, width, 1), _Inverted(width, 24, 2), _Inverted(24, 24, 1)
        )
        self.head = nn.Linear(24, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


class MobileNetV2(nn.Module):
    """Sandler et al. 2018, width 1.0."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(3, 32, 3, 2, 1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU6(),
        ]
        channels = 32
        stages = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1))
        for expand, out, repeats, stride in (*stages, (6, 160, 3, 2), (6, 320, 1, 1)):
            for block in range(repeats):
                layers.append(_Inverted(channels, out, stride if not block else 1, expand))
                channels = out
        layers += [nn.Conv2d(channels, 1280, 1, bias=False), nn.BatchNorm2d(1280), nn.ReLU6()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(1280, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x).mean((2, 3)))


class SmallShuffleNet(nn.Module):
    """Ma et al. 2018: half of the channels pass through, then all are shuffled."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        half = width // 2
        self.half = half
        self.stem = nn.Conv2d(3, width, 3, 2, 1)
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(half, half, 1),
                nn.ReLU(),
                nn.Conv2d(half, half, 3, 1, 1, groups=half),
                nn.Conv2d(half, half, 1),
                nn.ReLU(),
            )
            for _ in range(2)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        n, c, h, w = (int(size) for size in x.shape)
        for branch in self.branches:
            kept, changed = torch.split(x, [self.half, self.half], 1)
            x = torch.cat([kept, branch(changed)], 1)
            x = x.reshape(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        return functional.adaptive_avg_pool2d(x, 1)


class SmallDenseNet(nn.Module):
    """Huang et al. 2017: every layer reads all before it."""

    def __init__(self, width: int = 16, growth: int = 16) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, 1, 1)
        self.layers = nn.ModuleList(
            nn.Conv2d(width + i * growth, growth, 3, 1, 1) for i in range(3)
        )
        self.transition = nn.Conv2d(width + 3 * growth, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = [torch.relu(self.stem(x))]
        for layer in self.layers:
            features.append(torch.relu(layer(torch.cat(features, 1))))
        return functional.avg_pool2d(self.transition(torch.cat(features, 1)), 2)


class PreactivationDenseNet(nn.Module):
    """Huang et al. 2017 with batch norms in front of convolutions, and a wide concatenation."""

    def __init__(self, width: int = 8, layers: int = 9) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, 1, 1)
        sizes = [width * (i + 1) for i in range(layers)]
        self.norms = nn.ModuleList(nn.BatchNorm2d(size) for size in sizes)
        self.convs = nn.ModuleList(nn.Conv2d(size, width, 1) for size in sizes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = [self.stem(x)]
        for norm, conv in zip(self.norms, self.convs, strict=True):
            features.append(conv(torch.relu(norm(torch.cat(features, 1)))))
        return functional.avg_pool2d(torch.cat(features, 1), 2)


class ParametricNet(nn.Module):
    """PReLUs whose slopes differ from channel to channel, some negative or above 1."""

    def __init__(self, width: int = 20) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, width, 3, 1, 1), nn.Conv2d(width, 8, 3, 1, 1)
        self.slopes = nn.ModuleList(nn.PReLU(size) for size in (width, 8))
        for slope in self.slopes:
            slope.weight.data = torch.linspace(-0.5, 1.5, slope.num_parameters)
        self.last = nn.Conv2d(8, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.slopes[1](self.second(self.slopes[0](self.first(x)))))


class PaddedNet(nn.Module):
    """Pads of their own in front of a strided convolution, as TensorFlow's networks have them."""

    def __init__(self, width: int = 20) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, width, 3, 1, 1), nn.Conv2d(width, 8, 3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(functional.pad(torch.relu(self.first(x)), (0, 1, 0, 1)))


class ShuffledNet(nn.Module):
    """Blocks of pixels to channels and back (Shi et al. 2016)."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, 1, 1), nn.Conv2d(32, 4 * width, 3, 1, 1)
        self.last = nn.Conv2d(width, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        small = functional.pixel_unshuffle(torch.relu(self.first(x)), 2)
        return self.last(functional.pixel_shuffle(torch.relu(self.second(small)), 2))


class DilatedNet(nn.Module):
    """Kernels dilated up to and beyond the image, as in atrous pyramids (Chen et al. 2017)."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, width, 3, 2, 1)
        self.branches = nn.ModuleList(
            nn.Conv2d(width, 8, 3, padding=rate, dilation=rate) for rate in (7, 8, 30)
        )
        self.strided = nn.Conv2d(24, 4, (5, 3), 3, (4, 9), (2, 9))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        return self.strided(torch.cat([branch(x) for branch in self.branches], 1))


class TransposedUNet(nn.Module):
    """Ronneberger et al. 2015 in small, upsampled by transposed convolutions."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.down1, self.down2 = _double(3, width), _double(width, 2 * width)
        self.up = nn.ConvTranspose2d(2 * width, width, 2, 2)
        self.up1 = _double(2 * width, width)
        self.head = nn.Conv2d(width, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.down1(x)
        b = self.down2(functional.max_pool2d(a, 2))
        return self.head(self.up1(torch.cat([self.up(b), a], 1)))


class VisionBlock(nn.Module):
    """Patches, one pre-norm encoder block with one attention head (Dosovitskiy et al. 2021)."""

    def __init__(self, width: int = 32, hidden: int = 64) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.grow, self.shrink = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        y = self.norm1(x)
        scores = self.query(y) @ self.key(y).transpose(1, 2) / 6
        x = x + self.out(torch.softmax(scores, -1) @ self.value(y))
        y = self.norm2(x)
        return x + self.shrink(functional.gelu(self.grow(y)))
