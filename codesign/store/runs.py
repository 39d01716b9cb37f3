"""`RunStore`: searches with their evaluations in proposal order and their results."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from codesign.errors import StoreError
from codesign.store.content import canonical_json
from codesign.store.database import Database, DatabaseView
from codesign.store.traces import TraceStore


@dataclass(frozen=True)
class EvaluationRow:
    """One evaluated pair: its place in the order of proposals, its level and its figures."""

    position: int
    network: str
    config: str
    level: str
    body: Mapping[str, Any]


@dataclass(frozen=True)
class RunRow:
    """One search: its content key, the problem and what it was started with, its result if any."""

    key: str
    problem: Mapping[str, Any]
    metadata: Mapping[str, Any]
    result: Mapping[str, Any] | None


class RunStore(DatabaseView):
    """Append-only store of searches; ``traces`` is the table of simulated units in the same file.

    A search is keyed by the content of its problem, strategy, budget and seed. Adding what is
    there already is fine if it is equal; other content under the same key is a `StoreError`,
    because a replay that differs from its record is a bug that must be seen.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.traces = TraceStore(database)

    def add_run(self, key: str, problem: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        """Record a search's start; starting it again changes nothing."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO run (key, problem, metadata) VALUES (?,?,?)",
                (key, canonical_json(problem), canonical_json(metadata)),
            )

    def add_evaluations(self, run: str, rows: Iterable[EvaluationRow]) -> None:
        """Add evaluations of a search in one transaction."""
        with self._database.transaction() as connection:
            for row in rows:
                values = (run, row.position, row.network, row.config, row.level)
                body = canonical_json(row.body)
                found = connection.execute(
                    "SELECT network, config, level, body FROM evaluation "
                    "WHERE run = ? AND position = ?",
                    (run, row.position),
                ).fetchone()
                if found is None:
                    connection.execute(
                        "INSERT INTO evaluation VALUES (?,?,?,?,?,?)", (*values, body)
                    )
                elif found != (row.network, row.config, row.level, body):
                    raise StoreError(
                        f"store {self.path}: evaluation {row.position} of run {run[:12]} was "
                        f"{found!r} and is now {(*values[2:], body)!r}; the replay differs from "
                        f"its record, use a new store file and report this"
                    )

    def add_result(self, run: str, body: Mapping[str, Any]) -> None:
        """Record a search's result; an equal one may be there already."""
        text = canonical_json(body)
        with self._database.transaction() as connection:
            found = connection.execute("SELECT body FROM result WHERE run = ?", (run,)).fetchone()
            if found is None:
                connection.execute("INSERT INTO result VALUES (?,?)", (run, text))
            elif found[0] != text:
                raise StoreError(
                    f"store {self.path}: the result of run {run[:12]} differs from the stored one; "
                    f"use a new store file and report this"
                )

    def evaluations(self, run: str) -> list[EvaluationRow]:
        """Evaluations of a search in proposal order."""
        with self._database.errors("read"):
            found = self._database.connection.execute(
                "SELECT position, network, config, level, body FROM evaluation "
                "WHERE run = ? ORDER BY position",
                (run,),
            ).fetchall()
        return [
            EvaluationRow(position, network, config, level, json.loads(body))
            for position, network, config, level, body in found
        ]

    def runs(self) -> Iterator[RunRow]:
        """Every search, in the order of their starts."""
        with self._database.errors("read"):
            found = self._database.connection.execute(
                "SELECT run.key, run.problem, run.metadata, result.body FROM run "
                "LEFT JOIN result ON result.run = run.key ORDER BY run.rowid"
            ).fetchall()
        for key, problem, metadata, body in found:
            result = None if body is None else json.loads(body)
            yield RunRow(key, json.loads(problem), json.loads(metadata), result)

    def run(self, key: str | None = None) -> RunRow:
        """The search with this key (or its beginning); without one, the latest with a result."""
        rows = list(self.runs())
        if key is not None:
            rows = [row for row in rows if row.key.startswith(key)]
        finished = [row for row in rows if row.result is not None]
        if not rows:
            what = f"no run {key!r}" if key is not None else "no run"
            raise StoreError(f"store {self.path} holds {what}; make one with codesign search")
        if not finished:
            raise StoreError(
                f"store {self.path}: run {rows[-1].key[:12]} has not ended; run the same codesign "
                f"search command again to finish it"
            )
        return finished[-1]
