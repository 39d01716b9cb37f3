"""One axis of a windowed operation: what its outputs read."""

from __future__ import annotations

from dataclasses import dataclass

from codesign.kernels.workload import PoolWorkload


@dataclass(frozen=True)
class Axis:
    """One spatial axis of a windowed operation (sizes in pixels)."""

    extent: int
    kernel: int
    stride: int
    before: int

    def positions_read(self, count: int) -> int:
        """Input positions that the first ``count`` outputs read, padding left out."""
        starts = (out * self.stride - self.before for out in range(count))
        read = {p for s in starts for p in range(max(0, s), min(self.extent, s + self.kernel))}
        return len(read)


def axes(w: PoolWorkload) -> tuple[Axis, Axis]:
    """(vertical, horizontal) of a pooling."""
    return (
        Axis(w.height, w.kernel[0], w.stride[0], w.padding[0]),
        Axis(w.width, w.kernel[1], w.stride[1], w.padding[1]),
    )
