"""``codesign export``: a package's instructions and memory as files for a board or a driver."""

from __future__ import annotations

import argparse

from codesign.cli.common import address, notice, print_json

NAME = "export"
HELP = "write a package's files for a board or a driver"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("package", metavar="module.tar", help="what codesign compile wrote")
    parser.add_argument(
        "--base",
        required=True,
        type=address,
        metavar="ADDR",
        help="physical address of the memory image, like 0x10000000; a multiple of 0x1000",
    )
    parser.add_argument(
        "-o", "--output", required=True, metavar="DIR", help="folder to write, new or empty"
    )


def run(args: argparse.Namespace) -> int:
    """Write the folder and say what is in it."""
    from codesign.compiler import Package
    from codesign.compiler.export import export

    table = export(Package.load(args.package), args.output, args.base)
    if table["host_ops"]:
        notice(f"{len(table['host_ops'])} operators of the network are left to the host program")
    if args.json:
        print_json(table)
        return 0
    memory, runs = table["memory"], table["runs"]
    print(
        f"{args.output}: {memory['bytes']} bytes of memory at {memory['address']:#x}, "
        f"{len(runs)} instruction stream(s) from {runs[0]['address']:#x} on, "
        f"{len(table['symbols'])} symbols"
    )
    return 0
