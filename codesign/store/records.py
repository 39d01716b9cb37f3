"""Records of tuned schedules: a JSON-lines file that only grows, keyed by content.

The first line says what the file is. Every other line holds one outcome: the workload, the
configuration with the dataflow that was asked for, the simulator's version, the trials of each
dataflow, and the schedule with its cycles and counters, or why there is none. A line that a
killed process left unfinished is dropped. Of several outcomes of one pair the fastest counts, and
before all of them the latest that was chosen in a network's stream, whose cycles alone say less.
Several processes may append to one file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, cast

from codesign.errors import Infeasible, StoreError
from codesign.hw.config import Dataflow, VtaConfig
from codesign.kernels import Schedule, ScheduleResult, Workload
from codesign.store.content import (
    canonical_json,
    config_from_plain,
    config_text,
    to_plain,
    workload_from_plain,
    workload_text,
)
from codesign.store.json_lines import LineFormat, append_line, parsed, read_lines
from codesign.store.version import simulator_version

_FORMAT = LineFormat(
    "codesign-records",
    1,
    "records file",
    "make one with `codesign tune MODEL.onnx -c CONFIG -o RECORDS`",
)
_KEYS = {"workload", "config", "simulator", "trials"}

Outcome = ScheduleResult | Infeasible
_Key = tuple[str, str]


@dataclass(frozen=True)
class Record:
    """The outcome of a search with ``trials`` schedules of each dataflow.

    ``in_stream``: chosen by the cycles of a network's stream; the outcome has those of the unit
    alone all the same.
    """

    outcome: Outcome
    trials: int
    in_stream: bool = False


class Records:
    """Outcomes of this simulator version; ``other_versions`` counts lines of any other.

    ``find(workload, cfg) -> Record | None``; ``cfg.dataflow`` is the one asked for.
    """

    def __init__(self, found: Mapping[_Key, Record], other_versions: int = 0) -> None:
        self._found = dict(found)
        self.other_versions = other_versions

    def __len__(self) -> int:
        return len(self._found)

    def find(self, workload: Workload, cfg: VtaConfig) -> Record | None:
        return self._found.get((workload_text(workload), config_text(cfg)))

    def lookup(
        self, workload: Workload, cfg: VtaConfig, dataflow: Dataflow | None
    ) -> Outcome | None:
        """For `codesign.kernels.known_schedules`."""
        asked = cfg if dataflow is None else replace(cfg, dataflow=dataflow)
        record = self.find(workload, asked)
        return None if record is None else record.outcome


def load(path: str | Path) -> Records:
    """All records of a file.

    Raises
    ------
    StoreError
        the file cannot be read, is no records file, or a line but the last is damaged.
    """
    path = Path(path)
    found: dict[_Key, Record] = {}
    others = 0
    for number, line in enumerate(read_lines(path, _FORMAT), 2):
        plain = parsed(line)
        if not isinstance(plain, dict) or not plain.keys() >= _KEYS:
            raise StoreError(f"{path}, line {number}: no record; delete the line to go on")
        values = cast(dict[str, Any], plain)
        if values["simulator"] != simulator_version():
            others += 1
            continue
        key, record = _record(values, f"{path}, line {number}")
        found[key] = _better(found.get(key), record)
    return Records(found, others)


def append(path: str | Path, workload: Workload, cfg: VtaConfig, record: Record) -> None:
    """Add one record, making the file where it is missing; on disk when this returns."""
    outcome = record.outcome
    if isinstance(outcome, Infeasible):
        result: dict[str, Any] = {"infeasible": to_plain(outcome)}
    else:
        result = {
            "schedule": to_plain(outcome.schedule),
            "cycles": int(outcome.cycles),
            "counters": {str(k): int(v) for k, v in outcome.counters.items()},
        }
    line = {
        "workload": to_plain(workload),
        "config": json.loads(config_text(cfg)),
        "simulator": simulator_version(),
        "trials": record.trials,
        "in_stream": record.in_stream,
        **result,
    }
    append_line(Path(path), _FORMAT, canonical_json(line))


def _record(plain: Mapping[str, Any], where: str) -> tuple[_Key, Record]:
    try:
        workload = workload_from_plain(plain["workload"])
        cfg = config_from_plain(plain["config"])
        if "infeasible" in plain:
            reason = plain["infeasible"]
            outcome: Outcome = Infeasible(str(reason["constraint"]), str(reason["message"]))
        else:
            names = {f.name for f in fields(Schedule)}
            schedule = Schedule(**{k: v for k, v in plain["schedule"].items() if k in names})
            counters = {str(k): int(v) for k, v in plain["counters"].items()}
            outcome = ScheduleResult(schedule, int(plain["cycles"]), counters)
        key = workload_text(workload), config_text(cfg)
        return key, Record(outcome, int(plain["trials"]), bool(plain.get("in_stream", False)))
    except (AttributeError, KeyError, TypeError, ValueError, StoreError) as error:
        raise StoreError(f"{where}: malformed record: {error!r}; delete the line") from error


def _better(old: Record | None, new: Record) -> Record:
    if old is None or isinstance(old.outcome, Infeasible) or new.in_stream:
        return new
    if old.in_stream:
        return old
    if isinstance(new.outcome, Infeasible):
        return old
    trials = max(old.trials, new.trials)
    return Record(min(new.outcome, old.outcome, key=lambda o: o.cycles), trials)
