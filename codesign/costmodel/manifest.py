"""The files of a saved cost model: XGBoost's .ubj of each head and one JSON manifest.

``model.ubj`` holds the trees for cycles, ``model.HEAD.ubj`` those of another head, ``model.json``
says what they are and has the sha256 of each. A head of a new model waits under a name with its
sha256 until the manifest is the new one: a kill at any moment leaves a whole model, old or new.
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
from codesign.store.atomic import refuse_unwritable, write_bytes

FORMAT = "codesign-cost-model"
HEADS = ("cycles", "spread", "energy", "feasible")


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
    return model if head == HEADS[0] else model.with_suffix(f".{head}{model.suffix}")


def check_target(model: Path) -> None:
    """Raise StoreError where `write` cannot write, or would overwrite what is no cost model."""
    try:
        refuse_unwritable(model)
    except DataError as error:
        raise StoreError(str(error)) from error
    if model.suffix == ".json":
        raise StoreError(
            f"{model}: .json is the manifest's name; give the model another suffix, as .ubj"
        )
    beside = manifest_path(model)
    former = _former_heads(model)
    own = {beside, *(head_path(model, head) for head in former)} if former else set[Path]()
    possible = (*(head_path(model, head) for head in HEADS), beside)
    there = [path for path in possible if path.exists() and path not in own]
    if there:
        raise StoreError(
            f"{there[0]}: is there already and is no cost model; name another output, or remove it"
        )


def write(model: Path, heads: Mapping[str, bytes], facts: dict[str, Any]) -> None:
    """Replace the model: new heads beside the old ones, then the manifest, then their names.

    Heads of a former model that the new one lacks are removed.
    """
    check_target(model)
    former = _former_heads(model)
    files = {head: hashlib.sha256(raw).hexdigest() for head, raw in heads.items()}
    text = json.dumps({**facts, "files": files}, indent=1, allow_nan=False, default=str)
    try:
        _settle(model, former)
        for head, raw in heads.items():
            write_bytes(_waiting_path(model, head, files[head]), raw)
        write_bytes(manifest_path(model), text.encode())
        _settle(model, files)
        for head in former.keys() - files.keys():
            head_path(model, head).unlink(missing_ok=True)
    except DataError as error:
        raise StoreError(str(error)) from error
    except OSError as error:
        raise StoreError(f"{model}: cannot be written: {error.strerror or error}") from error


def _waiting_path(model: Path, head: str, digest: str) -> Path:
    return model.with_name(f"{model.stem}.{head}.{digest[:16]}{model.suffix}")


def _settle(model: Path, heads: Mapping[str, str]) -> None:
    """Give the manifest's heads their own names where they still wait for them."""
    for head, digest in heads.items():
        waiting = _waiting_path(model, head, digest)
        if waiting.is_file():
            waiting.replace(head_path(model, head))


def _former_heads(model: Path) -> dict[str, str]:
    """Heads of the model that is there with their sha256, empty where none is."""
    facts = _manifest(manifest_path(model))
    return _heads(facts) if facts.get("format") == FORMAT else {}


def _heads(facts: dict[str, Any]) -> dict[str, str]:
    """The sha256 of each head that a manifest names."""
    found: object = facts.get("files")
    files = cast(dict[str, object], found) if isinstance(found, dict) else {}
    return {head: str(files.get(head, "")) for head in HEADS if head in files or head == HEADS[0]}


def read(model: Path) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The heads' bytes and the manifest, checked against each other and this version."""
    if not model.name:
        raise StoreError(f"{model}: is a folder; name the model of `codesign train`")
    beside = manifest_path(model)
    facts = _manifest(beside)
    heads = _heads(facts)
    for places in ((model, _waiting_path(model, HEADS[0], heads[HEADS[0]])), (beside,)):
        if not any(path.is_file() for path in places):
            raise StoreError(
                f"{places[0]}: no such file; a cost model is {model.name} with {beside.name} "
                f"beside it, written by `codesign train traces.db -o {model.name}`"
            )
    if facts.get("format") != FORMAT or not isinstance(facts.get("files", {}), dict):
        raise StoreError(f'{beside}: not a cost model\'s manifest (no "format": "{FORMAT}")')
    if facts.get("inputs_version") != inputs_version():
        raise StoreError(
            f"{model}: made for the closed form and features {facts.get('inputs_version')!r}, this "
            f"codesign computes {inputs_version()!r}; train it again with `codesign train`"
        )
    return {head: _head(model, head, digest) for head, digest in heads.items()}, facts


def _head(model: Path, head: str, digest: str) -> bytes:
    path, waiting = head_path(model, head), _waiting_path(model, head, digest)
    try:
        raw = (waiting if waiting.is_file() else path).read_bytes()
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
