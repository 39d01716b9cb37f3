"""``codesign disasm``: instruction streams as text."""

from __future__ import annotations

import argparse

from codesign.cli import streams
from codesign.cli.common import print_json
from codesign.isa import decode, disassemble

NAME = "disasm"
HELP = "print an instruction stream as text"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The file and its configuration."""
    streams.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print every stream of the file."""
    listings = [
        (stream.name, disassemble(decode(stream.instructions, stream.cfg), stream.cfg))
        for stream in streams.read_streams(args.file, args.config)
    ]
    if args.json:
        print_json({"streams": [{"name": name, "lines": lines} for name, lines in listings]})
        return 0
    for name, lines in listings:
        print(f"; {name}: {len(lines)} instructions")
        print("\n".join(lines))
    return 0
