"""What every benchmark script shares: its options, the JSON object it prints, and the table."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rich.console import Console
from rich.table import Table

STDERR = Console(stderr=True, highlight=False)


@dataclass(frozen=True)
class Claim:
    """A number with a target: ``holds`` is None where nothing was promised."""

    name: str
    value: float
    unit: str
    target: str
    holds: bool
    samples: Sequence[float] = ()


@dataclass
class Results:
    """Claims and figures of one run; ``show`` prints them as a table or as one JSON object."""

    title: str
    claims: list[Claim] = field(default_factory=lambda: [])
    figures: dict[str, Any] = field(default_factory=lambda: {})
    started: float = field(default_factory=time.perf_counter)

    @property
    def exit_code(self) -> int:
        return 0 if all(claim.holds for claim in self.claims) else 1

    def show(self, as_json: bool) -> None:
        seconds = round(time.perf_counter() - self.started, 2)
        if as_json:
            claims = [{**asdict(c), "samples": list(c.samples)} for c in self.claims]
            body = {"claims": claims, "figures": self.figures, "environment": environment()}
            json.dump({**body, "seconds": seconds}, sys.stdout, indent=1)
            sys.stdout.write("\n")
            return
        table = Table(title=self.title, title_justify="left", caption=f"{seconds:.0f} s")
        for heading in ("", "value", "unit", "target", ""):
            table.add_column(heading, justify="right" if heading == "value" else "left")
        for claim in self.claims:
            mark = "[green]holds[/]" if claim.holds else "[red]fails[/]"
            table.add_row(claim.name, f"{claim.value:,.6g}", claim.unit, claim.target, mark)
        for name, value in self.figures.items():
            if isinstance(value, (int, float)):
                table.add_row(name.replace("_", " "), f"{value:,.6g}", "", "", "")
        Console(highlight=False).print(table)


def parser(description: str, seed: int = 0) -> argparse.ArgumentParser:
    """A parser with the options that every script has."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    made.add_argument(
        "--quick", action="store_true", help="a short form, for continuous integration"
    )
    made.add_argument(
        "--seed", type=int, default=seed, help=f"seed of everything random (default {seed})"
    )
    return made


def environment() -> dict[str, Any]:
    """Versions, processor and platform of this run."""
    versions: dict[str, str | None] = {}
    for name in ("codesign", "apache-tvm", "numpy", "onnxruntime", "torch", "xgboost"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    machine = {"python": platform.python_version(), "platform": platform.platform()}
    return {**machine, "cores": os.cpu_count(), "versions": versions}
