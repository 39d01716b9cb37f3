"""Every row of the four published systems: pass, fail or not yet, and what decides it.

Rows and their deciding tests and claims stand in ``data/published_systems.toml``. The tests run
now; claims are those stored in ``results/claims`` of the present sources, which ``--rerun`` makes
by running the benchmarks named (``--script`` one of them, with the ``--options`` given: the path of
data that do not ship). ``--markdown FILE`` writes the
table. ``--quick`` runs no test: rows decided by tests are "not yet".
"""

from __future__ import annotations

import ast
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import tomli
from claims import STDERR, Claim, Results, parser
from rich.console import Console
from rich.table import Table
from stored import ROOT, product_key, sources_key

from codesign.store.atomic import write_text
from codesign.store.content import content_key

FOLDER = Path(__file__).parent
ROWS = FOLDER / "data" / "published_systems.toml"
CLAIMS = FOLDER / "results" / "claims"
Status = Literal["pass", "fail", "not yet"]
_MARKS = {"pass": "[green]pass[/]", "fail": "[red]fail[/]", "not yet": "not yet"}


@dataclass(frozen=True)
class Row:
    """``tests``: pytest node ids without parameters; ``claims``: "script: beginning of a name", in
    which * stands for anything."""

    id: str
    what: str
    tests: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    missing: str = ""


@dataclass(frozen=True)
class Verdict:
    """``by``: what decided, or what is missing."""

    row: Row
    status: Status
    by: str


def read_rows(path: Path = ROWS) -> list[Row]:
    document = tomli.loads(path.read_text(encoding="utf-8"))
    return [
        Row(
            row["id"],
            row["what"],
            tuple(row.get("tests", ())),
            tuple(row.get("claims", ())),
            row.get("missing", ""),
        )
        for row in document["row"]
    ]


def verdict(
    row: Row, tests: Mapping[str, bool], claims: Mapping[str, Sequence[tuple[str, bool]]]
) -> Verdict:
    """``tests``: node id -> whether all of it passed; ``claims``: script -> (name, holds).

    One decider that fails makes the row fail, one without an outcome "not yet"; so does anything
    missing, and a row that nothing decides.
    """
    outcomes: dict[str, bool | None] = {}
    for test in row.tests:
        outcomes[test] = tests.get(test)
    for claim in row.claims:
        script, _, start = claim.partition(": ")
        found = [holds for name, holds in claims.get(script, ()) if fnmatchcase(name, f"{start}*")]
        outcomes[claim] = all(found) if found else None
    failing = [name for name, outcome in outcomes.items() if outcome is False]
    unknown = [name for name, outcome in outcomes.items() if outcome is None]
    if failing:
        return Verdict(row, "fail", "; ".join(failing))
    if row.missing or unknown or not outcomes:
        return Verdict(row, "not yet", row.missing or "no outcome of " + "; ".join(unknown))
    return Verdict(row, "pass", "; ".join(outcomes))


