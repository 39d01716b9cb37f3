"""``codesign report``: one self-contained HTML page about a search."""

from __future__ import annotations

import argparse

from codesign.cli.common import print_json

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


def run(args: argparse.Namespace) -> int:
    from codesign.report import write_report
    from codesign.store import RunStore

    with RunStore.open(args.store, readonly=True) as store:
        row = store.run(args.run_key)
    path = write_report(row, args.output)
    if args.json:
        print_json({"report": str(path), "run": row.key, "bytes": path.stat().st_size})
    else:
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, opens offline")
    return 0
