# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingTypeStubs=false
# (pyarrow is not annotated)
"""Trace stores as flat tables for other tools: Parquet, or CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from codesign.errors import DataError, MissingDependencyError
from codesign.hw.energy import energy_mj
from codesign.store.atomic import atomic_path
from codesign.store.content import to_plain
from codesign.store.traces import TraceRow, TraceStore, trace_key

SUFFIXES = (".parquet", ".csv")
_TEXTS = ("infeasible", "message", "schedule_type", "schedule_dataflow")


def export_traces(store: TraceStore, path: str | Path) -> int:
    """Write every row to ``path`` (`SUFFIXES`), in the order of addition; how many there were.

    Columns are those of `flat_row`; a cell that a row has no value for is null (CSV: empty).

    Raises
    ------
    DataError
        Another suffix, or the file cannot be written; an older file is then as it was.
    MissingDependencyError
        Parquet is asked for and pyarrow is not installed.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise DataError(f"{path}: exports end in {' or '.join(SUFFIXES)}")
    write = _write_csv if path.suffix == ".csv" else _parquet_writer()
    rows = [flat_row(row) for row in store.rows()]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with atomic_path(path) as temporary:
        write(rows, columns, temporary)
    return len(rows)


def flat_row(row: TraceRow) -> dict[str, Any]:
    """One flat record of a trace.

    ``workload_*``, ``config_*`` and ``schedule_*`` are the fields of those values (tuples as JSON
    text), ``op`` the workload's kind, ``best`` whether the schedule is the tuner's choice.
    Counters keep their names; ``macs`` are the graph's, ``alu_operations`` are lanes times ALU
    micro-ops, ``energy_estimated_mj`` is what `codesign.hw.energy` makes of the counters.
    """
    found: dict[str, Any] = {
        "key": row.key,
        "simulator": row.simulator,
        "best": row.key == trace_key(row.workload, row.config, None, row.simulator),
        "op": row.workload.op,
        "config_name": row.config.name,
        "cycles": row.cycles,
        "infeasible": None if row.infeasible is None else row.infeasible.constraint,
        "message": None if row.infeasible is None else row.infeasible.message,
        "macs": row.workload.macs,
    }
    values = (("workload", row.workload), ("config", row.config), ("schedule", row.schedule))
    for prefix, value in values:
        plain: Mapping[str, Any] = {} if value is None else to_plain(value)
        for name, field in plain.items():
            found[f"{prefix}_{name}"] = json.dumps(field) if isinstance(field, list) else field
    if row.counters is not None:
        lanes = row.config.batch * row.config.block_out
        found |= {name: count for name, count in row.counters.items() if name != "cycles"}
        found["alu_operations"] = lanes * row.counters["alu_uops"]
        found["energy_estimated_mj"] = energy_mj(row.counters, row.config)
    return found


def _write_csv(rows: Iterable[Mapping[str, Any]], columns: list[str], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, columns)
        writer.writeheader()
        writer.writerows(rows)


def _parquet_writer() -> Any:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingDependencyError(
            "Parquet files need pyarrow: pip install 'codesign[parquet]' (or export to .csv)"
        ) from error

    def write(rows: list[Mapping[str, Any]], columns: list[str], path: Path) -> None:
        arrays: dict[str, Any] = {}
        for name in columns:
            values = [row.get(name) for row in rows]
            # A column without any value still has its type, so that files can be joined.
            empty = pyarrow.string() if name in _TEXTS else pyarrow.int64()
            known = any(value is not None for value in values)
            arrays[name] = pyarrow.array(values, type=None if known else empty)
        table: Any = pyarrow.table(arrays)
        parquet.write_table(table, path)

    return write
