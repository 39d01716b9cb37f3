"""The two files of a saved cost model: XGBoost's .ubj and a JSON manifest beside it."""

from __future__ import annotations

import hashlib
import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from codesign.costmodel.features import FEATURE_NAMES, FEATURE_VERSION
from codesign.costmodel.metrics import Errors
from codesign.costmodel.traces import TraceRows
from codesign.errors import StoreError

FORMAT = "codesign-cost-model"


def describe(rows: TraceRows, *, seed: int, rounds: int, errors: Errors) -> dict[str, Any]:
    """What a reader of the model must know; ``model_sha256`` is added on writing."""
    return {
        "format": FORMAT,
        "target": "log(cycles / closed form)",
        "feature_version": FEATURE_VERSION,
        "features": list(FEATURE_NAMES),
        "seed": seed,
        "rounds": rounds,
        "rows": len(rows.cycles),
        "layer_shapes": len(rows.workloads),
        "configurations": len(rows.configs),
        "data_sha256": rows.digest(),
        "errors": errors.as_dict(),
        "versions": {name: version(name) for name in ("xgboost", "numpy")},
    }


def manifest_path(model: Path) -> Path:
    """``model.ubj`` -> ``model.json``."""
    return model.with_suffix(".json")


def write(model: Path, raw: bytes, facts: dict[str, Any]) -> None:
    """Write both files under temporary names, then rename."""
    if model.suffix == ".json":
        raise StoreError(
            f"{model}: .json is the manifest's name; give the model another suffix, as .ubj"
        )
    digest = {"model_sha256": hashlib.sha256(raw).hexdigest()}
    text = json.dumps({**facts, **digest}, indent=1, allow_nan=False, default=str)
    try:
        _replace(model, raw)
        _replace(manifest_path(model), text.encode())
    except OSError as error:
        raise StoreError(f"{model}: cannot be written ({error.strerror})") from error


def read(model: Path) -> tuple[bytes, dict[str, Any]]:
    """The model's bytes and its manifest, checked against each other and this version."""
    beside = manifest_path(model)
    for path in (model, beside):
        if not path.is_file():
            raise StoreError(
                f"{path}: no such file; a cost model is {model.name} with {beside.name} beside it, "
                f"written by `codesign train traces.db -o {model.name}`"
            )
    raw = model.read_bytes()
    try:
        facts: object = json.loads(beside.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise StoreError(f"{beside}: not a cost model's manifest ({error})") from error
    if not isinstance(facts, dict) or cast(dict[str, Any], facts).get("format") != FORMAT:
        raise StoreError(f'{beside}: not a cost model\'s manifest (no "format": "{FORMAT}")')
    known = cast(dict[str, Any], facts)
    if known.get("feature_version") != FEATURE_VERSION or known.get("features") != list(
        FEATURE_NAMES
    ):
        raise StoreError(
            f"{model}: made for feature version {known.get('feature_version')!r}, this codesign "
            f"computes version {FEATURE_VERSION!r}; train it again with `codesign train`"
        )
    if known.get("model_sha256") != hashlib.sha256(raw).hexdigest():
        raise StoreError(
            f"{model}: corrupt or not the model that {beside.name} describes ({len(raw)} bytes, "
            "sha256 differs); train it again with `codesign train`"
        )
    return raw, known


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
