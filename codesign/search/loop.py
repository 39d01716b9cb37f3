"""The outer loop: propose, evaluate, store, prove, certify. Killed and restarted, it ends alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from codesign.errors import ConfigError
from codesign.hw.space import load_space
from codesign.nn import AccuracySource
from codesign.search.accounting import STALL
from codesign.search.accuracy import accuracy_source
from codesign.search.certificate import certify, describe
from codesign.search.evaluation import Evaluation, Pair, Proposal
from codesign.search.evaluator import Evaluator, Spent
from codesign.search.fronts import Fronts, fronts
from codesign.search.networks import Progress
from codesign.search.pairs import Floats, Pairs, load_configs, load_pairs
from codesign.search.pools import make_pool
from codesign.search.problem import HardwareChoice, Problem
from codesign.search.ranking import pareto, rank
from codesign.search.scores import UnitPredictor, load_predictor
from codesign.search.simulate import Tuner, UnitSimulator, best
from codesign.search.strategies import BATCH, Setting, check_strategy, make_strategy
from codesign.search.view import View
from codesign.search.winner import (
    ONNX,
    PACKAGE,
    Prover,
    file_hash,
    layer_rows,
    prove,
    tested,
    write_certificate,
)
from codesign.store import RunStore, content_key, estimates_version, simulator_version
from codesign.store.content import config_text

LAYOUT = 3
"""Of a stored result; one of another layout is made again."""
_LISTED = 100_000
"""Configurations of a space that is searched whole."""


@dataclass(frozen=True)
class Standing:
    """Where a search stands: what it spent of its budget, the best pair that keeps the limits
    (None so far), and the number of pairs on the front."""

    spent: Spent
    budget: int
    best: Evaluation | None
    front: int


@dataclass(frozen=True)
class Study:
    """A finished search.

    ``best`` is the winner (None: no evaluated pair keeps the constraints; ``nearest`` then is
    the one that breaks them least), ``front`` the Pareto front of the simulated pairs,
    ``folder`` holds winner.onnx, winner.tar and certificate.json.
    """

    run: str
    store: Path
    folder: Path
    result: Mapping[str, Any]

    @property
    def best(self) -> Mapping[str, Any] | None:
        return self.result["best"]

    @property
    def nearest(self) -> Mapping[str, Any] | None:
        return self.result["nearest"]

    @property
    def front(self) -> list[Mapping[str, Any]]:
        return self.result["front"]

    @property
    def notices(self) -> list[str]:
        """What the strategy warns of."""
        return self.result.get("notices", [])

    @property
    def certificate(self) -> Mapping[str, Any]:
        return self.result["certificate"]


def search(
    problem: Problem | str | Path,
    strategy: str | None = None,
    store: str | Path = "run.db",
    budget: int | None = None,
    workers: int = 1,
    seed: int | None = None,
    progress: Progress | None = None,
    *,
    accuracy: AccuracySource | None = None,
    exact_regret: bool | None = None,
    cluster: str | None = None,
    tuner: Tuner = best,
    prover: Prover = prove,
    watch: Callable[[Standing], None] | None = None,
) -> Study:
    """Search a problem; run again with the same arguments, it resumes or returns what it found.

    Parameters
    ----------
    problem : a `Problem`, or the path of a problem file
    strategy, budget, seed, exact_regret : override the problem's; ``budget`` is the
        price of all evaluations, 1 for each pair at T2
    store : SQLite file of evaluations; the winner's files go into a folder beside it
    workers : processes that simulate; the result does not depend on it
    progress : called with (what, done, in all)
    accuracy : a source in place of the problem's
    cluster : address of a Dask scheduler whose workers simulate in place of local processes
    tuner : what answers "how many cycles has this unit on this configuration"
    prover : what compiles and runs the winner
    watch : called with every round's standing

    Raises
    ------
    ConfigError, ModelError, DataError
        The problem is malformed.
    StoreError
        The store is locked, foreign, corrupt or full.
    WorkerError
        Processes that simulate were killed or are out of reach; run again to resume.
    """
    asked = problem if isinstance(problem, Problem) else Problem.load(problem)
    given = {"strategy": strategy, "budget": budget, "seed": seed, "exact_regret": exact_regret}
    asked = replace(asked, **{key: value for key, value in given.items() if value is not None})
    check_strategy(asked.strategy)
    check_listable(asked.hardware)
    predictor = load_predictor(asked.cost_model)
    source = accuracy
    if source is None:
        first = load_configs(asked.hardware)[0][0]
        source = accuracy_source(asked.network, asked.accuracy, first)
    with (
        RunStore.open(store) as runs,
        UnitSimulator(runs.traces, make_pool(workers, cluster), tuner) as simulator,
    ):
        pairs = load_pairs(asked, source, progress)
        hashes = _hashes(asked, pairs, predictor)
        run = content_key(
            [
                LAYOUT,
                hashes,
                asked.strategy,
                dict(asked.options),
                asked.budget,
                asked.seed,
                asked.exact_regret,
            ]
        )
        folder = winner_folder(runs.path, run)
        stored = next((row.result for row in runs.runs() if row.key == run), None)
        if stored is not None and _intact(stored, folder):
            return Study(run, runs.path, folder, stored)
        runs.add_run(run, _plain(asked), {"version": version("codesign"), "batch": BATCH})
        evaluator = Evaluator(asked, pairs, predictor, simulator)
        notices, reasons = _explore(evaluator, runs, run, progress, watch)
        truth = _truth(evaluator, progress) if asked.exact_regret else None
        facts = {"seeds": {"search": asked.seed, "weights": asked.seed}, "hashes": hashes}
        result = _conclude(evaluator, source, truth, reasons, facts, folder, prover, progress)
        result["notices"] = list(notices)
        runs.add_result(run, result)
    return Study(run, Path(store), folder, result)


def check_listable(choice: HardwareChoice) -> None:
    """ConfigError for a hardware space with more configurations than a search can list."""
    if choice.space is None or choice.samples is not None:
        return
    space = load_space(choice.space)
    if space.product_size > _LISTED and (count := space.count()) > _LISTED:
        raise ConfigError(
            f"[hardware] space {choice.space!r} has {count:,} configurations, too many to list "
            f"(at most {_LISTED:,}); give samples = N"
        )


def winner_folder(store: str | Path, run: str) -> Path:
    """Where the winner's files lie: beside the store."""
    path = Path(store)
    return path.with_name(f"{path.stem}-{run[:8]}")


