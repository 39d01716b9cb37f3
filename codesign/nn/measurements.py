"""Measured accuracies by content key, kept in a file that only grows."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codesign.errors import StoreError
from codesign.store.atomic import refuse_unwritable
from codesign.store.json_lines import LineFormat, append_line, read_lines

_FORMAT = LineFormat(
    "codesign-measurements", 1, "store of measured accuracies", "name another file, or a new one"
)


@dataclass
class Measurements:
    """One JSON line for each measurement; without a path they live in memory.

    An unfinished last line is passed over, see `codesign.store.json_lines`; any other damage, and a
    file of another kind, is a `StoreError` and left as it is.
    """

    path: Path | None = None
    _known: dict[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self) -> None:
        if self.path is None:
            return
        refuse_unwritable(self.path)
        if not self.path.exists():
            return
        for number, line in enumerate(read_lines(self.path, _FORMAT), 2):
            try:
                row: dict[str, Any] = json.loads(line)
                self._known[str(row["key"])] = float(row["top1"])
            except (ValueError, KeyError, TypeError) as error:
                raise StoreError(f"{self.path}: line {number} is no measurement") from error

    def get(self, facts: object) -> float | None:
        """The top-1 measured for ``facts``, None if there is none."""
        return self._known.get(_key(facts))

    def put(self, facts: object, top1: float) -> float:
        """Keep a measurement; it is on disk when this returns."""
        self._known[_key(facts)] = top1
        if self.path is not None:
            row = {"key": _key(facts), "top1": top1, "of": facts}
            append_line(self.path, _FORMAT, json.dumps(row, sort_keys=True))
        return top1


def _key(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]
