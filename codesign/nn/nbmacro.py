"""NAS-Bench-Macro: 3^8 networks for CIFAR-10 (Su et al., CVPR 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from codesign.nn.blocks import classifier, conv_relu, inverted_bottleneck
from codesign.nn.graph import GraphBuilder, Tensor
from codesign.nn.space import Decision, NetworkSpace

_WIDTHS = (64, 64, 128, 128, 128, 256, 256, 256)
_STEM = 32
_HEAD = 1280
_DECISIONS = tuple(Decision(f"layer {i}", (0, 1, 2)) for i in range(len(_WIDTHS)))


@dataclass(frozen=True)
class NasBenchMacro(NetworkSpace):
    """Eight layers: 0 identity, 1 inverted bottleneck e3 k3, 2 inverted bottleneck e6 k5.

    The text is the benchmark's, such as ``01221002``. An identity that changes the width is a
    1x1 convolution (with the stride).
    """

    @property
    def name(self) -> str:
        return "nbmacro"

    @property
    def separator(self) -> str:
        return ""

    @property
    def decisions(self) -> tuple[Decision, ...]:
        return _DECISIONS

    def network(self, builder: GraphBuilder, x: int, choices: tuple[Any, ...]) -> Tensor:
        x = conv_relu(builder, x, _STEM, "stem", kernel=3)
        for layer, (width, choice) in enumerate(zip(_WIDTHS, choices, strict=True)):
            first = width != builder.shape(x)[0]
            stride, name = 2 if first else 1, f"layer{layer}"
            if choice == 1:
                x = inverted_bottleneck(builder, x, width, f"{name}_e3k3", 3, 3, stride)
            elif choice == 2:
                x = inverted_bottleneck(builder, x, width, f"{name}_e6k5", 5, 6, stride)
            elif first:
                x = conv_relu(builder, x, width, f"{name}_identity", stride=2)
        return classifier(builder, x, self.num_classes, _HEAD)