def _explore(
    evaluator: Evaluator,
    runs: RunStore,
    run: str,
    progress: Progress | None,
    watch: Callable[[Standing], None] | None,
) -> tuple[Sequence[str], Mapping[Pair, str]]:
    """Spend the budget; what the strategy has to say at the end, and its reasons by pair."""
    problem = evaluator.problem
    rng = np.random.default_rng(problem.seed)
    setting = Setting(View(problem, evaluator.pairs), problem.budget, rng, problem.options)
    strategy = make_strategy(problem.strategy, setting, evaluator)
    some = evaluator.pairs.connected  # networks that the accelerator computes anything of
    stored = idle = 0
    while some.any() and (spent := evaluator.spent().price) < problem.budget and idle < STALL:
        proposals = list(strategy.ask(problem.budget - spent))
        if not proposals:
            break
        if progress is not None:
            progress("pairs at T2", int(spent), problem.budget)
        fresh = evaluator.admit(proposals, problem.budget - spent)
        evaluations = evaluator.evaluate(proposals)
        bought = [e for e, new in zip(evaluations, fresh, strict=True) if new]
        rows = [e.row(stored + i) for i, e in enumerate(bought)]
        runs.add_evaluations(run, rows)
        strategy.tell(evaluations)
        stored += len(bought)
        idle = 0 if bought else idle + 1
        if watch is not None:
            watch(_standing(evaluator))
    if not stored:
        # No pair was worth proposing: what a first one violates says why.
        (first,) = evaluator.evaluate([Proposal(Pair(int(some.argmax()), 0))])
        runs.add_evaluations(run, [first.row(0)])
    if progress is not None:
        progress("pairs at T2", evaluator.spent().t2, evaluator.spent().t2)
    return getattr(strategy, "notices", ()), getattr(strategy, "why", {})


