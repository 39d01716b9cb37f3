"""Reading space files: JSON document → checked `ConfigSpace`, all errors at once."""

from __future__ import annotations

import string
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from codesign.errors import ConfigError
from codesign.hw.config import VtaConfig
from codesign.hw.documents import looks_like_path, read_document, suggestion
from codesign.hw.feasibility import CORE_FIELDS, FIELD_NAMES, Rule
from codesign.hw.loader import parse_values, problem_text
from codesign.hw.space import Axis, Choice, ConfigSpace

_DERIVED = tuple(
    sorted(
        name
        for name, member in vars(VtaConfig).items()
        if isinstance(member, property | cached_property) and not name.startswith("_")
    )
)
QUANTITIES = (*FIELD_NAMES, *_DERIVED)
"""What a space's rule may bound: fields and derived quantities of `VtaConfig`."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _AxisModel(_Strict):
    name: str = Field(pattern="^[a-z][a-z0-9_]*$")
    key: str | None = None
    values: list[Any] | None = Field(default=None, min_length=1)
    choices: dict[str, dict[str, Any]] | None = Field(default=None, min_length=1)


class _RuleModel(_Strict):
    quantity: str
    min: float | None = None
    max: float | None = None
    equals: bool | int | float | str | None = None


class _SpaceModel(_Strict):
    description: str
    fixed: dict[str, Any] = {}
    axes: list[_AxisModel] = Field(min_length=1)
    rules: list[_RuleModel] = []
    names: str


def read_space(name_or_path: str | Path) -> ConfigSpace:
    """Read a shipped space by name, or a user's by path."""
    name, document = read_document(name_or_path, "spaces")
    where = str(name_or_path) if looks_like_path(name_or_path) else f"space {name}"
    try:
        model = _SpaceModel.model_validate(document)
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}, given {item['input']!r}"
            for item in error.errors(include_url=False)
        ]
        raise ConfigError(problem_text(where, problems)) from error
    problems: list[str] = []
    base = VtaConfig(**_values(model.fixed, "fixed", problems))
    axes = tuple(_axis(axis, problems) for axis in model.axes)
    rules = tuple(_rule(rule, index, problems) for index, rule in enumerate(model.rules))
    problems += _overlaps(axes) + _name_problems(model.names, axes)
    if problems:
        raise ConfigError(problem_text(where, problems))
    return ConfigSpace(name, model.description, base, axes, rules, model.names)


def _values(document: dict[str, Any], where: str, problems: list[str]) -> dict[str, Any]:
    values, found, _ = parse_values(document)
    problems += [f"{where}: {problem}" for problem in found]
    return values


def _axis(model: _AxisModel, problems: list[str]) -> Axis:
    where = f"axis {model.name}"
    listed = model.key is not None and model.values is not None and model.choices is None
    chosen = model.choices is not None and model.key is None and model.values is None
    if not listed and not chosen:
        problems.append(f"{where}: give either `key` and `values`, or `choices`")
        return Axis(model.name, ())
    documents = (
        {str(value): {str(model.key): value} for value in model.values or ()}
        if listed
        else model.choices or {}
    )
    if listed and len(documents) != len(model.values or ()):
        problems.append(f"{where}: a value is given twice in {model.values!r}")
    choices = tuple(
        Choice(label, _values(document, f"{where}, {label}", problems))
        for label, document in documents.items()
    )
    if len({frozenset(choice.values) for choice in choices}) > 1:
        problems.append(f"{where}: every choice must set the same keys")
    return Axis(model.name, choices)


def _rule(model: _RuleModel, index: int, problems: list[str]) -> Rule:
    name, low, high, equal = model.quantity, model.min, model.max, model.equals
    if name not in QUANTITIES:
        problems.append(
            f"rule {index}: unknown quantity {name!r}{suggestion(name, QUANTITIES)}; allowed: "
            f"{', '.join(QUANTITIES)}"
        )
    if low is None and high is None and equal is None:
        problems.append(f"rule {index} on {name}: give `min`, `max` or `equals`")

    def check(cfg: VtaConfig) -> str | None:
        value = getattr(cfg, name)
        if low is not None and value < low:
            return f"{name} is {value}; the space asks for at least {low:g}"
        if high is not None and value > high:
            return f"{name} is {value}; the space asks for at most {high:g}"
        if equal is not None and value != equal:
            return f"{name} is {value}; the space asks for {equal}"
        return None

    return Rule(f"space_{name}", _fields_of(name), check)


def _fields_of(quantity: str) -> frozenset[str]:
    if quantity in FIELD_NAMES:
        return frozenset({quantity})
    if quantity == "burst_bytes":
        return frozenset({"bus_bits", "max_burst_beats"})
    return CORE_FIELDS


def _overlaps(axes: tuple[Axis, ...]) -> list[str]:
    problems: list[str] = []
    owner: dict[str, str] = {}
    for axis in axes:
        for field in sorted(axis.fields):
            if field in owner:
                problems.append(
                    f"axis {axis.name}: {field.upper()} is already set by axis {owner[field]}"
                )
            owner.setdefault(field, axis.name)
    names = [axis.name for axis in axes]
    return problems + [f"axis {n}: given twice" for n in sorted(set(names)) if names.count(n) > 1]


def _name_problems(template: str, axes: tuple[Axis, ...]) -> list[str]:
    try:
        used = {field for _, field, _, _ in string.Formatter().parse(template) if field is not None}
    except ValueError as error:
        return [f"names: {template!r} is not a template: {error}"]
    known = {axis.name for axis in axes}
    if used == known:
        return []
    problem = (
        f"names: {template!r} must hold every axis once in braces: "
        f"missing {sorted(known - used)}, unknown {sorted(used - known)}"
    )
    return [problem]
