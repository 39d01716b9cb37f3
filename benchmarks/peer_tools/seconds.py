"""CPU seconds, which other work on the machine hardly changes."""

from __future__ import annotations

import resource
import time


def cpu_seconds() -> float:
    """Of this process, all its threads, and the processes that it has waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
