"""Layers of ResNet and MobileNetV2, without building a network.

Each function returns (workload, count) pairs as `codesign.nn.NetworkSpace.layers` does: what the
compiled network has on the accelerator, every unit on its own. Sources: ResNet (He et al., CVPR
2016; torchvision's layout), MobileNetV2 (Sandler et al., CVPR 2018).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from codesign.kernels import ConvWorkload, ElementwiseWorkload, PoolWorkload, Workload

Layers = tuple[tuple[Workload, int], ...]

_CLASSES = 1000


@dataclass
class _Tape:
    """Units in order, with the shape of the tensor at hand."""

    channels: int
    height: int
    units: Counter[Workload] = field(default_factory=Counter[Workload])

    def conv(self, channels: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        pad = kernel // 2
        self._add(
            ConvWorkload(
                *(self.channels, channels, self.height, self.height),
                *((kernel, kernel), (stride, stride), (pad, pad, pad, pad)),
                groups=groups,
            )
        )
        self.channels = channels

    def depthwise(self, kernel: int, stride: int) -> None:
        self.conv(self.channels, kernel, stride, self.channels)

    def pool(self, kind: str, kernel: int, stride: int, pad: int) -> None:
        assert kind in ("max", "avg")
        window = ((kernel, kernel), (stride, stride), (pad, pad, pad, pad))
        self._add(PoolWorkload(kind, self.channels, self.height, self.height, *window))  # type: ignore[arg-type]

    def addition(self) -> None:
        self._add(ElementwiseWorkload(2, self.channels, self.height, self.height))

    def classifier(self) -> Layers:
        self.pool("avg", self.height, 1, 0)
        self.conv(_CLASSES)
        return tuple(self.units.items())

    def _add(self, unit: ConvWorkload | PoolWorkload | ElementwiseWorkload) -> None:
        self.units[unit] += 1
        self.height = unit.out_height if not isinstance(unit, ElementwiseWorkload) else self.height


def _whole(channels: float, divisor: int = 8) -> int:
    """Channels rounded to a multiple of the divisor, not more than a tenth down."""
    near = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return near + divisor if near < 0.9 * channels else near


def resnet(depth: int, size: int = 224) -> Layers:
    """ResNet-18, 34 (basic blocks) or 50 (bottlenecks, stride in the 3x3 convolution)."""
    blocks = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}[depth]
    grow = 4 if depth >= 50 else 1
    tape = _Tape(3, size)
    tape.conv(64, 7, 2)
    tape.pool("max", 3, 2, 1)
    for stage, count in enumerate(blocks):
        width = 64 << stage
        for block in range(count):
            stride = 2 if stage and not block else 1
            entry = _Tape(tape.channels, tape.height, tape.units)
            if grow == 4:
                tape.conv(width)
                tape.conv(width, 3, stride)
                tape.conv(4 * width)
            else:
                tape.conv(width, 3, stride)
                tape.conv(width, 3)
            if stride > 1 or entry.channels != tape.channels:
                entry.conv(grow * width, 1, stride)
            tape.addition()
    return tape.classifier()


def _inverted(tape: _Tape, channels: int, kernel: int, stride: int, expansion: int) -> None:
    skip = stride == 1 and tape.channels == channels
    if expansion > 1:
        tape.conv(expansion * tape.channels)
    tape.depthwise(kernel, stride)
    tape.conv(channels)
    if skip:
        tape.addition()


def mobilenet_v2(size: int = 224, width: float = 1.0) -> Layers:
    """MobileNetV2 with a width multiplier."""
    tape = _Tape(3, size)
    tape.conv(_whole(32 * width), 3, 2)
    stages = (
        *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
        *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
    )
    for expansion, channels, count, stride in stages:
        for block in range(count):
            _inverted(tape, _whole(channels * width), 3, 1 if block else stride, expansion)
    tape.conv(_whole(1280 * max(1.0, width)))
    return tape.classifier()
