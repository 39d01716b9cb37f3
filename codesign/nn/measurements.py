"""Measured accuracies by content key, kept in a file that only grows."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codesign.errors import StoreError

_VERSION = 1


@dataclass
class Measurements:
    """One JSON line for each measurement; without a path they live in memory.

    A last line that a kill cut short is dropped; any other damage is a `StoreError`.
    """

    path: Path | None = None
    _known: dict[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self) -> None:
        if self.path is None or not self.path.is_file():
            return
        whole, _, rest = self.path.read_text(encoding="utf-8").rpartition("\n")
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                row: dict[str, Any] = json.loads(line)
                known = row["version"] == _VERSION
                self._known[str(row["key"])] = float(row["top1"])
            except (ValueError, KeyError, TypeError) as error:
                raise StoreError(f"{self.path}: line {number} is no measurement") from error
            if not known:
                raise StoreError(f"{self.path}: line {number} is of another version")
        if rest:
            with self.path.open("r+b") as file:
                file.truncate(len(whole.encode()) + bool(whole))

    def get(self, facts: object) -> float | None:
        """The top-1 measured for ``facts``, None if there is none."""
        return self._known.get(_key(facts))

    def put(self, facts: object, top1: float) -> float:
        """Keep a measurement; it is on disk when this returns."""
        self._known[_key(facts)] = top1
        if self.path is not None:
            row = {"version": _VERSION, "key": _key(facts), "top1": top1, "of": facts}
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row, sort_keys=True) + "\n")
        return top1


def _key(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]
