"""``codesign check``: are instruction streams legal, and would they run on upstream's hardware?"""

from __future__ import annotations

import argparse

from codesign.cli import streams
from codesign.cli.common import notice, print_json
from codesign.isa import check

NAME = "check"
HELP = "check an instruction stream against the rules of the machine"

_FOUND = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The file, its configuration, and how strict to be."""
    streams.add_arguments(parser)
    parser.add_argument(
        "--portable",
        action="store_true",
        help="also report what upstream's simulator, RTL and bitstreams would not run",
    )


def run(args: argparse.Namespace) -> int:
    """Report every finding; 1 where there is one."""
    results = [
        (
            stream,
            check(
                stream.instructions,
                stream.cfg,
                memory=stream.memory,
                base_address=stream.base_address,
                portable=args.portable,
            ),
        )
        for stream in streams.read_streams(args.file, args.config)
    ]
    if any(stream.memory is None for stream, _ in results):
        notice(f"{args.file} holds no memory image: what depends on micro-ops is not checked")
    total = sum(len(findings) for _, findings in results)
    if args.json:
        shown = [
            {"name": s.name, "instructions": len(s.instructions), "findings": findings}
            for s, findings in results
        ]
        print_json({"legal": total == 0, "portable": args.portable, "streams": shown})
    else:
        for stream, findings in results:
            for finding in findings:
                print(f"{stream.name}: {finding}")
        instructions = sum(len(stream.instructions) for stream, _ in results)
        print(f"streams: {len(results)}, instructions: {instructions}, findings: {total}")
    return _FOUND if total else 0
