# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# tvm carries no usable annotations.
"""The file format of a Package: one tar, checked member by member when it is read."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from codesign.compiler.compose import Compose
from codesign.compiler.graph import UnitGraph
from codesign.compiler.graph_file import from_json, to_json
from codesign.compiler.host_ops import HostOp
from codesign.compiler.program import RegionProgram, parse
from codesign.errors import PackageError
from codesign.hw.config import VtaConfig
from codesign.store.atomic import atomic_path

if TYPE_CHECKING:
    from codesign.compiler.package import Package

FORMAT = 3
_MANIFEST, _LIBRARY, _GRAPH, _CONSTANTS = "manifest.json", "host.so", "graph.json", "constants.npz"
_CONTENTS = (_LIBRARY, _GRAPH, _CONSTANTS)


def write(
    path: str | Path, manifest: dict[str, Any], library: bytes, graphs: Sequence[UnitGraph]
) -> None:
    """Write all members under a temporary name, then rename."""
    from importlib.metadata import version

    documents: list[Any] = []
    arrays: dict[str, Any] = {}
    for graph in graphs:
        document, constants = to_json(graph)
        documents.append(document)
        arrays.update({f"{graph.name}/{name}": array for name, array in constants.items()})
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    members = {_LIBRARY: library, _GRAPH: _json(documents), _CONSTANTS: packed.getvalue()}
    manifest = {
        "format": FORMAT,
        "versions": {name: version(name) for name in ("codesign", "apache-tvm", "numpy")},
        **manifest,
    }
    manifest["hashes"] = {_MANIFEST: own_hash(manifest)} | {
        name: hashlib.sha256(data).hexdigest() for name, data in members.items()
    }
    with atomic_path(path) as temporary, tarfile.open(temporary, "w") as tar:
        for name, data in {_MANIFEST: _json(manifest), **members}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def own_hash(manifest: Mapping[str, Any]) -> str:
    """sha256 of a manifest without its hashes."""
    own = {key: value for key, value in manifest.items() if key != "hashes"}
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()


def read(path: str | Path) -> Package:
    """Read and check every member, and load the host library."""
    from codesign.compiler.package import Package, PackageUnit, Port

    members = _members(Path(path))
    manifest = _manifest(Path(path), members)
    try:
        config = VtaConfig(**manifest["config"])
        graphs = _graphs(members)
        units = tuple(
            PackageUnit(
                name=layer["name"],
                region=layer["region"],
                unit=_unit(graphs, layer["region"], layer["name"]),
                schedule=layer["schedule"],
                cycles=layer["cycles"],
                dram_bytes=layer["dram_bytes"],
            )
            for layer in manifest["layers"]
        )
        inputs = tuple(Port(p["name"], tuple(p["shape"]), p["dtype"]) for p in manifest["inputs"])
        host_ops = tuple(HostOp(**op) for op in manifest["host_ops"])
        compose: Compose = manifest["compose"]
        if compose not in get_args(Compose):
            raise ValueError(f"compose {compose!r}; allowed are {', '.join(get_args(Compose))}")
        model, model_sha256 = str(manifest["model"]), str(manifest["model_sha256"])
        outputs, macs = tuple(manifest["outputs"]), int(manifest["macs"])
    except (KeyError, TypeError, ValueError) as error:
        raise PackageError(f"{path}: the manifest does not fit the contents: {error!r}") from error
    executable = _load_library(members[_LIBRARY])
    return Package(
        model=model,
        config=config,
        compose=compose,
        inputs=inputs,
        outputs=outputs,
        programs=_programs(executable, graphs, config),
        units=units,
        host_ops=host_ops,
        macs=macs,
        executable=executable,
        model_sha256=model_sha256,
        library=members[_LIBRARY],
    )


def _members(path: Path) -> dict[str, bytes]:
    if not path.is_file():
        raise PackageError(f"{path}: no such file; codesign compile writes packages")
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for info in tar:
                handle = tar.extractfile(info)
                found[info.name] = handle.read() if handle is not None else b""
    except (tarfile.TarError, EOFError, OSError) as error:
        raise PackageError(f"{path}: truncated, or not a tar file ({error})") from error
    return found


def _manifest(path: Path, members: dict[str, bytes]) -> dict[str, Any]:
    if _MANIFEST not in members:
        raise PackageError(f"{path}: has no {_MANIFEST}; not a package of codesign compile")
    try:
        manifest: Any = json.loads(members[_MANIFEST])
    except ValueError as error:
        raise PackageError(f"{path}: {_MANIFEST} is no JSON: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else None
        raise PackageError(
            f"{path}: package format {found!r}; this version reads {FORMAT}. "
            "Compile the network again"
        )
    hashes = manifest.get("hashes")
    if not isinstance(hashes, dict) or set(hashes) != {_MANIFEST, *_CONTENTS}:
        listed = ", ".join((_MANIFEST, *_CONTENTS))
        raise PackageError(f"{path}: {_MANIFEST} must hash exactly {listed}")
    if own_hash(manifest) != hashes[_MANIFEST]:
        raise PackageError(f"{path}: {_MANIFEST} is altered; compile again")
    for name in _CONTENTS:
        if name not in members or hashlib.sha256(members[name]).hexdigest() != hashes[name]:
            raise PackageError(f"{path}: {name} is missing, truncated or altered; compile again")
    unknown = sorted(set(members) - {_MANIFEST, *_CONTENTS})
    if unknown:
        raise PackageError(f"{path}: foreign members {', '.join(unknown)}; compile again")
    return manifest


def _graphs(members: dict[str, bytes]) -> tuple[UnitGraph, ...]:
    with np.load(io.BytesIO(members[_CONSTANTS]), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    graphs: list[UnitGraph] = []
    for document in json.loads(members[_GRAPH]):
        prefix = f"{document['name']}/"
        own = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
        graphs.append(from_json(document, own))
    return tuple(graphs)


def _unit(graphs: tuple[UnitGraph, ...], region: str, name: str) -> Any:
    units = (u for g in graphs if g.name == region for u in g.units if u.name == name)
    found = next(units, None)
    if found is None:
        raise ValueError(f"{_GRAPH} has no unit {name!r} in a region {region!r}")
    return found


def _programs(
    executable: Any, graphs: tuple[UnitGraph, ...], config: VtaConfig
) -> tuple[RegionProgram, ...]:
    from codesign.compiler.runtime import vta_modules

    modules = vta_modules(executable)
    if set(modules) != {graph.name for graph in graphs}:
        raise PackageError(f"{_LIBRARY} holds regions {sorted(modules)}, {_GRAPH} others")
    return tuple(parse(bytes(modules[g.name]["program"]()), g, config) for g in graphs)


def _load_library(data: bytes) -> Any:
    """Load a shared library from bytes; the file may go once it is mapped."""
    from codesign.compiler.runtime import register

    register()
    import tvm

    with tempfile.TemporaryDirectory(prefix="codesign-") as folder:
        library = Path(folder, _LIBRARY)
        library.write_bytes(data)
        return tvm.runtime.load_module(str(library))


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()
