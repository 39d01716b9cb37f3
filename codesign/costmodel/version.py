"""The version of a model's inputs: equal strings promise that old trees mean the same numbers."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources

from codesign.store import estimates_version

SOURCES = (
    *("arrays", "closed_form", "columns", "constants", "conv_tiling", "demand", "energy_base"),
    *("features", "inputs", "pair_tables", "pipeline", "selection", "stream_tiling", "tape"),
    *("tilings", "work"),
)
"""The files that decide inputs and bases: `inputs` and `energy_base` with all that they import."""


@cache
def inputs_version() -> str:
    """Hash of the sources of closed form, features and energy base, and of the energy prices.

    Trees correct the closed form: with another constant in it the same trees give other cycles.
    """
    root = resources.files("codesign") / "costmodel"
    digest = hashlib.sha256(estimates_version().encode())
    core = sorted((root / "csrc").iterdir(), key=lambda item: item.name)
    data = root / "data" / "closed_form.json"
    for entry in (*(root / f"{name}.py" for name in SOURCES), data, *core):
        if entry.is_file():
            digest.update(entry.name.encode() + b"\0" + entry.read_bytes())
    return f"inputs-{digest.hexdigest()[:16]}"
