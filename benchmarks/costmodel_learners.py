"""T1 and its rivals fitted on rows of the traces, many at once in processes of their own."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from claims import STDERR
from numpy.typing import NDArray
from rich.progress import Progress

from codesign.costmodel.design import Design
from codesign.costmodel.heads import Prediction, predict_pairs
from codesign.costmodel.rivals import RIVALS
from codesign.costmodel.training import fit_heads
from codesign.store import worker_pool

T1 = "XGBoost on the residual (T1)"


@dataclass(frozen=True, eq=False)
class Job:
    """A learner, T1 or a rival's name, is tuned and fitted on ``train`` and predicts ``test``."""

    learner: str
    train: NDArray[np.intp]
    test: NDArray[np.intp]
    seed: int


@contextmanager
def processes(count: int) -> Generator[Executor]:
    """Workers with one thread each: learners give the same numbers, and do not share cores."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    pool = worker_pool(count)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def fit_all(
    design: Design, jobs: Sequence[Job], pool: Executor, title: str
) -> Iterator[Prediction]:
    """The predictions of every job, in order; a rival's hold cycles alone, the rest nan."""
    with Progress(console=STDERR, transient=True) as bar:
        task = bar.add_task(title, total=len(jobs))
        for made in pool.map(_run, [design] * len(jobs), jobs):
            bar.advance(task)
            yield made


def _run(design: Design, job: Job) -> Prediction:
    if job.learner == T1:
        heads, _ = fit_heads(design, job.train, job.seed)
        return predict_pairs(heads, design.pairs(job.test))
    rival = next(rival for rival in RIVALS if rival.name == job.learner)
    cycles = np.exp(rival.fit(design, job.train, job.seed, rival.settings)(job.test))
    nothing = np.full(cycles.shape, np.nan)
    return Prediction(cycles, nothing, nothing, nothing, nothing)
