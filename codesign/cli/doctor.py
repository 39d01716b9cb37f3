"""``codesign doctor``: what is installed, which engines run, which tools are found."""

from __future__ import annotations

import argparse
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version

from codesign.cli.common import print_json, print_table

NAME = "doctor"
HELP = "show versions, engines and tools"

_BROKEN = 1
_TOOLS = {
    "g++": "builds the simulator, and packages' host code",
    "verilator": "register-transfer-level simulation",
    "yosys": "synthesis estimates",
}


@dataclass(frozen=True)
class Finding:
    """One line of the report; ``ok`` is None where the thing is optional and missing."""

    kind: str
    name: str
    state: str
    ok: bool | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments beside the common ones."""


def run(args: argparse.Namespace) -> int:
    """Report; 1 where something that is needed is missing or broken."""
    findings = [*_platform(), *_packages(), *_engines(), *_tools()]
    healthy = all(found.ok is not False for found in findings)
    if args.json:
        print_json({"healthy": healthy, "findings": findings})
    else:
        marks = {True: "ok", False: "BROKEN", None: "optional"}
        rows = ((found.kind, found.name, found.state, marks[found.ok]) for found in findings)
        print_table(("kind", "name", "state", ""), rows)
        print("\neverything needed is there" if healthy else "\nsomething needed is missing")
    return 0 if healthy else _BROKEN


def _platform() -> list[Finding]:
    supported = (3, 10) <= sys.version_info[:2] < (3, 14)
    return [
        Finding("platform", "python", platform.python_version(), supported),
        Finding("platform", "system", f"{platform.system()} {platform.machine()}", True),
    ]


def _packages() -> list[Finding]:
    findings = [_package("codesign", "")]
    for requirement in requires("codesign") or ():
        wanted, _, marker = requirement.partition(";")
        if "extra" in marker or "python_version" in marker:
            continue
        name, bound = _split(wanted.strip())
        findings.append(_package(name, bound))
    return findings


def _split(requirement: str) -> tuple[str, str]:
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    return (name.group(), requirement[name.end() :]) if name else (requirement, "")


def _package(name: str, bound: str) -> Finding:
    try:
        found = version(name)
    except PackageNotFoundError:
        return Finding("package", name, "not installed", False)
    exact = bound.removeprefix("==")
    # A local label such as `+cpu` names a build of the same version.
    if bound.startswith("==") and found.partition("+")[0] != exact:
        return Finding("package", name, f"{found}; {exact} is needed", False)
    return Finding("package", name, found, True)


def _engines() -> list[Finding]:
    try:
        from codesign.sim.native import library

        library()
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        text = str(error).splitlines() or [type(error).__name__]
        fix = "reinstall with g++ present: pip install ."
        return [Finding("engine", "cpp", f"{text[0]}; {fix}", False)]
    return [
        Finding("engine", "cpp", "loads", True),
        Finding("engine", "reference", "built in", True),
    ]


def _tools() -> list[Finding]:
    findings: list[Finding] = []
    for tool, purpose in _TOOLS.items():
        path = shutil.which(tool)
        state = _tool_version(path) if path else f"not found; {purpose}"
        findings.append(Finding("tool", tool, state, True if path else None))
    return findings


def _tool_version(path: str) -> str:
    flag = "-V" if path.endswith("yosys") else "--version"
    try:
        result = subprocess.run([path, flag], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{path}: does not answer: {type(error).__name__}"
    return (result.stdout.splitlines() or [path])[0]