def run_tests(nodes: Sequence[str]) -> dict[str, bool]:
    """Node id -> whether every parameter of it passed; skipped tests decide nothing."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        command += ["-m", "long or not long", f"--junitxml={report}", *nodes]
        subprocess.run(command, cwd=ROOT, check=False, stdout=sys.stderr)
        if not report.is_file():
            return {}
        cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    outcomes: dict[str, bool] = {}
    for case in cases:
        file = case.attrib["classname"].replace(".", "/") + ".py"
        node = f"{file}::{case.attrib['name'].partition('[')[0]}"
        if case.find("skipped") is None:
            passed = case.find("failure") is None and case.find("error") is None
            outcomes[node] = outcomes.get(node, True) and passed
    return outcomes


def stored_claims(scripts: Sequence[str]) -> dict[str, list[tuple[str, bool]]]:
    """Claims of each script that has stored ones, made by the sources as they are."""
    found: dict[str, list[tuple[str, bool]]] = {}
    for script in scripts:
        path = CLAIMS / f"{script}.json"
        if path.is_file():
            document = json.loads(path.read_text(encoding="utf-8"))
            if document["key"] == claims_key(script):
                found[script] = [(claim["name"], claim["holds"]) for claim in document["claims"]]
    return found


def claims_key(script: str) -> str:
    """Content key of what a script's claims depend on: the product's sources and those of the cost
    models and the search, the script and what it imports from here, its stored rows."""
    rows = FOLDER / "results" / f"{script}.json"
    stored = rows.read_text(encoding="utf-8") if rows.is_file() else ""
    sources = sources_key("codesign/costmodel", "codesign/search")
    return content_key([product_key(), sources, _texts(script), stored])


def _texts(script: str) -> dict[str, str]:
    """A script and the modules beside it that it imports, by name."""
    found: dict[str, str] = {}
    waiting = [script]
    while waiting:
        name = waiting.pop()
        path = FOLDER / f"{name}.py"
        if name in found or not path.is_file():
            continue
        found[name] = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(found[name])):
            if isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                waiting.append(node.module)
    return found


def make_claims(script: str, options: Sequence[str] = ()) -> None:
    """Run a benchmark and keep its claims with their environment."""
    STDERR.print(f"running {script}.py")
    command = [sys.executable, str(FOLDER / f"{script}.py"), "--json", *options]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        document: dict[str, Any] = json.loads(ran.stdout)
    except json.JSONDecodeError:
        sys.exit(f"{script}.py ended with {ran.returncode} and no claims: {ran.stderr[-500:]}")
    kept = {key: document[key] for key in ("claims", "environment", "seconds")}
    kept["key"] = claims_key(script)
    for claim in kept["claims"]:
        claim.pop("samples")
    CLAIMS.mkdir(parents=True, exist_ok=True)
    write_text(CLAIMS / f"{script}.json", json.dumps(kept, indent=1) + "\n")


def markdown(verdicts: Sequence[Verdict]) -> str:
    """The table with its counts and the command that makes it."""
    counts = ", ".join(f"{count(verdicts, status)} {status}" for status in _MARKS)
    lines = [
        "# Rows of the published systems",
        "",
        f"{len(verdicts)} rows: {counts}. Made by `python benchmarks/published_systems.py "
        "--markdown benchmarks/results/published_systems.md`.",
        "",
        "| row | what | status | decided by, or missing |",
        "|---|---|---|---|",
    ]
    lines += [f"| {v.row.id} | {v.row.what} | {v.status} | {v.by} |" for v in verdicts]
    return "\n".join(lines) + "\n"


def count(verdicts: Sequence[Verdict], status: str) -> int:
    return sum(v.status == status for v in verdicts)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--rerun", action="store_true", help="make the claims anew")
    arguments.add_argument("--script", help="with --rerun: this benchmark alone")
    arguments.add_argument("--options", default="", help="with --script: options of its own")
    arguments.add_argument("--markdown", type=Path, help="write the table to this file")
    options = arguments.parse_args(argv)
    rows = read_rows()
    scripts = sorted({claim.partition(": ")[0] for row in rows for claim in row.claims})
    if options.rerun:
        for script in [options.script] if options.script else scripts:
            make_claims(script, shlex.split(options.options))
    nodes = list(dict.fromkeys(test for row in rows for test in row.tests))
    tests = {} if options.quick else run_tests(nodes)
    claims = stored_claims(scripts)
    verdicts = [verdict(row, tests, claims) for row in rows]
    results = Results("Rows of the published systems")
    counts = {status: count(verdicts, status) for status in _MARKS}
    results.claims.append(Claim("rows that fail", counts["fail"], "rows", "0", not counts["fail"]))
    results.figures |= {"rows": len(rows), **counts}
    if options.json:
        results.figures["table"] = [
            {"row": v.row.id, "what": v.row.what, "status": v.status, "by": v.by} for v in verdicts
        ]
    else:
        table = Table()
        for heading in ("row", "what", "status", "decided by, or missing"):
            table.add_column(heading, overflow="fold")
        for v in verdicts:
            table.add_row(v.row.id, v.row.what, _MARKS[v.status], v.by)
        Console(highlight=False).print(table)
    if options.markdown is not None:
        write_text(options.markdown, markdown(verdicts))
    results.show(options.json)
    return results.exit_code


if __name__ == "__main__":
    sys.exit(main())
