# pyright: reportUnknownMemberType=false
# numpy leaves the type of sums partly unknown.
"""A package as files for a board, or for a driver of one's own: relocated streams, memory, symbols.

``memory.bin`` is DRAM from the base address on, as it must be before the first launch: constants,
micro-ops, borders; other activations are zero. ``streams/NAME.bin`` are the instructions of every
launch. ``symbols.json`` says where everything lies and in which order to launch. A launch leaves
constants and borders as they are, so that the next input only needs the region's inputs rewritten.
One pass through a region's launches computes as many images as the configuration's batch; a region
of more ``images`` takes several ``passes``.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from codesign.compiler.graph import layout_owner, storage
from codesign.compiler.placement import PAGE_BYTES
from codesign.compiler.program import RegionProgram
from codesign.errors import DataError
from codesign.hw.config import VtaConfig
from codesign.isa import Memory, Opcode, decode, encode
from codesign.isa.tables import element_bytes
from codesign.kernels import Blocking, TensorLayout
from codesign.store.atomic import atomic_folder

if TYPE_CHECKING:
    from codesign.compiler.package import Package

MEMORY, STREAMS, SYMBOLS = "memory.bin", "streams", "symbols.json"
LAYOUT = "[channel group][row][column][batch][channel]"
_ADDRESS_LIMIT = 1 << 32


def export(package: Package, folder: str | Path, base: int) -> dict[str, Any]:
    """Write the files into ``folder``, new or empty, all or none; returns the symbol table.

    Parameters
    ----------
    base : physical byte address of the memory image, a multiple of 4096

    Raises
    ------
    DataError
        ``base`` is misaligned or leaves no room below 4 GiB; the folder is not empty or cannot be
        written; nothing in the package runs on the accelerator.
    """
    if base < 0 or base % PAGE_BYTES:
        raise DataError(
            f"base address {base:#x}: must be a multiple of {PAGE_BYTES:#x}; "
            f"the next one is {-(-max(base, 0) // PAGE_BYTES) * PAGE_BYTES:#x}"
        )
    if not package.programs:
        raise DataError(f"{package.model}: nothing runs on the accelerator, nothing to export")
    if base + package.peak_dram_bytes > _ADDRESS_LIMIT:
        raise DataError(
            f"base address {base:#x}: the package takes {package.peak_dram_bytes} bytes from there "
            f"on, and physical addresses end at 4 GiB; take "
            f"{(_ADDRESS_LIMIT - package.peak_dram_bytes) // PAGE_BYTES * PAGE_BYTES:#x} or less"
        )
    bases = _region_bases(package, base)
    images = [package.memory_image(program.graph.name)[0] for program in package.programs]
    memory = np.concatenate(images)
    table = _symbol_table(package, bases, base, memory.size)
    with atomic_folder(folder) as temporary:
        (temporary / STREAMS).mkdir()
        memory.tofile(temporary / MEMORY)
        for (_, program, stream), run in zip(package.streams, table["runs"], strict=True):
            offset = bases[program.graph.name]
            moved = relocate(stream.instructions, package.config, offset)
            moved.tofile(temporary / run["file"])
        (temporary / SYMBOLS).write_text(json.dumps(table, indent=1) + "\n")
    return table


def relocate(instructions: NDArray[np.uint8], cfg: VtaConfig, offset: int) -> NDArray[np.uint8]:
    """The stream with every DRAM address moved by ``offset`` bytes, a multiple of 4096."""
    table = decode(instructions, cfg)
    sizes = np.array([element_bytes(kind, cfg) for kind in Memory], np.int64)
    transfer = np.isin(table["opcode"], (Opcode.LOAD, Opcode.STORE)) & (table["x_size"] > 0)
    table["dram_base"][transfer] += offset // sizes[table["memory_type"][transfer]]
    return encode(table, cfg)


def _region_bases(package: Package, base: int) -> dict[str, int]:
    """Where each region's memory begins: one after the other."""
    found: dict[str, int] = {}
    for program in package.programs:
        found[program.graph.name] = base
        base += program.memory_bytes
    return found


def _symbol_table(
    package: Package, bases: dict[str, int], base: int, memory_bytes: int
) -> dict[str, Any]:
    cfg = package.config
    position = base + memory_bytes
    runs: list[dict[str, Any]] = []
    for name, program, stream in package.streams:
        runs.append(
            {
                "name": name,
                "region": program.graph.name,
                "file": f"{STREAMS}/{len(runs):03}.{name}.bin",
                "address": position,
                "bytes": stream.instructions.size,
                "instructions": len(stream.instructions),
                "units": list(stream.units),
            }
        )
        position += -(-stream.instructions.size // PAGE_BYTES) * PAGE_BYTES
    return {
        "model": package.model,
        "compose": package.compose,
        "config": asdict(cfg),
        "instruction_bytes": cfg.instruction_bytes,
        "memory": {"file": MEMORY, "address": base, "bytes": memory_bytes},
        "regions": [
            {"name": graph.name, "images": graph.batch, "passes": package.passes(graph.name)}
            for graph in package.graphs
        ],
        "runs": runs,
        "symbols": [
            symbol
            for program in package.programs
            for symbol in _symbols(program, bases[program.graph.name])
        ],
        "host_ops": [asdict(op) for op in package.host_ops],
    }


def _symbols(program: RegionProgram, base: int) -> list[dict[str, Any]]:
    graph, cfg = program.graph, program.cfg
    found: list[dict[str, Any]] = []
    for name, spec in graph.tensors.items():
        shape, border = layout_owner(graph, name).shape, storage(graph, name).border
        kinds = (("input", graph.inputs), ("output", graph.outputs))
        found.append(
            {
                "name": f"{graph.name}.{name}",
                "kind": next((kind for kind, names in kinds if name in names), "activation"),
                "address": base + program.addresses[name],
                "bytes": TensorLayout(*shape, border).nbytes(cfg),
                "dtype": "int8",
                "layout": LAYOUT,
                "shape": dict(zip(("channels", "height", "width"), shape, strict=True)),
                "border": border,
                "channel_group": Blocking.of(cfg).group,
                "batch": cfg.batch,
                "scale": spec.scale,
                "zero_point": spec.zero_point,
                "outside": {
                    "shape": [graph.batch, *spec.outside_shape],
                    "dtype": "uint8" if spec.unsigned else "int8",
                    "channel_last": spec.channel_last,
                    "fold": spec.fold and asdict(spec.fold),
                },
            }
        )
    for index, (address, data) in enumerate(program.constants):
        found.append(
            {
                "name": f"{graph.name}.constants{index}",
                "kind": "constants",
                "address": base + address,
                "bytes": data.size,
                "dtype": "uint8",
                "layout": "micro-ops, constant input element, weight tiles",
            }
        )
    return found
