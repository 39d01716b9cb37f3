# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false
# distributed carries no usable annotations.
"""Where units are simulated: in this process, in local processes, or by a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol

from codesign.errors import ConfigError, MissingDependencyError, WorkerError
from codesign.store import simulator_version, worker_pool

Task = Callable[..., Any]
"""A module-level function of two picklable arguments; the other side imports it."""

_CONNECT_SECONDS = 15


class Pool(Protocol):
    """Answers of a task for many arguments, in their order, by whoever is free."""

    def map(self, task: Task, arguments: Sequence[tuple[Any, Any]]) -> Iterator[Any]:
        """``task(*pair)`` of each pair; WorkerError where the workers are gone for good."""
        ...

    def close(self) -> None:
        """Drop what is not done and let the workers go."""
        ...


class ThisProcess:
    """One after the other, as they are asked for."""

    def map(self, task: Task, arguments: Sequence[tuple[Any, Any]]) -> Iterator[Any]:
        return (task(*pair) for pair in arguments)

    def close(self) -> None:
        """Nothing is held."""


class LocalProcesses:
    """``workers`` processes of this machine, started with the first tasks."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._pool = worker_pool(workers)

    def map(self, task: Task, arguments: Sequence[tuple[Any, Any]]) -> Iterator[Any]:
        if len(arguments) < 2:
            yield from ThisProcess().map(task, arguments)
            return
        try:
            yield from self._pool.map(task, *zip(*arguments, strict=True), chunksize=1)
        except BrokenProcessPool as error:
            raise WorkerError(
                f"one of {self._workers} worker processes was killed, for want of memory perhaps; "
                f"what was simulated is stored: run the same command again, with fewer workers"
            ) from error

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


class Cluster:
    """The workers of a Dask scheduler; what a lost worker was doing is done by another one.

    Every task checks that its worker has this simulator. ConfigError where nothing answers at
    ``address`` ("tcp://host:8786").
    """

    def __init__(self, address: str) -> None:
        try:
            from distributed import Client
        except ImportError as error:
            raise MissingDependencyError(
                'searching on a cluster needs Dask: pip install "codesign[cluster]"'
            ) from error
        self._address = address
        try:
            self._client: Any = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError(
                f"no Dask scheduler answers at {address!r} within {_CONNECT_SECONDS} s ({error}); "
                f'give the address that "dask scheduler" prints, like tcp://127.0.0.1:8786'
            ) from error
        try:
            self._client.wait_for_workers(1, timeout=_CONNECT_SECONDS)
        except TimeoutError as error:
            self.close()
            raise ConfigError(
                f"the Dask scheduler at {address} has no workers; start some: dask worker {address}"
            ) from error

    def map(self, task: Task, arguments: Sequence[tuple[Any, Any]]) -> Iterator[Any]:
        from distributed.client import FutureCancelledError
        from distributed.comm.core import CommClosedError
        from distributed.scheduler import KilledWorker

        version = simulator_version()
        futures = [
            self._client.submit(_checked, version, task, *pair, pure=False) for pair in arguments
        ]
        try:
            while futures:
                yield futures.pop(0).result()
        except (KilledWorker, FutureCancelledError, CommClosedError) as error:
            raise WorkerError(
                f"the Dask cluster at {self._address} lost a simulation for good ({error}); what "
                f"was simulated is stored: run the same command again when it is back"
            ) from error
        finally:
            self._client.cancel(futures)

    def close(self) -> None:
        self._client.close()


def make_pool(workers: int, cluster: str | None = None) -> Pool:
    """The cluster at an address where one is given, else ``workers`` processes."""
    if cluster is not None:
        return Cluster(cluster)
    return ThisProcess() if workers <= 1 else LocalProcesses(workers)


def _checked(version: str, task: Task, *arguments: Any) -> Any:
    """The task's answer by a worker with this very simulator."""
    here = simulator_version()
    if here != version:
        raise WorkerError(
            f"a worker of the cluster has another simulator ({here[:12]}) than this process "
            f"({version[:12]}); install the same codesign on every machine"
        )
    return task(*arguments)
