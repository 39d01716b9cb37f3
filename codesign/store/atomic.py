"""Files that appear whole or not at all: written under a temporary name, then renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from codesign.errors import DataError


@contextmanager
def atomic_path(path: str | Path) -> Generator[Path]:
    """A temporary path beside ``path`` that replaces it when the block ends without an error.

    The temporary name keeps the suffix of ``path``, so that writers which look at it agree.
    After an error the temporary file is gone and an older ``path`` is as it was.

    Raises
    ------
    DataError
        The folder does not exist or cannot be written, the disk is full, or ``path`` is a folder
        or a device.
    """
    final = Path(path)
    refuse_unwritable(final)
    temporary = final.with_name(f".{final.stem}.{os.getpid()}{final.suffix}")
    try:
        yield temporary
        temporary.replace(final)
    except OSError as error:
        raise DataError(f"{final}: cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # where nothing can be written, nothing is left either
            temporary.unlink()


def refuse_unwritable(path: str | Path) -> None:
    """Raise a `DataError` now for a ``path`` that `atomic_path` could not write after long work."""
    final = Path(path)
    if final.is_dir():
        raise DataError(f"{final}: is a folder; name a file to write")
    if final.exists() and not final.is_file():
        raise DataError(f"{final}: is a device or a pipe, which no file may replace; name a file")
    if not final.parent.is_dir():
        raise DataError(f"{final}: the folder {final.parent} does not exist; create it first")
    if not os.access(final.parent, os.W_OK):
        raise DataError(f"{final}: the folder {final.parent} cannot be written; name another one")


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a whole file, or leave what was there."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | Path, content: str) -> None:
    """Write a whole UTF-8 file, or leave what was there."""
    write_bytes(path, content.encode())


@contextmanager
def atomic_folder(path: str | Path) -> Generator[Path]:
    """A temporary folder beside ``path`` that becomes it when the block ends without an error.

    Raises
    ------
    DataError
        ``path`` is a file or a folder with something in it, its parent does not exist, or cannot
        be written.
    """
    final = Path(path).absolute()
    if final.exists() and (not final.is_dir() or any(final.iterdir())):
        raise DataError(f"{final}: exists and is no empty folder; name a new one")
    if not final.parent.is_dir():
        raise DataError(f"{final}: the folder {final.parent} does not exist; create it first")
    temporary = final.with_name(f".{final.name}.{os.getpid()}")
    try:
        temporary.mkdir()
        yield temporary
        temporary.replace(final)
    except OSError as error:
        raise DataError(f"{final}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
