"""The rule by which instruction fields are placed in 64-bit words (VTA_SPEC.md 3.1)."""

from __future__ import annotations

from collections.abc import Iterable

WORD_BITS = 64


def pack_fields(widths: Iterable[int]) -> tuple[int, ...]:
    """Bit offset of each field, in order from bit 0, no field straddling a 64-bit word."""
    offsets: list[int] = []
    position = 0
    for width in widths:
        room = WORD_BITS - position % WORD_BITS
        if width > room:
            position += room
        offsets.append(position)
        position += width
    return tuple(offsets)


def packed_bits(widths: Iterable[int]) -> int:
    """Bits used by the packed fields, skipped bits included; 0 for no field."""
    widths = tuple(widths)
    return pack_fields(widths)[-1] + widths[-1] if widths else 0
