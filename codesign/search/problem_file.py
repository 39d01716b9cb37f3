"""Problem files: TOML → `Problem`, every error at once with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import tomli
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from codesign.errors import ConfigError
from codesign.search.problem import (
    DEFAULT_OBJECTIVES,
    AccuracyChoice,
    AccuracyName,
    Constraint,
    HardwareChoice,
    NetworkChoice,
    Objective,
    Problem,
)


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Network(_Table):
    space: str | None = None
    dataset: str | None = None
    onnx: list[str] = Field(default_factory=list[str])
    calibration: str | None = None
    resolution: int | None = None
    samples: int | None = None


class _Hardware(_Table):
    space: str | None = None
    configs: list[str] = Field(default_factory=list[str])
    samples: int | None = None


class _Accuracy(_Table):
    source: AccuracyName = "table"
    dataset: str | None = None
    split: str | None = None
    values: list[float | int] = Field(default_factory=list[float | int])
    path: str | None = None
    seeds: list[int] = Field(default_factory=lambda: [0])
    epochs: int = 10
    function: str | None = None
    store: str | None = None
    checkpoint: str | None = None


class _Search(_Table):
    strategy: str = "exhaustive"
    budget: int = 50
    seed: int = 0
    cost_model: str | None = None
    exact_regret: bool = False
    options: dict[str, Any] = Field(default_factory=dict[str, Any])


class _Document(_Table):
    name: str = "search"
    network: _Network
    hardware: _Hardware
    accuracy: _Accuracy = _Accuracy()
    objectives: dict[str, Literal["max", "min"]] = Field(
        default_factory=dict[str, Literal["max", "min"]]
    )
    constraints: dict[str, float | int] = Field(default_factory=dict[str, float | int])
    search: _Search = _Search()


def read_problem(path: Path) -> Problem:
    """Read and check a problem file; ConfigError names the file and every wrong entry."""
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; give the path of a problem file (TOML)")
    try:
        document = tomli.loads(path.read_text(encoding="utf-8"))
    except (tomli.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    return parse_problem(document, path.parent, str(path))


def parse_problem(document: dict[str, Any], folder: Path, where: str) -> Problem:
    """Check a parsed document; relative paths in it start at ``folder``."""
    try:
        parsed = _Document.model_validate(document)
    except ValidationError as error:
        lines = [
            f"  [{'.'.join(map(str, item['loc']))}] {item['msg']}, got {item['input']!r}"
            for item in error.errors()
        ]
        raise ConfigError(f"{where}: {len(lines)} wrong entries:\n" + "\n".join(lines)) from error
    network, hardware = parsed.network, parsed.hardware
    goals = parsed.objectives.items()
    limits = sorted(parsed.constraints.items())
    try:
        return Problem(
            NetworkChoice(
                network.space,
                network.dataset,
                tuple(_resolve(file, folder) for file in network.onnx),
                _resolved(network.calibration, folder),
                network.resolution,
                network.samples,
            ),
            HardwareChoice(
                None if hardware.space is None else _file_or_name(hardware.space, folder),
                tuple(_file_or_name(config, folder) for config in hardware.configs),
                hardware.samples,
            ),
            AccuracyChoice(
                parsed.accuracy.source,
                parsed.accuracy.dataset,
                parsed.accuracy.split,
                tuple(float(value) for value in parsed.accuracy.values),
                _resolved(parsed.accuracy.path, folder),
                tuple(parsed.accuracy.seeds),
                parsed.accuracy.epochs,
                parsed.accuracy.function,
                _resolved(parsed.accuracy.store, folder),
                _resolved(parsed.accuracy.checkpoint, folder),
            ),
            tuple(Objective(metric, goal) for metric, goal in goals) or DEFAULT_OBJECTIVES,
            tuple(Constraint(metric, float(limit)) for metric, limit in limits),
            parsed.search.strategy,
            parsed.search.budget,
            parsed.search.seed,
            _resolved(parsed.search.cost_model, folder),
            parsed.search.exact_regret,
            parsed.search.options,
            parsed.name,
        )
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _resolve(file: str, folder: Path) -> str:
    return str(folder / file)


def _resolved(file: str | None, folder: Path) -> str | None:
    return None if file is None else _resolve(file, folder)


def _file_or_name(text: str, folder: Path) -> str:
    return str(folder / text) if text.endswith(".json") else text
