"""Names, units and digits of the figures on the page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """How a figure is called and written; ``digits`` behind the point."""

    name: str
    unit: str
    digits: int

    @property
    def axis(self) -> str:
        return f"{self.name}, {self.unit}" if self.unit else self.name

    def show(self, value: float) -> str:
        """With its unit; a value too small for the digits gets three that count."""
        small = 0 < abs(value) < 10.0**-self.digits
        text = f"{value:.3g}" if small else f"{value:,.{self.digits}f}".replace(",", "\u202f")
        return f"{text} {self.unit}".strip()


FIGURES = {
    "accuracy": Figure("accuracy", "%", 2),
    "latency_ms": Figure("latency", "ms", 3),
    "cycles": Figure("cycles", "", 0),
    "energy_mj": Figure("energy (estimated)", "mJ", 3),
    "sram_kib": Figure("on-chip memory", "KiB", 0),
    "dsp": Figure("DSP blocks (estimated)", "", 0),
    "bram36": Figure("RAMB36 (estimated)", "", 0),
    "lut": Figure("LUTs (estimated)", "", 0),
    "ff": Figure("flip-flops (estimated)", "", 0),
}
"""By the metric's name in a problem file."""


def number(value: float, digits: int = 4) -> str:
    """Thousands apart by thin spaces; floats with ``digits`` significant digits."""
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}".replace(",", "\u202f")
    return f"{value:.{digits}g}"
