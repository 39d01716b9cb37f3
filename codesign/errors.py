"""The one hierarchy of errors, and the value that says "this cannot be built".

An error text says what is wrong, where, the value given, what is allowed, and how to fix it.
"""

from __future__ import annotations

from dataclasses import dataclass


class CodesignError(Exception):
    """Base of every error a user can cause; the command line prints it without a traceback."""

    exit_code = 4


class ConfigError(CodesignError):
    """A hardware configuration or space file is malformed or breaks a rule."""


class ModelError(CodesignError):
    """A network cannot be read, imported or quantised."""


class DataError(CodesignError):
    """Calibration data, run inputs or a data set have a wrong name, shape or type."""


class ProgramError(CodesignError):
    """An instruction stream is illegal; the text names the instruction and the rule."""


class PackageError(CodesignError):
    """A compiled package is truncated, foreign or of another version."""


class VerificationError(CodesignError):
    """A compiled network does not compute what it should; the text names the first difference."""

    exit_code = 1


class StrategyError(CodesignError):
    """A search strategy breaks its contract: a round over budget, a pair that does not exist."""


class WorkerError(CodesignError):
    """The processes that simulate were killed, are out of reach or have another simulator."""


class StoreError(CodesignError):
    """A trace store, run store or model file is corrupt, foreign or locked."""


class MissingDependencyError(CodesignError):
    """An optional dependency is not installed; the text names the extra that brings it."""

    exit_code = 5


@dataclass(frozen=True)
class Infeasible:
    """A result, not an error: why something cannot be done on a configuration.

    ``constraint`` is a short stable name (``"acc_depth"``); ``message`` carries the numbers.
    """

    constraint: str
    message: str

    def __str__(self) -> str:
        return f"{self.constraint}: {self.message}"
