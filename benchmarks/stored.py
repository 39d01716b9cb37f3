"""Results that a long benchmark keeps in a file: rows by content key, rebuilt where stale."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from claims import STDERR
from rich.progress import track

from codesign.store.atomic import write_text

ROOT = Path(__file__).resolve().parents[1]
NOTHING_STORED = "no stored results of these; run with --rerun to measure them"
_PRODUCT = ("codesign/frontend", "codesign/hw", "codesign/isa", "codesign/kernels",
            "codesign/sim", "codesign/compiler", "relay_passes")  # fmt: skip
APART = ("area.py", "energy.py", "stream_tuning.py")
"""Files among these that no stored cycle or accuracy depends on: estimates, and what only
`codesign tune --compose overlap` calls."""
_SUFFIXES = (".py", ".cc", ".h")


def sources_key(*folders: str, without: Collection[str] = ()) -> str:
    """sha256 over the sources in folders of the repository (or single ones) but files so named,
    16 digits."""
    digest = hashlib.sha256()
    for folder in folders:
        named = ROOT / folder
        for path in [named] if named.is_file() else sorted(named.rglob("*")):
            if path.suffix in _SUFFIXES and path.name not in without:
                digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def product_key() -> str:
    """Content key of everything between an ONNX file and a cycle count."""
    return sources_key(*_PRODUCT, without=APART)


@dataclass
class StoredRows:
    """Rows of a benchmark in ``results/NAME.json``, each with the key of what it was made from.

    Without a path nothing is written.
    """

    path: Path | None
    rows: dict[str, dict[str, Any]] = field(default_factory=lambda: {})

    @staticmethod
    def load(name: str) -> StoredRows:
        path = Path(__file__).parent / "results" / f"{name}.json"
        rows = json.loads(path.read_text())["rows"] if path.is_file() else {}
        return StoredRows(path, rows)

    def is_current(self, name: str, key: str) -> bool:
        """Whether the row exists and was made from what ``key`` says."""
        return self.rows.get(name, {}).get("key") == key

    def measure(
        self,
        make: Callable[..., Mapping[str, Any]],
        arguments: Mapping[str, tuple[Any, ...]],
        keys: Mapping[str, str],
        processes: int | Executor,
        what: str,
    ) -> None:
        """Make the rows of ``arguments``, each kept as soon as it is there; a process takes the
        next row when it is free. ``what`` stands before the progress bar. `processes_of` gives
        processes that several calls share, with what they have loaded."""
        with ExitStack() as stack:
            pool = processes
            if isinstance(pool, int):
                pool = stack.enter_context(processes_of(pool))
            waiting = {pool.submit(make, *given): row for row, given in arguments.items()}
            for done in track(as_completed(waiting), what, len(waiting), console=STDERR):
                row = waiting[done]
                self.put(row, keys[row], done.result())

    def put(self, name: str, key: str, row: Mapping[str, Any]) -> None:
        """Keep a row; the file is written at once, so that a killed run resumes."""
        self.rows[name] = {"key": key, **row}
        if self.path is None:
            return
        lines = (f"{json.dumps(n)}: {json.dumps(self.rows[n])}" for n in sorted(self.rows))
        self.path.parent.mkdir(exist_ok=True)
        write_text(self.path, '{"rows": {\n' + ",\n".join(lines) + "\n}}\n")


def processes_of(count: int) -> Executor:
    """That many processes; they end when this one is killed."""
    return ProcessPoolExecutor(count, initializer=_end_with, initargs=(os.getpid(),))


def _end_with(parent: int) -> None:
    """Let this process end within seconds of its parent: a pool's processes would wait for ever."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