def _standing(evaluator: Evaluator) -> Standing:
    problem = evaluator.problem
    ranked = rank(evaluator.evaluations(), problem.objectives)
    winner = ranked[0] if ranked and ranked[0].feasible else None
    front = len(pareto(ranked, problem.objectives))
    return Standing(evaluator.spent(), problem.budget, winner, front)


def _truth(evaluator: Evaluator, progress: Progress | None) -> Floats:
    """T2 cycles float64 [N, C] of all pairs, by simulating every unique unit everywhere."""
    from codesign.costmodel import on_config

    pairs = evaluator.pairs
    units = [(on_config(unit, c), c) for unit in pairs.units for c in pairs.configs]
    report = None if progress is None else _named(progress, "units for the exact optimum")
    rows = evaluator.simulator.rows(units, report)
    cycles = [rows[unit].cycles for unit in units]
    table: Floats = np.array([np.nan if c is None else float(c) for c in cycles], np.float64)
    return pairs.total(np.reshape(table, (len(pairs.units), len(pairs.configs))))


def _conclude(
    evaluator: Evaluator,
    source: AccuracySource,
    truth: Floats | None,
    reasons: Mapping[Pair, str],
    facts: Mapping[str, Any],
    folder: Path,
    prover: Prover,
    progress: Progress | None,
) -> dict[str, Any]:
    problem = evaluator.problem
    ranked = rank(evaluator.evaluations(), problem.objectives)
    winner = ranked[0] if ranked and ranked[0].feasible else None
    proof = None
    if winner is not None:
        if progress is not None:
            progress("compiling and running the winner", 0, 1)
        proof = prover(evaluator, winner, source, folder, problem.seed)
        if progress is not None:
            progress("compiling and running the winner", 1, 1)
    unseen = None if winner is None else tested(source, winner)
    certificate = certify(evaluator, winner, proof, unseen, truth, facts)
    drawn: Fronts = fronts(evaluator, truth)
    result = {
        "layout": LAYOUT,
        "best": None if winner is None else describe(evaluator, winner, reasons),
        "nearest": describe(evaluator, ranked[0], reasons) if ranked else None,
        "front": [describe(evaluator, e, reasons) for e in pareto(ranked, problem.objectives)],
        "certificate": certificate,
        "layers": [] if winner is None else layer_rows(evaluator, winner),
        "config": None
        if winner is None
        else asdict(evaluator.pairs.configs[winner.pair.config])
        | {"pes": evaluator.pairs.configs[winner.pair.config].pes},
        "space": {"networks": evaluator.pairs.shape[0], "configs": evaluator.pairs.shape[1]},
        "fronts": asdict(drawn),
        "model": dict(getattr(getattr(evaluator.predictor, "model", None), "manifest", {})),
    }
    if winner is not None:
        write_certificate(folder, certificate)
    return result


def _hashes(problem: Problem, pairs: Pairs, predictor: UnitPredictor) -> dict[str, str]:
    """Content hashes of everything that decides the result."""
    question = _plain(problem) | {"network": None, "hardware": None, "cost_model": None}
    for elsewhere in ("strategy", "options", "budget", "seed", "exact_regret", "name"):
        del question[elsewhere]
    accuracies = [float(value) for value in pairs.accuracy]
    short = None if pairs.short_accuracy is None else [float(v) for v in pairs.short_accuracy]
    return {
        "problem": content_key(question),
        "networks": content_key([pairs.networks.identity(), list(pairs.networks.names)]),
        "configs": content_key([[config.name, config_text(config)] for config in pairs.configs]),
        "accuracy": content_key([asdict(pairs.accuracy_kind), accuracies, short]),
        "predictor": content_key(predictor.identity()),
        "levels": content_key([simulator_version(), estimates_version()]),
    }


def _plain(problem: Problem) -> dict[str, Any]:
    return asdict(problem)


def _intact(result: Mapping[str, Any], folder: Path) -> bool:
    """Whether the winner's files are still there as the certificate has them."""
    proof = result["certificate"]["proof"]
    if proof is None:
        return True
    files = {folder / ONNX: proof["onnx_sha256"], folder / PACKAGE: proof["package_sha256"]}
    return all(path.is_file() and file_hash(path) == known for path, known in files.items())


def _named(progress: Progress, what: str) -> Callable[[int, int], None]:
    def report(done: int, total: int) -> None:
        progress(what, done, total)

    return report
