"""`DataSet`: labelled images in memory, checked once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from codesign.errors import DataError

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]

_HELD_OUT = 5
PIXEL_SCALE = 1.0 / 128.0
"""Real value of one step of a pixel; `real` gives exact int8 numbers at this scale."""


@dataclass(frozen=True, eq=False)
class DataSet:
    """Labelled images: uint8 [N, C, H, W] and int64 [N], held-out ones apart.

    ``source`` says where they come from, ``judged`` which part of the whole the test part is.
    DataError names a wrong shape, type or label.
    """

    name: str
    classes: int
    train_images: Images
    train_labels: Labels
    test_images: Images
    test_labels: Labels
    source: str = ""
    judged: str = "test"

    def __post_init__(self) -> None:
        parts = (
            ("training", self.train_images, self.train_labels),
            ("test", self.test_images, self.test_labels),
        )
        for part, images, labels in parts:
            _check(f"data set {self.name}, {part} part", images, labels, self.classes)
        if self.train_images.shape[1:] != self.test_images.shape[1:]:
            raise DataError(
                f"data set {self.name}: training images are {list(self.train_images.shape[1:])}, "
                f"test images {list(self.test_images.shape[1:])}; give one [C, H, W]"
            )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """[C, H, W] of one image."""
        channels, height, width = self.train_images.shape[1:]
        return channels, height, width

    @cached_property
    def digest(self) -> str:
        """sha256 over all images and labels, 16 digits."""
        found = hashlib.sha256()
        for part in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            found.update(repr(part.shape).encode() + np.ascontiguousarray(part).tobytes())
        return found.hexdigest()[:16]

    def validation(self) -> DataSet:
        """The training part alone, every fifth image of it held out as ``test`` part.

        Choosing between networks by these leaves the test part unseen.
        """
        held = np.arange(len(self.train_labels)) % _HELD_OUT == 0
        return replace(
            self,
            train_images=self.train_images[~held],
            train_labels=self.train_labels[~held],
            test_images=self.train_images[held],
            test_labels=self.train_labels[held],
            judged="validation",
        )

    def first(self, train: int | None = None, test: int | None = None) -> DataSet:
        """The data set with only the first ``train`` and ``test`` images; None keeps all."""
        return replace(
            self,
            train_images=self.train_images[:train],
            train_labels=self.train_labels[:train],
            test_images=self.test_images[:test],
            test_labels=self.test_labels[:test],
        )


def real(images: Images) -> NDArray[np.float32]:
    """What networks are fed: ``(pixel - 128) / 128``, float32, exact in int8 at `PIXEL_SCALE`."""
    return (images.astype(np.float32) - np.float32(128)) * np.float32(PIXEL_SCALE)


def _check(where: str, images: Images, labels: Labels, classes: int) -> None:
    if images.dtype != np.uint8 or images.ndim != 4:
        raise DataError(
            f"{where}: images must be uint8 [N, C, H, W], got {images.dtype} {list(images.shape)}"
        )
    if labels.dtype != np.int64 or labels.shape != (len(images),):
        raise DataError(
            f"{where}: {len(images)} images need int64 [{len(images)}] labels, "
            f"got {labels.dtype} {list(labels.shape)}"
        )
    if not len(images):
        raise DataError(f"{where}: no images; at least one is needed")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise DataError(f"{where}: labels reach from {low} to {high}; allowed: 0..{classes - 1}")
