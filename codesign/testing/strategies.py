"""What every search strategy must do, checked on a small problem with made-up truth.

::

    for check in CHECKS:
        check(MyStrategy)          # or a registered name

Each check raises `AssertionError` that says what was broken.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.errors import Infeasible
from codesign.hw.space import load_space
from codesign.kernels.workload import ConvWorkload, Workload
from codesign.nn import AccuracyKind, Layers
from codesign.search.decisions import Decisions, of_space
from codesign.search.evaluation import Evaluation
from codesign.search.networks import Progress
from codesign.search.pairs import Pairs
from codesign.search.problem import Constraint, HardwareChoice, NetworkChoice, Problem
from codesign.search.replay import Replay, replay
from codesign.search.scores import closed_form_tables
from codesign.search.strategies import Setting, Strategy
from codesign.search.truth import JointTruth, UnitFigures
from codesign.store.content import canonical_json

Made = str | Callable[[Setting], Strategy]
"""A registered name, or what makes the strategy."""

BUDGET = 40.0
_WIDTHS = (8, 16, 32)
_KERNELS = (1, 3, 5)
_SHORT_PRICE = 0.06
_LIMITS = (Constraint("latency_ms", 1.0), Constraint("sram_kib", 512.0))


@dataclass(frozen=True)
class _ToyNetworks:
    """Networks that exist as names and decisions alone."""

    names: Sequence[str]
    made: Decisions
    weights: str = "none"

    @property
    def without_units(self) -> Infeasible:
        return Infeasible("disconnected", "made up so")

    def identity(self) -> Any:
        return {"toy": len(self.names)}

    def layers(self, progress: Progress | None = None) -> list[Layers]:
        raise NotImplementedError("made-up networks are counted by hand")

    def decisions(self) -> Decisions:
        return self.made

    def export(self, index: int, path: Path, seed: int) -> None:
        raise NotImplementedError("made-up networks have no ONNX file")

    def calibration(self, index: int, seed: int) -> Mapping[str, NDArray[Any]] | None:
        return None


def _unit(width: int, kernel: int) -> Workload:
    pad = kernel // 2
    return ConvWorkload(width, width, 32, 32, (kernel, kernel), padding=(pad, pad, pad, pad))


def toy_problem(constraints: Sequence[Constraint] = _LIMITS) -> Problem:
    """729 made-up networks x 48 configurations of `neuhardco`."""
    network, hardware = NetworkChoice("nasbench201"), HardwareChoice("neuhardco")
    return Problem(network, hardware, constraints=tuple(constraints), name="toy")


@cache
def toy_truth(short: bool = True, networks: int = 729, configs: int = 48) -> JointTruth:
    """Networks of three convolutions, each with a width and a kernel; the first is disconnected,
    and one unit has no schedule on some configurations. Accuracies rise with width and kernel,
    cycles lie near the closed form. ``short``: whether a short schedule is on offer."""
    space = load_space("neuhardco")
    hardware = tuple(space.configs())[::4][:configs]
    rows = np.array(list(product(range(3), repeat=6)), np.int64)[:networks]
    units = tuple(_unit(width, kernel) for width in _WIDTHS for kernel in _KERNELS)
    counts = np.zeros((len(rows), len(units)), np.int64)
    for layer in range(3):
        np.add.at(
            counts, (np.arange(len(rows)), 3 * rows[:, 2 * layer] + rows[:, 2 * layer + 1]), 1
        )
    counts[0] = 0
    rng = np.random.default_rng(0)
    accuracy = 60 + 2.0 * rows.sum(axis=1) + 3.0 * (rows[:, 1] == rows[:, 3])
    accuracy = accuracy + rng.normal(0, 0.5, len(rows))
    names = tuple(f"{what} {layer}" for layer in range(3) for what in ("width", "kernel"))
    pairs = Pairs(
        _ToyNetworks(["".join(map(str, row)) for row in rows], Decisions(names, (3,) * 6, rows)),
        hardware,
        units,
        counts,
        accuracy,
        AccuracyKind("made up", "toy", "", "", "codesign.testing"),
        of_space(space, hardware),
        accuracy - 10 + rng.normal(0, 1, len(rows)) if short else None,
        _SHORT_PRICE if short else None,
    )
    cycles, _ = closed_form_tables(units, hardware)
    cycles = np.rint(cycles * rng.uniform(1.0, 1.2, cycles.shape))
    cycles[-1, ::7] = np.nan
    return JointTruth(pairs, UnitFigures(cycles, 1e-6 * cycles))


def _run(
    made: Made,
    seed: int = 0,
    budget: float = BUDGET,
    truth: JointTruth | None = None,
    constraints: Sequence[Constraint] = _LIMITS,
    options: Mapping[str, Any] | None = None,
) -> Replay:
    return replay(toy_problem(constraints), truth or toy_truth(), made, seed, budget, options)


def check_budget(made: Made, options: Mapping[str, Any] | None = None) -> None:
    """No round costs more than is left (the replay refuses it), and something is bought in full,
    with and without a short schedule on offer; a budget of one evaluation is fine."""
    for short, budget in product((True, False), (BUDGET, 1.0)):
        found = _run(made, budget=budget, truth=toy_truth(short), options=options)
        spent = float(found.spent[-1]) if len(found.spent) else 0.0
        assert spent <= budget + 1e-9, f"spent {spent} of {budget}"
        if budget > 1:
            assert found.full(), "nothing was bought in full"


def check_reproducible(made: Made, options: Mapping[str, Any] | None = None) -> None:
    """The same seed gives the same bytes, whatever other random state there is; another seed is
    allowed to differ."""
    first = _record(_run(made, options=options))
    np.random.seed(12345)
    assert _record(_run(made, options=options)) == first, "two runs of one seed differ"


def check_resumable(made: Made, options: Mapping[str, Any] | None = None) -> None:
    """Told its own stored record, a new instance asks for the same pairs in the same order."""
    whole = _run(made, options=options)
    rows = [json.loads(canonical_json(e.row(i))) for i, e in enumerate(whole.evaluations)]
    stored = [
        replace(e, figures=row["body"]["figures"])
        for e, row in zip(whole.evaluations, rows, strict=True)
    ]
    truth = _known_only(toy_truth(), stored, np.random.default_rng(1))
    assert _record(_run(made, truth=truth, options=options)) == _record(whole)


def check_infeasible(made: Made, options: Mapping[str, Any] | None = None) -> None:
    """Where no pair keeps the limits, the search ends within its budget, all evaluations are
    infeasible, and they rank by violation."""
    limits = (Constraint("latency_ms", 1e-6),)
    found = _run(made, constraints=limits, options=options)
    assert found.evaluations, "nothing was proposed"
    assert found.winner() is None, "an infeasible pair won"
    assert all(e.violations for e in found.full()), "an infeasible pair without a violation"


def check_small_space(made: Made, options: Mapping[str, Any] | None = None) -> None:
    """A budget that is larger than the space ends the search, and nothing is paid for twice."""
    truth = toy_truth(networks=6, configs=4)
    found = _run(made, budget=100.0, truth=truth, options=options)
    bought = [(e.pair, e.fidelity) for e in found.evaluations]
    assert len(set(bought)) == len(bought)
    assert len(found.full()) <= 24


def check_nothing_free(made: Made, options: Mapping[str, Any] | None = None) -> None:
    """No figure that was not paid for matters: with every other accuracy and T2 figure replaced,
    the strategy proposes the same. A network's accuracy was paid for with any of its pairs."""
    found = _run(made, options=options)
    for seed in (2, 3):
        other = _known_only(toy_truth(), found.evaluations, np.random.default_rng(seed))
        again = _run(made, truth=other, options=options)
        assert _record(again) == _record(found), "a figure that was not paid for has an influence"


