# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# Pillow is only partly annotated.
"""Images in folders, one folder a class, as ImageNet is laid out; nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from codesign.errors import DataError, MissingDependencyError
from codesign.nn.datasets.dataset import DataSet, Images, Labels

_ENDINGS = frozenset({".jpeg", ".jpg", ".png", ".bmp", ".ppm", ".webp"})


def image_folder(path: str | Path, size: int = 224, per_class: int | None = None) -> DataSet:
    """``PATH/train/CLASS/*`` and ``PATH/val/CLASS/*`` (or ``test``) as RGB ``size`` x ``size``.

    Classes are numbered in the order of their names. An image is scaled so that its shorter side
    is ``size`` and cut around its centre. ``per_class`` keeps the first images of each class.

    Raises
    ------
    DataError
        folders are missing or empty, classes differ between the parts, a file is no image.
    """
    root = Path(path)
    train = root / "train"
    test = next((root / name for name in ("val", "test") if (root / name).is_dir()), root / "val")
    missing = [str(part) for part in (train, test) if not part.is_dir()]
    if missing:
        raise DataError(
            f"image folder: no such folder: {', '.join(missing)}; {root} must hold train/CLASS/ "
            "and val/CLASS/ with images (ImageNet: https://image-net.org/download, after login)"
        )
    classes = _classes(train)
    if _classes(test) != classes:
        differing = sorted(set(classes) ^ set(_classes(test)))
        raise DataError(
            f"image folder: {train} and {test} hold different classes: {', '.join(differing[:5])}"
        )
    if not classes:
        raise DataError(f"image folder: {train} holds no class folders")
    return DataSet(
        root.name,
        len(classes),
        *_load(train, classes, size, per_class),
        *_load(test, classes, size, per_class),
        str(root),
    )


def _classes(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir()))


def _load(
    folder: Path, classes: tuple[str, ...], size: int, per_class: int | None
) -> tuple[Images, Labels]:
    images: list[Images] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        files = sorted(f for f in (folder / name).iterdir() if f.suffix.lower() in _ENDINGS)
        if not files:
            raise DataError(
                f"image folder: {folder / name} holds no image; endings read: "
                f"{', '.join(sorted(_ENDINGS))}"
            )
        chosen = files[:per_class]
        images += [_image(file, size) for file in chosen]
        labels += [label] * len(chosen)
    return np.stack(images), np.array(labels, np.int64)


def _image(file: Path, size: int) -> Images:
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError as error:
        raise MissingDependencyError("reading images needs Pillow: pip install pillow") from error
    try:
        with Image.open(file) as opened:
            fitted = ImageOps.fit(opened.convert("RGB"), (size, size), Image.Resampling.BILINEAR)
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{file}: not a readable image ({error})") from error
    return np.asarray(fitted, np.uint8).transpose(2, 0, 1).copy()
