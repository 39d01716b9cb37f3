"""What verbs share."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from codesign.cli import main
from codesign.cli.common import address, notice, positive, print_json, print_table, progress, seed


@dataclass(frozen=True)
class _Point:
    x: int
    path: Path


def test_json_of_values(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"point": _Point(1, Path("a/b")), "n": np.int64(3), "a": np.arange(2)})
    assert json.loads(capsys.readouterr().out) == {
        "point": {"x": 1, "path": "a/b"}, "n": 3, "a": [0, 1],
    }  # fmt: skip
    with pytest.raises(TypeError, match="object has no JSON form"):
        print_json(object())


@pytest.mark.parametrize("text", ["x", "0", "-1", "1.5", "", "1_0"])
def test_counts_that_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="a whole number from 1 on is allowed"):
        positive(text)


@pytest.mark.parametrize("text", ["x", "-1", "0x", "1.5", ""])
def test_addresses_that_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="from 0 on is allowed, like 0x10000000"):
        address(text)


def test_numbers_of_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert (positive("12"), address("0x1000"), address("4096")) == (12, 4096, 4096)
    with pytest.raises(SystemExit):
        main(["search", "problem.toml", "--budget", "x"])
    assert "--budget: 'x': a whole number from 1 on is allowed" in capsys.readouterr().err


def test_table_in_a_pipe_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "cycles"), [("a" * 200, 1234567), ("[b]", 2)], title="layers")
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "layers"
    assert lines[-2] == f"{'a' * 200}   1 234 567"
    assert lines[-1].startswith("[b]")
    assert lines[-1].endswith(" 2")


def test_progress_is_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("work", 2) as advance:
        advance(1)
    notice("done")
    assert capsys.readouterr().err == "codesign: done\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nn", "sample", "nasbench201", "--seed"],
        ["nn", "accuracy", "nasbench201", "any", "--seeds", "0"],
        ["trace", "-o", "x.db", "--seed"],
        ["train", "x.db", "-o", "m.ubj", "--seed"],
        ["search", "p.toml", "--seed"],
    ],
    ids=["sample", "accuracy", "trace", "train", "search"],
)
@pytest.mark.parametrize("value", ["-1", "2147483648", "x"])
def test_seeds_that_no_generator_takes(
    arguments: list[str], value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, value])
    assert stopped.value.code == 2
    wanted = f"'{value}': a whole number from 0 to 2147483647 is allowed"
    assert wanted in capsys.readouterr().err
    assert seed("2147483647") == 2**31 - 1
