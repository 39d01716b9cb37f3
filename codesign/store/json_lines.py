"""JSON-lines files that only grow: a first line says what the file is, a kill costs one line.

Several processes may append to one file. What follows the last newline was left unfinished by a
killed process: readers pass over it and the next writer replaces it. A file that begins otherwise
is never changed.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from codesign.errors import StoreError
from codesign.store.content import canonical_json

_TAIL_BYTES = 1 << 16


@dataclass(frozen=True)
class LineFormat:
    """What a first line names; ``noun`` and ``fix`` are for the text of the error."""

    name: str
    version: int
    noun: str
    fix: str

    @property
    def header(self) -> dict[str, str | int]:
        return {"format": self.name, "version": self.version}

    @property
    def first_line(self) -> bytes:
        return (canonical_json(self.header) + "\n").encode()

    def check(self, path: Path, line: bytes) -> None:
        """Raise a StoreError unless ``line`` is this format's first."""
        if parsed(line) != self.header:
            raise StoreError(f"{path}: is no {self.noun} of version {self.version}; {self.fix}")


def read_lines(path: Path, kind: LineFormat) -> list[bytes]:
    """All finished lines after the first; the file is left as it is.

    Raises
    ------
    StoreError
        the file cannot be read or is not of this format.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
    if len(lines) == 1 and kind.first_line.startswith(lines[0]):
        return []  # a process was killed before its first line
    kind.check(path, lines[0])
    return lines[1:-1]


def append_line(path: Path, kind: LineFormat, line: str) -> None:
    """Add ``line``, making the file where it is missing; on disk when this returns.

    Raises
    ------
    StoreError
        the file cannot be written or is not of this format.
    """
    try:
        with path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # until the file is closed
            file.seek(0)
            first = file.read(len(kind.first_line))
            if not kind.first_line.startswith(first):
                kind.check(path, first.partition(b"\n")[0])
            whole = _whole_bytes(file)
            file.truncate(whole)
            file.write((b"" if whole else kind.first_line) + line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error


def parsed(line: bytes) -> Any:
    """The JSON value of a line, None where it has none."""
    try:
        return json.loads(line)
    except ValueError:
        return None


def _whole_bytes(file: BinaryIO) -> int:
    """Bytes up to the last newline, searched from the end."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - _TAIL_BYTES)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
