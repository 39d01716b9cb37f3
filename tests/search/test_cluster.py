"""Searches on a real Dask cluster: one scheduler and three worker processes on loopback."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
from test_search import prover

from codesign.cli import main
from codesign.errors import ConfigError, WorkerError
from codesign.search import pools, search
from codesign.search.pools import Cluster, LocalProcesses
from codesign.store import RunStore

HERE = Path(__file__).parent
DASK = [sys.executable, "-m", "dask"]


def slow(workload: Any, config: Any) -> Any:
    """A tuner that leaves time to kill its worker."""
    time.sleep(0.03)
    pixels = workload.height * workload.width
    cycles = 10 * pixels + workload.macs // config.pes
    return SimpleNamespace(schedule={"dataflow": "os"}, cycles=cycles, counters={})


def deadly(workload: Any, config: Any) -> Any:
    """A tuner that ends its process as a want of memory does."""
    os.kill(os.getpid(), signal.SIGKILL)


def started(command: list[str]) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": str(HERE), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Address of a scheduler, and its three workers."""
    file = tmp_path_factory.mktemp("dask") / "scheduler.json"
    with ExitStack() as stack:

        def run(*arguments: str) -> subprocess.Popen[bytes]:
            process = started([*DASK, *arguments])
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        run("scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
        quiet = ["--no-nanny", "--no-dashboard", "--nthreads", "1"]
        workers = [
            run("worker", "--scheduler-file", str(file), *quiet, "--name", str(number))
            for number in range(3)
        ]
        while not file.exists():
            time.sleep(0.1)
        from distributed import Client

        with Client(scheduler_file=str(file), set_as_default=False) as client:
            client.wait_for_workers(3, timeout=60)
            address = client.scheduler.address
        yield address, workers


@pytest.mark.usefixtures("tiny_space")
def test_a_killed_worker_loses_nothing(
    tmp_path: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codesign.search.evaluator.energy_mj", lambda *_: 1.0)
    address, workers = cluster
    problem = tiny.problem(strategy="random", budget=40)
    killed: list[int] = []

    def kill(what: str, done: int, total: int) -> None:
        if done >= 16 and not killed:
            killed.append(done)
            threading.Timer(0.05, workers[0].kill).start()

    options: dict[str, Any] = {"tuner": slow, "prover": prover}
    far = search(problem, store=tmp_path / "far.db", cluster=address, progress=kill, **options)
    assert killed and workers[0].wait(10) == -signal.SIGKILL
    near = search(problem, store=tmp_path / "near.db", **options)
    assert far.result == near.result
    stores = [RunStore.open(tmp_path / name, readonly=True) for name in ("far.db", "near.db")]
    evaluations = [store.evaluations(far.run) for store in stores]
    assert evaluations[0] == evaluations[1] and len(evaluations[0]) == 40
    assert len({(row.network, row.config) for row in evaluations[0]}) == 40
    for store in stores:
        store.close()


def test_another_simulator_on_a_worker_is_refused(
    cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "simulator_version", lambda: "another")
    pool = Cluster(cluster[0])
    with pytest.raises(WorkerError, match="install the same codesign on every machine"):
        list(pool.map(divmod, [(7, 2), (8, 3)]))
    pool.close()


def test_no_scheduler_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pools, "_CONNECT_SECONDS", 0.5)
    with pytest.raises(ConfigError, match=r"answers at 'tcp://127\.0\.0\.1:9'"):
        Cluster("tcp://127.0.0.1:9")
    with pytest.raises(ConfigError, match=r"answers at 'nonsense:'"):
        Cluster("nonsense:")
    problem = tmp_path / "p.toml"
    problem.write_text(
        '[network]\nspace = "nasbench201"\n[hardware]\nconfigs = ["pynq"]\n[search]\nbudget = 1\n'
    )
    both = ["search", str(problem), "--workers", "2", "--cluster", "tcp://127.0.0.1:9"]
    with pytest.raises(SystemExit, match="2"):
        main(both)
    assert "not allowed with" in capsys.readouterr().err


def test_a_killed_local_process_is_one_clear_line() -> None:
    pool = LocalProcesses(2)
    with pytest.raises(WorkerError, match="with fewer workers"):
        list(pool.map(deadly, [(1, 2), (3, 4)]))
    pool.close()
