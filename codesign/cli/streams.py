# pyright: reportUnknownMemberType=false
# numpy annotates reshape in part only.
"""The instruction streams behind a file: a package's, or one raw stream."""

from __future__ import annotations

import argparse
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codesign.cli.common import add_config_argument
from codesign.errors import DataError
from codesign.hw.config import VtaConfig
from codesign.hw.loader import load_config


@dataclass(frozen=True)
class Stream:
    """One instruction stream, with the memory it runs in where that is known."""

    name: str
    cfg: VtaConfig
    instructions: NDArray[np.uint8]
    memory: NDArray[np.uint8] | None
    base_address: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the file and the configuration."""
    parser.add_argument("file", metavar="module.tar|stream.bin", type=Path)
    add_config_argument(parser, required=False)


def read_streams(path: Path, config: str | None) -> list[Stream]:
    """Every stream of a package, or the one stream of a raw file (needs a configuration).

    Raises
    ------
    DataError
        A raw file without a configuration, or not a whole number of instructions.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if tarfile.is_tarfile(path):
        return _package_streams(path)
    if config is None:
        raise DataError(f"{path}: a raw stream needs its configuration: add -c CONFIG")
    cfg = load_config(config)
    content = np.fromfile(path, np.uint8)
    size = cfg.instruction_bytes
    if content.size == 0 or content.size % size:
        raise DataError(
            f"{path}: {content.size} bytes; a stream for {cfg.name} is a positive multiple of "
            f"{size} bytes ({cfg.instruction_encoding} encoding)"
        )
    return [Stream(path.name, cfg, content.reshape((-1, size)), None, 0)]


def _package_streams(path: Path) -> list[Stream]:
    from codesign.compiler import Package

    package = Package.load(path)
    images = {graph.name: package.memory_image(graph.name) for graph in package.graphs}
    return [
        Stream(name, package.config, stream.instructions, *images[program.graph.name])
        for name, program, stream in package.streams
    ]
