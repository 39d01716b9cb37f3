"""Append-only SQLite stores of simulated units and searches (DESIGN 7)."""

from codesign.store.content import canonical_json, content_key, to_plain
from codesign.store.runs import EvaluationRow, RunRow, RunStore
from codesign.store.traces import TraceRow, TraceStore, make_row, trace_key
from codesign.store.version import compiler_version, estimates_version, simulator_version
from codesign.store.workers import worker_pool

__all__ = [
    "EvaluationRow",
    "RunRow",
    "RunStore",
    "TraceRow",
    "TraceStore",
    "canonical_json",
    "compiler_version",
    "content_key",
    "estimates_version",
    "make_row",
    "simulator_version",
    "to_plain",
    "trace_key",
    "worker_pool",
]
