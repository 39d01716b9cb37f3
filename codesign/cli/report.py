"""``codesign report``: one self-contained HTML page about a search."""

from __future__ import annotations

import argparse
from pathlib import Path

from codesign.cli.common import print_json
from codesign.errors import StoreError
from codesign.store.atomic import refuse_unwritable

NAME = "report"
HELP = "write the report of a search"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("store", metavar="RUN.db", help="store that `codesign search` wrote")
    parser.add_argument(
        "-o", "--output", default="report.html", metavar="HTML", help="default report.html"
    )
    parser.add_argument(
        "--run", dest="run_key", metavar="KEY", help="which search (default: the last that ended)"
    )
    parser.add_argument(
        "--compare",
        nargs="+",
        default=[],
        metavar="DB",
        help="further stores whose searches of the same problem stand beside",
    )


def run(args: argparse.Namespace) -> int:
    from codesign.report import write_report

    path = Path(args.output)
    refuse_unwritable(path)
    for store in map(Path, (args.store, *args.compare)):
        if path.exists() and store.exists() and path.samefile(store):
            raise StoreError(f"{path}: is a store that the report reads; name another file (-o)")
    row = write_report(args.store, path, args.run_key, args.compare)
    if args.json:
        print_json({"report": str(path), "run": row.key, "bytes": path.stat().st_size})
    else:
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, opens offline")
    return 0
