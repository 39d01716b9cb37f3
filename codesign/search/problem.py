"""`Problem`: what is searched, for what, under which limits. A frozen value with a content key."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from codesign.errors import ConfigError

Goal = Literal["max", "min"]
AccuracyName = Literal["table", "given", "train", "supernet", "evaluate", "callable", "predicted"]
HARDWARE_METRICS = ("sram_kib", "dsp", "bram36", "lut", "ff")
"""Figures of a configuration alone: memory, exact, and estimated FPGA resources."""

METRICS = ("accuracy", "latency_ms", "cycles", "energy_mj", *HARDWARE_METRICS)
"""Figures of an evaluated pair that objectives and constraints may name."""


def _check_seed(name: str, seed: int) -> None:
    if not 0 <= seed < 1 << 31:
        raise ConfigError(f"{name}: {seed} given; a number from 0 to {(1 << 31) - 1} is allowed")


def _check_paths(name: str, *paths: str | None) -> None:
    for path in paths:
        if path is not None and "\0" in path:
            raise ConfigError(f"{name}: {path!r}: no path has a NUL character; leave it out")


@dataclass(frozen=True)
class NetworkChoice:
    """A network space by name, or candidate ONNX files (float ones with ``calibration``).

    ``dataset`` and ``resolution`` (pixels) are the space's own where not given; ``samples``
    limits the candidates to as many random networks.
    """

    space: str | None = None
    dataset: str | None = None
    onnx: tuple[str, ...] = ()
    calibration: str | None = None
    resolution: int | None = None
    samples: int | None = None

    def __post_init__(self) -> None:
        if (self.space is None) == (not self.onnx):
            raise ConfigError('[network]: give either space = "NAME" or onnx = ["FILE", ...]')
        if self.samples is not None and self.samples < 1:
            raise ConfigError(f"[network] samples = {self.samples}: must be at least 1")
        _check_paths("[network] onnx", *self.onnx)
        _check_paths("[network] calibration", self.calibration)


@dataclass(frozen=True)
class HardwareChoice:
    """A configuration space by name or path, or configurations by name or path.

    ``samples`` limits a space to as many random configurations, drawn with seed 0.
    """

    space: str | None = None
    configs: tuple[str, ...] = ()
    samples: int | None = None

    def __post_init__(self) -> None:
        if (self.space is None) == (not self.configs):
            raise ConfigError('[hardware]: give either space = "NAME" or configs = ["NAME", ...]')
        if self.samples is not None and (self.samples < 1 or self.space is None):
            raise ConfigError(
                f"[hardware] samples = {self.samples}: at least 1, and only beside space"
            )
        _check_paths("[hardware] space", self.space)
        _check_paths("[hardware] configs", *self.configs)


@dataclass(frozen=True)
class AccuracyChoice:
    """Where accuracies come from.

    ``table`` (trained accuracies of the space), ``given`` (percent, one per ONNX file), ``train``
    (each network of the space for ``epochs``, once for each of ``seeds``), ``supernet`` (weights
    shared by the space, trained for ``epochs``), ``evaluate`` (ONNX files, compiled for the first
    configuration, on a data set or on the labelled .npz at ``path``), ``callable`` (``function``,
    as "module:name", of a network's text) or ``predicted`` (figures of an accuracy predictor, in
    the file ``path``).
    ``dataset`` is the network's and ``split`` the table's first where not given; ``path`` is where
    a data set's files lie, ``store`` keeps what was measured, ``checkpoint`` a supernet's weights.
    """

    source: AccuracyName = "table"
    dataset: str | None = None
    split: str | None = None
    values: tuple[float, ...] = ()
    path: str | None = None
    seeds: tuple[int, ...] = (0,)
    epochs: int = 10
    function: str | None = None
    store: str | None = None
    checkpoint: str | None = None

    def __post_init__(self) -> None:
        if self.checkpoint is not None and self.source != "supernet":
            raise ConfigError(
                f'[accuracy] checkpoint: source = "{self.source}" trains no supernet; '
                '"store" keeps what was measured'
            )
        if self.store is not None and self.source not in ("train", "evaluate"):
            raise ConfigError(
                f'[accuracy] store: source = "{self.source}" keeps no measurements; '
                '"checkpoint" keeps a supernet'
            )
        if self.path is not None and self.source in ("table", "given", "callable"):
            raise ConfigError(
                f'[accuracy] path = "{self.path}": source = "{self.source}" reads no file; '
                "leave it out"
            )
        if self.split is not None and self.source != "table":
            raise ConfigError(
                f'[accuracy] split = "{self.split}": source = "{self.source}" has no splits; leave '
                "it out"
            )
        if len({*self.seeds}) < len(self.seeds):
            raise ConfigError(f"[accuracy] seeds = {list(self.seeds)}: each may stand there once")
        if self.source == "supernet" and len(self.seeds) > 1:
            raise ConfigError(
                f"[accuracy] seeds = {list(self.seeds)}: one supernet is trained; give one seed"
            )
        if self.epochs < 1 or not self.seeds:
            raise ConfigError(
                f"[accuracy] epochs = {self.epochs}, seeds = {list(self.seeds)}: at least one of "
                "each is needed"
            )
        for seed in self.seeds:
            _check_seed("[accuracy] seeds", seed)
        for name in ("path", "store", "checkpoint"):
            _check_paths(f"[accuracy] {name}", getattr(self, name))


@dataclass(frozen=True)
class Objective:
    """One figure and whether more or less of it is better: of accuracy more, of costs less."""

    metric: str
    goal: Goal

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise ConfigError(
                f"[objectives]: unknown figure {self.metric!r}; allowed: {', '.join(METRICS)}"
            )
        allowed = "max" if self.metric == "accuracy" else "min"
        if self.goal != allowed:
            raise ConfigError(
                f'[objectives] {self.metric} = "{self.goal}": only "{allowed}" is allowed, as '
                f"{'more accuracy' if allowed == 'max' else 'less of a cost'} is better"
            )


@dataclass(frozen=True)
class Constraint:
    """An upper limit (a lower one for accuracy) on one figure."""

    metric: str
    limit: float

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise ConfigError(
                f"[constraints]: unknown figure {self.metric!r}; allowed: {', '.join(METRICS)}"
            )
        if not 0 < self.limit < math.inf:
            raise ConfigError(
                f"[constraints] {self.metric} = {self.limit}: must be above 0, and finite"
            )

    def violation(self, value: float) -> float:
        """Relative excess over the limit, 0 where the limit is kept."""
        excess = self.limit - value if self.metric == "accuracy" else value - self.limit
        return max(0.0, excess / self.limit)


DEFAULT_OBJECTIVES = (Objective("accuracy", "max"), Objective("latency_ms", "min"))


@dataclass(frozen=True)
class Problem:
    """A co-design question.

    ``objectives`` rank pairs in their order, a later one decides only between equals; the
    Pareto front is over all of them. ``cost_model`` is the path of a trained model (T1) that
    scores pairs before any is simulated; without one the lower bound (T0) does.
    ``budget`` is the price of all evaluations together: 1 each, less at a cheaper fidelity.
    ``options`` are the strategy's own, as [search.options] of the file has them.
    ``exact_regret`` simulates every unique unit on every configuration after the search, so
    that the certificate holds the exact regret.
    """

    network: NetworkChoice
    hardware: HardwareChoice
    accuracy: AccuracyChoice = AccuracyChoice()
    objectives: tuple[Objective, ...] = DEFAULT_OBJECTIVES
    constraints: tuple[Constraint, ...] = ()
    strategy: str = "exhaustive"
    budget: int = 50
    seed: int = 0
    cost_model: str | None = None
    exact_regret: bool = False
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    name: str = field(default="search", compare=False)

    def __post_init__(self) -> None:
        if not self.objectives:
            raise ConfigError("[objectives]: at least one is needed")
        if self.budget < 1:
            raise ConfigError(f"[search] budget = {self.budget}: must be at least 1")
        _check_seed("[search] seed", self.seed)
        _check_paths("[search] cost_model", self.cost_model)
        metrics = [constraint.metric for constraint in self.constraints]
        asked = {*metrics, *(objective.metric for objective in self.objectives)}
        if self.exact_regret and "energy_mj" in asked:
            raise ConfigError(
                "[search] exact_regret = true: energy_mj is known for simulated pairs only; "
                "leave one of the two out"
            )
        if len(set(metrics)) < len(metrics):
            raise ConfigError("[constraints]: a figure is limited twice")
        for name, value in self.options.items():
            if not isinstance(value, (str, int, float)) or (
                isinstance(value, float) and not math.isfinite(value)
            ):
                raise ConfigError(
                    f"[search.options] {name} = {value!r}: a text, true, false or a finite number "
                    "is allowed"
                )

    @classmethod
    def load(cls, path: str | Path) -> Problem:
        """Read a problem file (TOML); paths in it are relative to the file."""
        from codesign.search.problem_file import read_problem

        return read_problem(Path(path))

    @classmethod
    def from_dict(cls, document: dict[str, Any], folder: str | Path = ".") -> Problem:
        """The problem of a parsed document; ConfigError lists everything that is wrong."""
        from codesign.search.problem_file import parse_problem

        return parse_problem(document, Path(folder), "problem")
