"""The files of a saved cost model: XGBoost's .ubj of each head and one JSON manifest.

``model.ubj`` holds the trees for cycles, ``model.HEAD.ubj`` those of another head, ``model.json``
says what they are and has the sha256 of each.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from codesign.costmodel.extrapolation import Ranges
from codesign.costmodel.inputs import INPUT_NAMES
from codesign.costmodel.metrics import Errors
from codesign.costmodel.traces import TraceRows
from codesign.costmodel.version import inputs_version
from codesign.errors import DataError, StoreError
from codesign.store.atomic import write_bytes

FORMAT = "codesign-cost-model"
_FIRST_HEAD = "cycles"


def describe(
    rows: TraceRows, *, seed: int, rounds: int, errors: Errors, known: Ranges
) -> dict[str, Any]:
    """What a reader of the model must know; ``files`` and ``interval`` are added on writing."""
    return {
        "format": FORMAT,
        "target": "log(cycles / base), the base of codesign.costmodel.inputs",
        "inputs_version": inputs_version(),
        "features": list(INPUT_NAMES),
        "seed": seed,
        "rounds": rounds,
        "rows": len(rows.cycles),
        "layer_shapes": len(rows.workloads),
        "configurations": len(rows.configs),
        "data_sha256": rows.digest(),
        "simulator": rows.simulator,
        "ranges": dict(known),
        "errors": errors.as_dict(),
        "versions": {name: version(name) for name in ("xgboost", "numpy")},
    }


def manifest_path(model: Path) -> Path:
    """``model.ubj`` -> ``model.json``."""
    return model.with_suffix(".json")


def head_path(model: Path, head: str) -> Path:
    """``model.ubj`` -> ``model.ubj`` for cycles, ``model.HEAD.ubj`` for another head."""
    return model if head == _FIRST_HEAD else model.with_suffix(f".{head}{model.suffix}")


def check_target(model: Path) -> None:
    """Raise StoreError where `write` would have to overwrite what is no cost model."""
    if model.suffix == ".json":
        raise StoreError(
            f"{model}: .json is the manifest's name; give the model another suffix, as .ubj"
        )
    beside = manifest_path(model)
    there = [path for path in (model, beside) if path.exists()]
    if there and _manifest(beside).get("format") != FORMAT:
        raise StoreError(
            f"{there[0]}: is there already and is no cost model; name another output, or remove it"
        )


def write(model: Path, heads: Mapping[str, bytes], facts: dict[str, Any]) -> None:
    """Write all files, each under a temporary name that is then renamed; the manifest last."""
    check_target(model)
    files = {head: hashlib.sha256(raw).hexdigest() for head, raw in heads.items()}
    text = json.dumps({**facts, "files": files}, indent=1, allow_nan=False, default=str)
    try:
        for head, raw in heads.items():
            write_bytes(head_path(model, head), raw)
        write_bytes(manifest_path(model), text.encode())
    except DataError as error:
        raise StoreError(str(error)) from error


def read(model: Path) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The heads' bytes and the manifest, checked against each other and this version."""
    beside = manifest_path(model)
    for path in (model, beside):
        if not path.is_file():
            raise StoreError(
                f"{path}: no such file; a cost model is {model.name} with {beside.name} beside it, "
                f"written by `codesign train traces.db -o {model.name}`"
            )
    facts = _manifest(beside)
    if facts.get("format") != FORMAT or not isinstance(facts.get("files", {}), dict):
        raise StoreError(f'{beside}: not a cost model\'s manifest (no "format": "{FORMAT}")')
    if facts.get("inputs_version") != inputs_version():
        raise StoreError(
            f"{model}: made for the closed form and features {facts.get('inputs_version')!r}, this "
            f"codesign computes {inputs_version()!r}; train it again with `codesign train`"
        )
    files = {_FIRST_HEAD: "", **cast(dict[str, str], facts.get("files", {}))}
    return {head: _head(model, head, digest) for head, digest in files.items()}, facts


def _head(model: Path, head: str, digest: str) -> bytes:
    path = head_path(model, head)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise StoreError(
            f"{path}: the model's {head} trees cannot be read ({error.strerror}); "
            "train it again with `codesign train`"
        ) from error
    if hashlib.sha256(raw).hexdigest() != digest:
        raise StoreError(
            f"{path}: corrupt or not the model that {manifest_path(model).name} describes "
            f"({len(raw)} bytes, sha256 differs); train it again with `codesign train`"
        )
    return raw


def _manifest(path: Path) -> dict[str, Any]:
    """The JSON object in a file, empty where there is none."""
    try:
        found: object = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError):
        return {}
    return cast(dict[str, Any], found) if isinstance(found, dict) else {}
