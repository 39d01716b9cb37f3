"""Configuration spaces: values per axis and rules; counted exactly, listed, sampled."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codesign.errors import ConfigError, Infeasible
from codesign.hw.config import VtaConfig
from codesign.hw.documents import shipped
from codesign.hw.feasibility import RULES, Rule, violations

if TYPE_CHECKING:
    import numpy as np

_MISSES = 1000  # draws in a row without a new point, after which listing all points is cheaper


@dataclass(frozen=True)
class Choice:
    """One value of an axis: a label for names, and the fields that it sets."""

    label: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Axis:
    """One independent decision of a space."""

    name: str
    choices: tuple[Choice, ...]

    @property
    def fields(self) -> frozenset[str]:
        """Fields that some choice sets."""
        return frozenset(name for choice in self.choices for name in choice.values)


@dataclass(frozen=True)
class BrokenRule:
    """How many points of a product break a rule, and the first one's message."""

    points: int
    example: str


@dataclass(frozen=True)
class ConfigSpace:
    """The feasible points of a product of axes over a base configuration.

    A point is feasible where no rule of `codesign.hw.feasibility` and no rule of the space is
    broken. Points come in product order, the last axis fastest, each with a unique ``name``.
    """

    name: str
    description: str
    base: VtaConfig
    axes: tuple[Axis, ...]
    rules: tuple[Rule, ...]
    name_format: str

    @property
    def product_size(self) -> int:
        """Points of the whole product, infeasible ones counted."""
        return math.prod(len(axis.choices) for axis in self.axes)

    def count(self) -> int:
        """Number of feasible points, exact; axes that no rule joins are counted apart."""
        return self._count

    @cached_property
    def _count(self) -> int:
        total = 1
        for axes, rules in self._groups():
            if total == 0:
                break
            total *= sum(
                all(rule.check(cfg) is None for rule in rules) for cfg in self._points(axes)
            )
        return total

    def problems(self, cfg: VtaConfig) -> list[Infeasible]:
        """Every broken rule of one point, those of the space included."""
        return violations(cfg, rules=(*RULES, *self.rules))

    def broken_rules(self) -> dict[str, BrokenRule]:
        """Rules that points of the product break, with how many do and one example each."""
        found: dict[str, BrokenRule] = {}
        for axes, rules in self._groups():
            elsewhere = self.product_size // math.prod(len(axis.choices) for axis in axes)
            for cfg in self._points(axes):
                for problem in violations(cfg, rules=rules):
                    before = found.get(problem.constraint, BrokenRule(0, problem.message))
                    found[problem.constraint] = replace(before, points=before.points + elsewhere)
            if found and not axes:
                break  # a fixed value is out of range: what relates to it cannot be judged
        return found

    def _groups(self) -> list[tuple[tuple[Axis, ...], tuple[Rule, ...]]]:
        return _independent_groups(self.axes, (*RULES, *self.rules))

    def __iter__(self) -> Iterator[VtaConfig]:
        """Feasible points in order."""
        return (cfg for cfg in self._points(self.axes) if not self.problems(cfg))

    def configs(self) -> list[VtaConfig]:
        """All feasible points in order."""
        return list(self)

    def named(self, name: str) -> VtaConfig:
        """The feasible point with this name; `ConfigError` where there is none."""
        labels = {
            axis.name: f"(?P<{axis.name}>{'|'.join(re.escape(c.label) for c in axis.choices)})"
            for axis in self.axes
        }
        literal = re.split(r"(\{[a-z0-9_]+\})", self.name_format)
        pattern = "".join(labels.get(part[1:-1]) or re.escape(part) for part in literal)
        match = re.fullmatch(pattern, name)
        if match is None:
            first = self._name(self.axes, tuple(axis.choices[0] for axis in self.axes))
            raise ConfigError(
                f"space {self.name} has no point {name!r}; names look like {first!r}, "
                f"`codesign configs list {self.name}` prints all"
            )
        choices = tuple(
            next(choice for choice in axis.choices if choice.label == match[axis.name])
            for axis in self.axes
        )
        cfg = self._point(self.axes, choices)
        broken = self.problems(cfg)
        if broken:
            listed = "; ".join(str(problem) for problem in broken)
            raise ConfigError(f"{self.name}:{name} is not feasible: {listed}")
        return cfg

    def sample(self, count: int, rng: np.random.Generator) -> list[VtaConfig]:
        """``count`` distinct feasible points, uniform, in the order drawn.

        Raises
        ------
        ConfigError
            The space has fewer feasible points.
        """
        chosen: dict[int, VtaConfig] = {}
        misses = 0
        while len(chosen) < count:
            if misses == _MISSES:
                return self._sample_listed(count, rng)
            index = int(rng.integers(self.product_size))
            cfg = self._at(index)
            if index in chosen or self.problems(cfg):
                misses += 1
                continue
            misses = 0
            chosen[index] = cfg
        return list(chosen.values())

    def _sample_listed(self, count: int, rng: np.random.Generator) -> list[VtaConfig]:
        points = self.configs()
        if count > len(points):
            raise ConfigError(
                f"space {self.name} has {len(points)} feasible points; {count} were asked for"
            )
        return [points[index] for index in rng.permutation(len(points))[:count].tolist()]

    def _at(self, index: int) -> VtaConfig:
        choices: list[Choice] = []
        for axis in reversed(self.axes):
            index, position = divmod(index, len(axis.choices))
            choices.append(axis.choices[position])
        return self._point(self.axes, tuple(reversed(choices)))

    def _points(self, axes: Sequence[Axis]) -> Iterator[VtaConfig]:
        for choices in product(*(axis.choices for axis in axes)):
            yield self._point(axes, choices)

    def _point(self, axes: Sequence[Axis], choices: tuple[Choice, ...]) -> VtaConfig:
        values: dict[str, Any] = {}
        for choice in choices:
            values |= choice.values
        if len(axes) == len(self.axes):
            values["name"] = self._name(axes, choices)
        return replace(self.base, **values)

    def _name(self, axes: Sequence[Axis], choices: tuple[Choice, ...]) -> str:
        labels = {axis.name: choice.label for axis, choice in zip(axes, choices, strict=True)}
        return self.name_format.format(**labels)


def load_space(name_or_path: str | Path) -> ConfigSpace:
    """Read a space: a shipped space's name or a path to a JSON file; errors as in `load_config`."""
    from codesign.hw.space_file import read_space

    return read_space(name_or_path)


def spaces() -> tuple[str, ...]:
    """Names of the shipped spaces."""
    return shipped("spaces")


def _independent_groups(
    axes: tuple[Axis, ...], rules: tuple[Rule, ...]
) -> list[tuple[tuple[Axis, ...], tuple[Rule, ...]]]:
    """Axes joined by the rules that read them, each group with its rules; rules of fixed values
    come first, in a group without axes."""
    groups: list[tuple[set[int], list[Rule]]] = [({index}, []) for index in range(len(axes))]
    fixed: list[Rule] = []
    for rule in rules:
        touched = {index for index, axis in enumerate(axes) if axis.fields & rule.fields}
        if not touched:
            fixed.append(rule)
            continue
        joined = [group for group in groups if group[0] & touched]
        groups = [group for group in groups if not group[0] & touched]
        members = {index for group in joined for index in group[0]}
        groups.append((members, [*(r for group in joined for r in group[1]), rule]))
    result = [(tuple(axes[i] for i in sorted(members)), tuple(own)) for members, own in groups]
    return [((), tuple(fixed)), *result]
