"""`TraceStore`: simulated units, keyed by content, so that nothing is simulated twice."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.kernels.workload import Workload
from codesign.store.content import (
    canonical_json,
    config_from_plain,
    config_text,
    content_key,
    to_plain,
    workload_from_plain,
    workload_text,
)
from codesign.store.database import DatabaseView

_COLUMNS = (
    "key, workload, config, config_name, schedule, simulator, cycles, counters, infeasible, message"
)


def trace_key(workload: Workload, config: VtaConfig, schedule: object, simulator: str) -> str:
    """Content key of one simulated unit.

    ``schedule`` is the schedule simulated, or ``None`` for "the tuner's best schedule"; the
    two are different questions and have different keys. ``simulator`` is the version string of
    what answered (`codesign.store.version.simulator_version`).
    """
    schedule_text = None if schedule is None else canonical_json(schedule)
    return content_key([workload_text(workload), config_text(config), schedule_text, simulator])


@dataclass(frozen=True)
class TraceRow:
    """One simulated unit: `cycles` and `counters`, or why it is infeasible.

    ``schedule`` is its plain JSON form (``to_plain(schedule)``), ``None`` if none exists.
    """

    key: str
    workload: Workload
    config: VtaConfig
    schedule: Mapping[str, Any] | None
    simulator: str
    cycles: int | None = None
    counters: Mapping[str, int] | None = None
    infeasible: Infeasible | None = None

    def __post_init__(self) -> None:
        if (self.cycles is None) == (self.infeasible is None):
            raise ValueError("a trace row has either cycles or an infeasible reason, and not both")


def make_row(
    workload: Workload,
    config: VtaConfig,
    outcome: Any,
    simulator: str,
    asked_schedule: object = None,
) -> TraceRow:
    """The row of an outcome: an `Infeasible`, or anything with schedule, cycles and counters.

    ``asked_schedule`` as in `trace_key`: ``None`` where ``outcome`` is `best_schedule`'s answer.
    """
    key = trace_key(workload, config, asked_schedule, simulator)
    if isinstance(outcome, Infeasible):
        plain = None if asked_schedule is None else to_plain(asked_schedule)
        return TraceRow(key, workload, config, plain, simulator, infeasible=outcome)
    counters = {str(name): int(count) for name, count in outcome.counters.items()}
    schedule = to_plain(outcome.schedule if asked_schedule is None else asked_schedule)
    return TraceRow(key, workload, config, schedule, simulator, int(outcome.cycles), counters)


class TraceStore(DatabaseView):
    """Append-only SQLite table of simulated units.

    ::

        with TraceStore.open("traces.db") as store:
            key = trace_key(workload, config, schedule, simulator_version())
            if store.get(key) is None:
                store.add([make_row(workload, config, outcome, simulator_version(), schedule)])
            for row in store.rows():
                row.workload, row.config, row.cycles, row.counters, row.infeasible

    ``get(key) -> TraceRow | None``; ``keys(simulator)`` are the keys of a version by pair;
    ``add(rows)`` adds all rows in one transaction, rows whose key is there already are left as
    they are; ``rows()`` yields in the order of addition; ``count()``. ``open(path,
    readonly=False)`` makes the file where it is missing and raises `StoreError` for a foreign,
    corrupt or locked file. A run store (``run.db``) holds such a table too, so that it can be
    opened here.
    """

    def get(self, key: str) -> TraceRow | None:
        """The row with this content key, or None."""
        with self._database.errors("read"):
            found = self._database.connection.execute(
                f"SELECT {_COLUMNS} FROM unit WHERE key = ?", (key,)
            ).fetchone()
        return None if found is None else _row(found)

    def keys(self, simulator: str) -> dict[tuple[str, str], set[str]]:
        """(`workload_text`, `config_text`) of each pair → keys of its rows of this version."""
        found: dict[tuple[str, str], set[str]] = {}
        with self._database.errors("read"):
            cursor = self._database.connection.execute(
                "SELECT workload, config, key FROM unit WHERE simulator = ?", (simulator,)
            )
            for workload, config, key in cursor:
                found.setdefault((workload, config), set()).add(key)
        return found

    def add(self, rows: Iterable[TraceRow]) -> None:
        """Add rows in one transaction; rows whose key exists are ignored."""
        values = [_values(row) for row in rows]
        if not values:
            return
        with self._database.transaction() as connection:
            connection.executemany(
                f"INSERT OR IGNORE INTO unit ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?)",
                values,
            )

    def rows(self) -> Iterator[TraceRow]:
        """Every row, in the order of addition."""
        with self._database.errors("read"):
            cursor = self._database.connection.execute(
                f"SELECT {_COLUMNS} FROM unit ORDER BY rowid"
            )
            for found in cursor:
                yield _row(found)

    def count(self) -> int:
        with self._database.errors("read"):
            query = "SELECT count(*) FROM unit"
            return int(self._database.connection.execute(query).fetchone()[0])


def _values(row: TraceRow) -> tuple[object, ...]:
    return (
        row.key,
        workload_text(row.workload),
        config_text(row.config),
        row.config.name,
        None if row.schedule is None else canonical_json(row.schedule),
        row.simulator,
        row.cycles,
        None if row.counters is None else canonical_json(row.counters),
        None if row.infeasible is None else row.infeasible.constraint,
        None if row.infeasible is None else row.infeasible.message,
    )


def _row(found: tuple[Any, ...]) -> TraceRow:
    (
        key,
        workload,
        config,
        name,
        schedule,
        simulator,
        cycles,
        counters,
        constraint,
        message,
    ) = found
    return TraceRow(
        key,
        workload_from_plain(json.loads(workload)),
        config_from_plain({**json.loads(config), "name": name}),
        None if schedule is None else json.loads(schedule),
        simulator,
        cycles,
        None if counters is None else json.loads(counters),
        None if constraint is None else Infeasible(constraint, message),
    )
