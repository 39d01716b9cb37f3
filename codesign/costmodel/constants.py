"""The constants of the closed form that are fitted on traces, in ``data/closed_form.json``.

All others are those of VTA_TIMING.md.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from importlib import resources


@dataclass(frozen=True)
class Constants:
    """Cycles that one part more of the last outputs, or of the first weights, costs: its
    instructions and its LOAD, as far as they are not hidden."""

    part_out: float
    part_in: float


def _fitted() -> Constants:
    path = resources.files("codesign") / "costmodel" / "data" / "closed_form.json"
    facts = json.loads(path.read_text(encoding="utf-8"))
    return Constants(**{field.name: float(facts[field.name]) for field in fields(Constants)})


FITTED = _fitted()
"""What `calibration.calibrate` finds; the file says on which traces."""
