# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# scikit-learn carries no usable annotations.
"""`digits`: 1 797 handwritten digits of 8x8 pixels, real, part of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np

from codesign.nn.datasets.dataset import DataSet

_HELD_OUT = 360
_BRIGHTEST = 16


def digits(seed: int = 0) -> DataSet:
    """The UCI optical digits; 360 are held out, classes balanced, the split drawn from ``seed``."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    data: Any = load_digits()
    images = np.rint(data.images[:, None] * (255 / _BRIGHTEST)).astype(np.uint8)
    parts: list[Any] = train_test_split(
        images,
        data.target.astype(np.int64),
        test_size=_HELD_OUT,
        random_state=seed,
        stratify=data.target,
    )
    train, test, train_labels, test_labels = parts
    source = "UCI optical recognition of handwritten digits, as bundled with scikit-learn"
    return DataSet("digits", 10, train, train_labels, test, test_labels, source)
