"""Labelled image sets: bundled, drawn, or read from files; never downloaded, never unpickled."""

from __future__ import annotations

from pathlib import Path

from codesign.errors import DataError
from codesign.nn.datasets.cifar import CIFAR_ARCHIVES, cifar
from codesign.nn.datasets.dataset import PIXEL_SCALE, DataSet, real
from codesign.nn.datasets.digits import digits
from codesign.nn.datasets.folder import image_folder
from codesign.nn.datasets.shapes import shapes32

__all__ = [
    "DATA_SETS",
    "PIXEL_SCALE",
    "DataSet",
    "cifar",
    "digits",
    "image_folder",
    "load_dataset",
    "real",
    "shapes32",
]

_MADE_HERE = {"digits": digits, "shapes32": shapes32}
_FROM_FILES = {
    **{name: f"the folder unpacked from {archive}" for name, archive in CIFAR_ARCHIVES.items()},
    "folder": "a folder with train/CLASS/ and val/CLASS/",
}
DATA_SETS = (*_MADE_HERE, *_FROM_FILES)
"""Names that `load_dataset` knows; ``folder`` has a folder for each class."""


def load_dataset(
    name: str, path: str | Path | None = None, *, seed: int = 0, size: int = 224
) -> DataSet:
    """A data set by name.

    Parameters
    ----------
    name : one of `DATA_SETS`; ``folder:CLASSES``, as spaces have it, is ``folder``
    path : where the files of cifar10, cifar100 or folder lie
    seed : of the split (digits) or the drawing (shapes32)
    size : side of the images of ``folder``, pixels

    Raises
    ------
    DataError
        an unknown name, a missing path, or files that are not what they should be.
    """
    name = "folder" if name.startswith("folder:") else name
    if name in _MADE_HERE:
        return _MADE_HERE[name](seed)
    if name not in _FROM_FILES:
        raise DataError(f"unknown data set {name!r}; allowed: {', '.join(DATA_SETS)}")
    if path is None:
        raise DataError(
            f"data set {name} is read from files; give its path (--path): {_FROM_FILES[name]}"
        )
    return image_folder(path, size) if name == "folder" else cifar(name, path)
