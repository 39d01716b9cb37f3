"""`Finding`: one broken rule at one instruction."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """What the checker reports.

    ``index`` is the instruction, -1 for the configuration or the stream as a whole; ``rule`` a
    short stable name.
    """

    index: int
    rule: str
    message: str
    fix: str

    def __str__(self) -> str:
        where = "configuration" if self.index < 0 else f"instruction {self.index}"
        return f"{where}: {self.rule}: {self.message}; {self.fix}"
