"""Unit cycles at T2: looked up in the store, else simulated, by whoever the pool gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from itertools import islice
from types import TracebackType
from typing import Any

from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.kernels.workload import Workload
from codesign.search.pools import Pool, ThisProcess
from codesign.store import (
    TraceRow,
    TraceStore,
    make_row,
    simulator_version,
    trace_key,
)

Unit = tuple[Workload, VtaConfig]
Tuner = Callable[[Workload, VtaConfig], Any]
"""``(workload, configuration)`` → ScheduleResult or Infeasible; a module-level function."""

_PER_TRANSACTION = 8
"""Units stored at a time: what a killed run simulates again at most."""


def best(workload: Workload, config: VtaConfig) -> Any | Infeasible:
    """The kernels' tuner."""
    from codesign.kernels import best_schedule

    return best_schedule(workload, config)


class UnitSimulator(AbstractContextManager["UnitSimulator"]):
    """Answers unit questions from a store and fills it; a context, because it ends its pool.

    What is returned depends on neither the pool nor on what the store held before.
    """

    def __init__(self, store: TraceStore, pool: Pool | None = None, tuner: Tuner = best) -> None:
        self._store = store
        self._tuner = tuner
        self._version = simulator_version()
        self._pool: Pool = pool or ThisProcess()
        self._known: dict[Unit, TraceRow] = {}

    @property
    def version(self) -> str:
        return self._version

    def rows(
        self, units: Iterable[Unit], progress: Callable[[int, int], None] | None = None
    ) -> dict[Unit, TraceRow]:
        """The row of each unit; new ones are stored as they come."""
        wanted = list(dict.fromkeys(units))
        for unit in wanted:
            if unit not in self._known:
                row = self._store.get(trace_key(*unit, None, self._version))
                if row is not None:
                    self._known[unit] = row
        todo = [unit for unit in wanted if unit not in self._known]
        done = len(wanted) - len(todo)
        outcomes = self._pool.map(self._tuner, todo)
        remaining = iter(todo)
        while batch := list(islice(remaining, _PER_TRANSACTION)):
            made = [make_row(*unit, next(outcomes), self._version) for unit in batch]
            self._store.add(made)
            self._known.update(zip(batch, made, strict=True))
            done += len(batch)
            if progress is not None:
                progress(done, len(wanted))
        return {unit: self._known[unit] for unit in wanted}

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.close()
