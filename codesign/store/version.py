"""The version string that keys simulated results: equal strings promise equal cycles."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.abc import Traversable

_FOLDERS = ("hw", "isa", "sim", "kernels")
_COMPILER = ("codesign/frontend", "codesign/compiler", "relay_passes")
_SUFFIXES = (".py", ".cc", ".cpp", ".h", ".hpp")
_ESTIMATES = ("area.py", "energy.py")
"""Files of ``hw`` that price a result and never change its cycles or counters."""


@cache
def estimates_version() -> str:
    """Hash of what prices results: energy, with its table, and area."""
    root = resources.files("codesign") / "hw"
    digest = hashlib.sha256()
    for entry in (*(root / name for name in _ESTIMATES), root / "data" / "energy.json"):
        digest.update(entry.name.encode() + b"\0" + entry.read_bytes())
    return f"t0-{digest.hexdigest()[:16]}"


@cache
def compiler_version() -> str:
    """Hash of all sources between an ONNX file and the integers of its compiled network."""
    digest = hashlib.sha256(simulator_version().encode())
    for name in _COMPILER:
        package, *folders = name.split("/")
        for label, entry in _sources(resources.files(package).joinpath(*folders), name):
            digest.update(label.encode() + b"\0" + entry.read_bytes())
    return f"c-{digest.hexdigest()[:16]}"


def _sources(folder: Traversable, label: str) -> Iterator[tuple[str, Traversable]]:
    """Source files in a folder and those in it, sorted, each with its path."""
    for entry in sorted(folder.iterdir(), key=lambda item: item.name):
        path = f"{label}/{entry.name}"
        if entry.is_dir():
            yield from _sources(entry, path)
        elif entry.name.endswith(_SUFFIXES):
            yield path, entry


@cache
def simulator_version() -> str:
    """Hash of the Python sources that decide a unit's cycles, with the C++ core where present.

    A changed schedule generator or timing model must never meet results of the old one, and a
    hand-kept number is forgotten sooner or later.
    """
    digest = hashlib.sha256()
    for folder in _FOLDERS:
        root = resources.files("codesign") / folder
        for entry in sorted(root.iterdir(), key=lambda item: item.name):
            if entry.name in _ESTIMATES:
                continue
            if entry.is_file() and entry.name.endswith(".py"):
                digest.update(f"{folder}/{entry.name}\0".encode())
                digest.update(entry.read_bytes())
    for folder in ("sim", "kernels"):
        core = resources.files("codesign") / folder / "csrc"
        for entry in sorted(core.iterdir(), key=lambda item: item.name):
            if entry.is_file() and entry.name.endswith((".cc", ".cpp", ".h", ".hpp")):
                digest.update(entry.name.encode() + b"\0" + entry.read_bytes())
    return f"t2-{digest.hexdigest()[:16]}"
