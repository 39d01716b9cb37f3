"""Blocks that the mobile spaces are made of."""

from __future__ import annotations

from codesign.nn.graph import GraphBuilder, Tensor


def conv_relu(
    builder: GraphBuilder,
    x: int,
    channels: int,
    name: str,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
) -> int:
    """Convolution that keeps the size (but for the stride), batch norm, ReLU6."""
    y = builder.relu6(builder.conv(x, channels, name, kernel, stride, groups=groups))
    assert y is not None
    return y


def inverted_bottleneck(
    builder: GraphBuilder,
    x: int,
    channels: int,
    name: str,
    kernel: int,
    expansion: int,
    stride: int = 1,
    groups: int = 1,
    fused: bool = False,
    shortcut: bool = True,
    squeeze: int = 0,
) -> int:
    """Expand, convolve each channel, project (MobileNetV2).

    With ``shortcut`` the sum with ``x`` where shapes agree.

    Expansion 1 has no expanding convolution. ``fused``: one dense convolution with the kernel
    and the stride in place of the first two. ``groups`` are those of the expanding convolution.
    ``squeeze``: squeeze-and-excitation with so many inner channels before the projection.
    """
    inputs = builder.shape(x)[0]
    hidden = x
    if fused:
        label = f"{name}_fused"
        hidden = conv_relu(builder, x, inputs * expansion, label, kernel, stride, groups)
    else:
        if expansion > 1:
            hidden = conv_relu(builder, x, inputs * expansion, f"{name}_expand", groups=groups)
        width, label = builder.shape(hidden)[0], f"{name}_depthwise"
        hidden = conv_relu(builder, hidden, width, label, kernel, stride, groups=width)
    if squeeze:
        hidden = squeeze_excite(builder, hidden, squeeze, name)
    y = builder.conv(hidden, channels, f"{name}_project")
    y = builder.add([x, y]) if shortcut and stride == 1 and inputs == channels else y
    assert y is not None
    return y


def squeeze_excite(builder: GraphBuilder, x: int, inner: int, name: str) -> int:
    """Each channel times what two 1x1 convolutions make of all channels' means (sigmoid)."""
    means = builder.global_pool(x)
    assert means is not None
    hidden = builder.relu(builder.pointwise(means, inner, f"{name}_squeeze"))
    assert hidden is not None
    return builder.gate(x, builder.pointwise(hidden, builder.shape(x)[0], f"{name}_excite"))


def rounded(width: float) -> int:
    """The nearest multiple of eight channels."""
    return max(8, int(width + 4) // 8 * 8)


def classifier(
    builder: GraphBuilder, x: Tensor, classes: int, features: int | None = None
) -> Tensor:
    """Optional 1x1 convolution to ``features``, global average pooling, dense layer."""
    if features is not None and x is not None:
        x = conv_relu(builder, x, features, "head")
    return builder.dense(builder.global_pool(x), classes, "classifier")