CHECKS = (
    check_budget,
    check_reproducible,
    check_resumable,
    check_infeasible,
    check_small_space,
    check_nothing_free,
)


def _record(found: Replay) -> str:
    return canonical_json([e.row(place) for place, e in enumerate(found.evaluations)])


def _known_only(
    truth: JointTruth, bought: Sequence[Evaluation], rng: np.random.Generator
) -> JointTruth:
    """The truth with random figures in place of all that was not bought."""
    pairs = truth.pairs
    accuracy = rng.uniform(1, 99, pairs.shape[0])
    short = rng.uniform(1, 99, pairs.shape[0])
    cycles = rng.uniform(1e3, 1e6, pairs.shape)
    energy = 1e-6 * cycles
    for e in bought:
        network, config = e.pair.network, e.pair.config
        (short if e.fidelity == "short" else accuracy)[network] = e.figures["accuracy"]
        if e.fidelity == "full":
            cycles[network, config] = e.figures.get("cycles", np.nan)
            energy[network, config] = e.figures.get("energy_mj", np.nan)
    found = JointTruth(replace(pairs, accuracy=accuracy, short_accuracy=short), truth.units)
    # Cached properties of a frozen instance: set before they are computed.
    found.__dict__.update(cycles=cycles, energy_mj=energy)
    return found
