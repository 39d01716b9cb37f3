"""A model's inputs are versioned by every source that decides them."""

from __future__ import annotations

import ast
from pathlib import Path

from codesign import costmodel
from codesign.costmodel.version import SOURCES, inputs_version

_FOLDER = Path(costmodel.__file__).parent


def imported(name: str) -> set[str]:
    """Modules of the package that a module imports at run time."""
    prefix = "codesign.costmodel."
    nodes = ast.walk(ast.parse((_FOLDER / f"{name}.py").read_text()))
    modules = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {module.removeprefix(prefix) for module in modules if module.startswith(prefix)}


def test_the_version_covers_all_that_decides_inputs() -> None:
    found, todo = set(), {"inputs", "energy_base"}
    while todo:
        name = todo.pop()
        found.add(name)
        todo |= imported(name) - found
    assert found == set(SOURCES)
    assert (_FOLDER / "csrc" / "tape.cc").is_file()


def test_the_version_is_a_hash() -> None:
    assert inputs_version() == inputs_version()
    assert len(inputs_version()) == len("inputs-") + 16
