"""Which DRAM bytes stores have written and loads have read, to find unordered accesses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codesign.hw.config import VtaConfig
from codesign.isa.encoding import Table
from codesign.isa.ordering import Clock
from codesign.isa.tables import Memory, Module, Opcode, element_bytes

Row = dict[str, int]


class DramMemo:
    """Last accesses by granule of the region that any STORE writes; other bytes cannot conflict.

    Entries are 1 + position in the module, 0 for none; a granule is the smallest element.
    """

    def __init__(self, table: Table, cfg: VtaConfig) -> None:
        self.sizes = {int(kind): element_bytes(kind, cfg) for kind in Memory}
        self.granule = min(self.sizes.values())
        stores = table[(table["opcode"] == Opcode.STORE) & (table["x_size"] > 0)]
        size = self.sizes[Memory.OUT]
        rows = np.maximum(stores["y_size"] - 1, 0) * stores["x_stride"] + stores["x_size"]
        self.low = int(stores["dram_base"].min(initial=2**40)) * size
        self.high = int((stores["dram_base"] + rows).max(initial=0)) * size
        count = max(0, self.high - self.low) // self.granule
        self.last = {module: np.zeros(count, np.int64) for module in Module}

    def conflict(self, row: Row, module: Module, position: int, clock: Clock) -> tuple[int, int]:
        """(module, 1 + position) of an access that the tokens do not order before; (-1, 0) if none.

        Then records the access. Reads conflict with stores, stores with reads of both modules.
        """
        where = self._granules(row)
        others = (Module.STORE,) if module is not Module.STORE else (Module.LOAD, Module.COMPUTE)
        found = (-1, 0)
        for other in others:
            latest = int(self.last[other][where].max(initial=0))
            if other is not module and latest > clock[other]:
                found = (int(other), latest)
        self.last[module][where] = position + 1
        return found

    def _granules(self, row: Row) -> NDArray[np.int64]:
        size = self.sizes[row["memory_type"]]
        begin = row["dram_base"] * size
        end = begin + ((row["y_size"] - 1) * row["x_stride"] + row["x_size"]) * size
        if end <= self.low or begin >= self.high:
            return np.zeros(0, np.int64)
        y = np.arange(row["y_size"])[:, None] * (row["x_stride"] * size // self.granule)
        x = np.arange(row["x_size"] * size // self.granule)[None, :]
        granules = (begin - self.low) // self.granule + (y + x).ravel()
        inside = (granules >= 0) & (granules < (self.high - self.low) // self.granule)
        return granules[inside]
