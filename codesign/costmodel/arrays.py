# numpy's ufuncs and where are partially unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
"""The few array operations of the closed form: numpy's, or torch's (`relaxed`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

import numpy as np

Array: TypeAlias = Any
"""A numpy array, a torch tensor, or a number."""
Columns: TypeAlias = Mapping[str, Array]


class Arrays(Protocol):
    """Elementwise operations on arrays that broadcast.

    ``ceil`` is exact. ``whole`` and ``room`` are those of amounts that depend on the hardware:
    rounded up and down, except where the hardware is relaxed. ``any``: whether any is not 0, at
    most a guess that spares work. ``fits``: ``cycles`` of what takes its room at least once, else
    inf, or more cycles.
    """

    def maximum(self, x: Array, y: Array, /) -> Array: ...
    def minimum(self, x: Array, y: Array, /) -> Array: ...
    def where(self, condition: Array, x: Array, y: Array, /) -> Array: ...
    def ceil(self, x: Array, /) -> Array: ...
    def sqrt(self, x: Array, /) -> Array: ...
    def log2(self, x: Array, /) -> Array: ...
    def whole(self, x: Array, /) -> Array: ...
    def room(self, x: Array, /) -> Array: ...
    def any(self, x: Array, /) -> bool: ...
    def fits(self, cycles: Array, rooms: Array, /) -> Array: ...


class Exact:
    """numpy."""

    maximum = staticmethod(np.maximum)
    minimum = staticmethod(np.minimum)
    ceil = staticmethod(np.ceil)
    sqrt = staticmethod(np.sqrt)
    log2 = staticmethod(np.log2)
    whole = staticmethod(np.ceil)
    room = staticmethod(np.floor)

    @staticmethod
    def any(x: Array) -> bool:
        return bool(np.any(x))

    @staticmethod
    def where(condition: Array, x: Array, y: Array) -> Array:
        # One choice for all costs nothing.
        if isinstance(condition, (bool, np.bool_)):
            return x if condition else y
        return np.where(condition, x, y)

    @staticmethod
    def fits(cycles: Array, rooms: Array) -> Array:
        return np.where(rooms >= 1.0, cycles, np.inf)
