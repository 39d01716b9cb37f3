# pyright: reportUnknownMemberType=false
# numpy leaves the type of clip partly unknown.
"""`shapes32`: ten classes of drawn shapes, 32x32 pixels in colour, from a seed.

A shape has a random place, size, angle and colour; the background has a gradient, blurred spots
and noise. No pixel says much alone, so that a linear model stays weak; a small convolutional
network learns the shapes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from codesign.nn.datasets.dataset import DataSet, Images, Labels

SIDE = 32
TRAIN, TEST = 6000, 2000
_SPOTS = 3
_CHUNK = 500

Floats = NDArray[np.float64]


def shapes32(seed: int = 0, train: int = TRAIN, test: int = TEST) -> DataSet:
    """``train`` and ``test`` images, drawn one after the other from one generator of ``seed``."""
    rng = np.random.default_rng([seed, 32])
    pictures, labels = draw(rng, train + test)
    return DataSet(
        "shapes32",
        len(SHAPES),
        *(pictures[:train], labels[:train]),
        *(pictures[train:], labels[train:]),
        f"drawn from seed {seed}",
    )


def draw(rng: np.random.Generator, count: int) -> tuple[Images, Labels]:
    """``count`` images uint8 [count, 3, 32, 32] and their labels."""
    parts = [_chunk(rng, min(_CHUNK, count - start)) for start in range(0, count, _CHUNK)]
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def _chunk(rng: np.random.Generator, count: int) -> tuple[Images, Labels]:
    labels = rng.integers(len(SHAPES), size=count).astype(np.int64)
    background = rng.uniform(0.1, 0.5, (count, 3, 1, 1))
    slope = rng.uniform(-0.2, 0.2, (count, 3, 2, 1, 1))
    axis = (np.arange(SIDE) + 0.5) / SIDE - 0.5
    picture = background + slope[:, :, 0] * axis[:, None] + slope[:, :, 1] * axis
    for _ in range(_SPOTS):
        centre = rng.uniform(-0.5, 0.5, (count, 2, 1, 1))
        width = rng.uniform(0.04, 0.12, (count, 1, 1))
        tint = rng.uniform(-0.3, 0.3, (count, 3, 1, 1))
        far = (axis[:, None] - centre[:, 0]) ** 2 + (axis - centre[:, 1]) ** 2
        picture = picture + tint * np.exp(-far / (2 * width**2))[:, None]
    radius = rng.uniform(7.0, 12.0, count) / SIDE
    place = rng.uniform(-1.0, 1.0, (count, 2)) * (0.5 - radius[:, None])
    angle = rng.uniform(-0.8, 0.8, count)
    covered = _coverage(labels, place, radius, angle, axis)[:, None]
    ink = background + rng.uniform(0.05, 0.4, (count, 3, 1, 1))
    picture = (1 - covered) * picture + covered * ink
    picture = picture + rng.normal(0.0, 0.08, picture.shape)
    return np.clip(np.rint(picture * 255), 0, 255).astype(np.uint8), labels


def _coverage(labels: Labels, place: Floats, radius: Floats, angle: Floats, axis: Floats) -> Floats:
    """Share of every pixel that the shape covers, [count, 32, 32], edges one pixel soft."""
    y = axis[None, :, None] - place[:, 0, None, None]
    x = axis[None, None, :] - place[:, 1, None, None]
    cosine, sine = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    scale = radius[:, None, None]
    u, v = (cosine * x + sine * y) / scale, (cosine * y - sine * x) / scale
    distance = np.empty(u.shape)
    for label, shape in enumerate(SHAPES.values()):
        rows = labels == label
        distance[rows] = shape(u[rows], v[rows])
    return np.clip(0.5 - distance * scale * SIDE, 0.0, 1.0)


def _box(u: Floats, v: Floats, width: float, height: float) -> Floats:
    return np.maximum(np.abs(u) - width, np.abs(v) - height)


def _disc(u: Floats, v: Floats) -> Floats:
    return np.hypot(u, v) - 0.9


def _ring(u: Floats, v: Floats) -> Floats:
    return np.abs(np.hypot(u, v) - 0.7) - 0.2


def _square(u: Floats, v: Floats) -> Floats:
    return _box(u, v, 0.75, 0.75)


def _frame(u: Floats, v: Floats) -> Floats:
    return np.abs(_box(u, v, 0.6, 0.6)) - 0.18


def _triangle(u: Floats, v: Floats) -> Floats:
    root = np.sqrt(3.0)
    return np.maximum(np.maximum(-v, (root * u + v) / 2), (v - root * u) / 2) - 0.5


def _plus(u: Floats, v: Floats) -> Floats:
    return np.minimum(_box(u, v, 0.95, 0.27), _box(u, v, 0.27, 0.95))


def _star(u: Floats, v: Floats) -> Floats:
    turn = 2 * np.pi / 5
    folded = np.abs((np.arctan2(u, v) + turn / 2) % turn - turn / 2)
    return np.hypot(u, v) - (1.0 - 1.0 * folded)


def _bar(u: Floats, v: Floats) -> Floats:
    return _box(u, v, 1.0, 0.28)


def _half(u: Floats, v: Floats) -> Floats:
    return np.maximum(np.hypot(u, v + 0.4) - 1.0, -(v + 0.4))


def _pair(u: Floats, v: Floats) -> Floats:
    return _box(u, np.abs(v) - 0.55, 0.95, 0.22)


SHAPES: dict[str, Callable[[Floats, Floats], Floats]] = {
    "disc": _disc,
    "ring": _ring,
    "square": _square,
    "frame": _frame,
    "triangle": _triangle,
    "plus": _plus,
    "star": _star,
    "bar": _bar,
    "half disc": _half,
    "two bars": _pair,
}
"""Distance to each shape's edge in units of its radius, negative inside; labels in this order."""
