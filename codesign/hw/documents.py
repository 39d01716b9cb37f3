"""Finding and reading JSON documents: shipped with the package by name, or the user's by path."""

from __future__ import annotations

import difflib
import json
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from codesign.errors import ConfigError

Kind = Literal["presets", "spaces"]


def shipped(kind: Kind) -> tuple[str, ...]:
    """Names of the shipped documents of a kind, sorted."""
    folder = resources.files("vta_configs").joinpath(kind)
    return tuple(
        sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".json"))
    )


def looks_like_path(name_or_path: str | Path) -> bool:
    """Whether the argument can only be a file: a Path, a separator in it, or ``.json`` behind."""
    if isinstance(name_or_path, Path):
        return True
    return "/" in name_or_path or "\\" in name_or_path or name_or_path.endswith(".json")


def read_document(name_or_path: str | Path, kind: Kind) -> tuple[str, dict[str, Any]]:
    """Name (shipped name or file stem) and the JSON object behind it.

    Raises
    ------
    ConfigError
        No such name or file, not JSON, not an object, or a key given twice.
    """
    if looks_like_path(name_or_path):
        path = Path(name_or_path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: cannot be read as text: {_reason(error)}") from error
        return path.stem, _parse(text, str(path))
    name = str(name_or_path)
    names = shipped(kind)
    if name not in names:
        raise ConfigError(
            f"{name!r} is not one of the {kind} ({', '.join(names)}){suggestion(name, names)}; "
            "a file is named by a path that ends in .json"
        )
    source = resources.files("vta_configs").joinpath(kind).joinpath(f"{name}.json")
    return name, _parse(source.read_text(encoding="utf-8"), name)


def suggestion(given: str, allowed: tuple[str, ...]) -> str:
    """``; did you mean X?`` where one of the allowed words is close, else an empty text."""
    close = difflib.get_close_matches(given.upper(), [word.upper() for word in allowed], 1, 0.7)
    if not close:
        return ""
    return f"; did you mean {next(word for word in allowed if word.upper() == close[0])}?"


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return str(error.strerror) if isinstance(error, OSError) else "not UTF-8"


def _parse(text: str, where: str) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        for key, value in pairs:
            if key in seen:
                raise ConfigError(f"{where}: key {key!r} is given twice; keep one")
            seen[key] = value
        return seen

    try:
        document: object = json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{where}: not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from error
    except RecursionError as error:
        raise ConfigError(f"{where}: not JSON of this kind: nested too deeply") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{where}: a JSON object is needed, found {type(document).__name__}")
    return document  # pyright: ignore[reportUnknownVariableType] - JSON keys are text
