"""Calls in a process of their own: a crash, a hang or a flood of memory becomes a value.

The process answers one JSON line for each JSON line, so that a call costs no start of Python, and
is started anew after a fault or after ``calls_a_process`` calls.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import selectors
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

MEMORY_BYTES = 16 << 30


@dataclass(frozen=True)
class Fault:
    """Why a call gave no answer: ``kind`` is "crash SIGNAL-OR-STATUS" or "timeout"."""

    kind: str
    text: str


class Isolated:
    """A function ``module:name`` of one JSON value, called in another process.

    Parameters
    ----------
    seconds : a call that takes longer is a `Fault`
    """

    def __init__(self, function: str, seconds: float, calls_a_process: int = 500) -> None:
        self._command = [sys.executable, "-m", "codesign.testing.isolation", function]
        self._seconds = seconds
        self._calls_a_process = calls_a_process
        self._calls = 0
        self._process: subprocess.Popen[str] | None = None
        with tempfile.NamedTemporaryFile("w", suffix=".log", delete=False) as log:
            self._log = log.name

    def __enter__(self) -> Isolated:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()
        os.unlink(self._log)

    def call(self, argument: Any, seconds: float | None = None) -> Any:
        """The function's answer, or a `Fault`; ``seconds`` overrides the limit."""
        limit = self._seconds if seconds is None else seconds
        if self._process is None or self._calls >= self._calls_a_process:
            self._stop()
            self._start()
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        self._calls += 1
        try:
            process.stdin.write(json.dumps(argument) + "\n")
            process.stdin.flush()
        except BrokenPipeError:  # it died since its last answer
            fault = self._fault(process)
            self._stop()
            return fault
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            answered = selector.select(limit)
        line = process.stdout.readline() if answered else ""
        if line:
            return json.loads(line)
        fault = self._fault(process) if answered else Fault("timeout", f"{limit:g} s")
        self._stop()
        return fault

    def _start(self) -> None:
        with open(self._log, "w") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self._calls = 0

    def _fault(self, process: subprocess.Popen[str]) -> Fault:
        status = process.wait()
        with open(self._log, errors="replace") as log:
            return Fault(f"crash {status}", log.read()[-300:])

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                assert pipe is not None
                with suppress(BrokenPipeError):  # what was not sent is lost with the process
                    pipe.close()
            self._process = None


def _serve(function: str) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print to stdout
    module, name = function.split(":")
    call = getattr(importlib.import_module(module), name)
    for line in sys.stdin:
        print(json.dumps(call(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    _serve(sys.argv[1])
