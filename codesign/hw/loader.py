"""Reading hardware configurations: JSON document → checked `VtaConfig`, all errors at once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from codesign.errors import ConfigError
from codesign.hw.config import VtaConfig
from codesign.hw.documents import looks_like_path, read_document, shipped, suggestion
from codesign.hw.feasibility import FIELD_NAMES, violations

_LABELS = ("target", "hw_ver")
KEYS = tuple(name.upper() for name in (*_LABELS, *FIELD_NAMES))
"""Keys of a configuration document."""


def load_config(name_or_path: str | Path) -> VtaConfig:
    """Read a configuration: a preset's name, a path to a JSON file, or ``SPACE:POINT``.

    Upstream's ``vta_config.json`` files load unchanged; keys that are left out take the defaults
    of `VtaConfig`.

    Raises
    ------
    ConfigError
        Not found, not JSON, unknown keys, wrong types or broken rules, all named with their
        values.
    """
    text = str(name_or_path)
    space, colon, point = text.rpartition(":")
    if colon and not Path(text).exists():
        from codesign.hw.space import load_space

        return load_space(space).named(point)
    name, document = read_document(name_or_path, "presets")
    where = text if looks_like_path(name_or_path) else f"preset {text}"
    return parse_config(document, name=name, where=where)


def presets() -> tuple[str, ...]:
    """Names of the shipped configurations."""
    return shipped("presets")


def parse_config(document: Mapping[str, Any], *, name: str, where: str) -> VtaConfig:
    """Check a document whole and make the value; `ConfigError` lists every problem at once."""
    values, problems, untrusted = parse_values(document)
    cfg = VtaConfig(**values, name=name)
    problems += [str(broken) for broken in violations(cfg, untrusted)]
    if problems:
        raise ConfigError(problem_text(where, problems))
    return cfg


def parse_values(document: Mapping[str, Any]) -> tuple[dict[str, Any], list[str], set[str]]:
    """Values by field name, problems of keys and types, and the fields without a usable value."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    untrusted: set[str] = set()
    for key, given in document.items():
        if key not in KEYS:
            problems.append(
                f"{key}: unknown key (value {given!r}){suggestion(key, KEYS)}; "
                "vta_configs/README.md lists all keys"
            )
            continue
        field = key.lower()
        try:
            values[field] = _adapter(field).validate_python(given)
        except ValidationError as error:
            untrusted.add(field)
            # A union (int or null) fails once per member; the first says what is meant.
            message = error.errors(include_url=False)[0]["msg"]
            problems.append(f"{key}: {message[0].lower()}{message[1:]}, given {given!r}")
    return values, problems, untrusted


def problem_text(where: str, problems: list[str]) -> str:
    """One error text for any number of problems."""
    head = f"{where}: {len(problems)} problem{'s' if len(problems) != 1 else ''}"
    return "\n".join([head, *(f"  {problem}" for problem in problems)])


def to_document(cfg: VtaConfig) -> dict[str, Any]:
    """The JSON document that reads back as ``cfg``; keys at None are left out."""
    document = {key: getattr(cfg, key.lower()) for key in KEYS}
    return {key: value for key, value in document.items() if value is not None}


@cache
def _adapter(field: str) -> TypeAdapter[Any]:
    return TypeAdapter(
        get_type_hints(VtaConfig)[field], config=ConfigDict(strict=True, allow_inf_nan=False)
    )
