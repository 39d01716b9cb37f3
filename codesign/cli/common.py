"""What verbs share: the configuration argument, JSON, tables, notices, progress."""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def add_config_argument(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Add ``-c/--config``, read with `codesign.load_config`."""
    parser.add_argument(
        "-c",
        "--config",
        required=required,
        metavar="CONFIG",
        help="preset (`codesign configs list`), point of a space (SPACE:POINT), or JSON file",
    )


def positive(text: str) -> int:
    """An argument that is a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: a whole number from 1 on is allowed")
    return int(text)


def seed(text: str) -> int:
    """An argument that seeds random numbers: any that numpy, torch and XGBoost all take."""
    if not text.isdecimal() or int(text) >= 1 << 31:
        raise argparse.ArgumentTypeError(
            f"{text!r}: a whole number from 0 to {(1 << 31) - 1} is allowed"
        )
    return int(text)


def address(text: str) -> int:
    """An argument that is a byte address, decimal or with 0x."""
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if value < 0:
        raise argparse.ArgumentTypeError(
            f"{text!r}: a byte address from 0 on is allowed, like 0x10000000 or 268435456"
        )
    return value


def print_json(value: object, *, sort_keys: bool = False) -> None:
    """One JSON document on stdout; dataclasses, paths and numpy values are understood."""
    print(json.dumps(value, indent=2, default=_plain, sort_keys=sort_keys))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, Path):
        return str(value)
    tolist = getattr(value, "tolist", None)  # numpy arrays and scalars, without importing numpy
    if tolist is not None:
        return tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def add_calibration_argument(parser: argparse.ArgumentParser) -> None:
    """``--calibration``: samples for float models."""
    parser.add_argument(
        "--calibration", metavar="DATA.npz", help="one array per input, samples first; float models"
    )


def add_dataflow_argument(parser: argparse.ArgumentParser) -> None:
    """``--dataflow``: overrides the configuration's."""
    parser.add_argument(
        "--dataflow",
        choices=("auto", "ws", "os", "is", "rs"),
        help="instead of the configuration's",
    )


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None
) -> None:
    """A table on stdout; columns whose cells are all numbers are aligned right.

    Numbers are shown with thousands separated by spaces, floats with four digits.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = [list(row) for row in rows]
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for index, column in enumerate(columns):
        numeric = bool(cells) and all(isinstance(row[index], int | float) for row in cells)
        table.add_column(column, justify="right" if numeric else "left", no_wrap=numeric)
    for row in cells:
        table.add_row(*(Text(_cell(value)) for value in row))
    if title is not None:
        print(f"\n{title}\n")
    if sys.stdout.isatty():
        Console(highlight=False).print(table)
        return
    # A pipe has no width: rows are as long as they are.
    console = Console(highlight=False, width=100_000, file=io.StringIO())
    with console.capture() as capture:
        console.print(table)
    print("\n".join(line.rstrip() for line in capture.get().splitlines()))


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace(",", " ")
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}".replace(",", " ")
    return str(value)


def notice(text: str) -> None:
    """One line for the user on stderr."""
    print(f"codesign: {text}", file=sys.stderr)


@contextmanager
def progress(description: str, total: int | None = None) -> Generator[Callable[[int], None]]:
    """A progress bar where stderr is a terminal, else nothing; yields ``advance(steps)``."""
    if not sys.stderr.isatty():
        yield _ignore
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    with bar:
        task = bar.add_task(description, total=total)
        yield lambda steps: bar.advance(task, steps)


def _ignore(steps: int) -> None:
    """Progress that nobody watches."""
