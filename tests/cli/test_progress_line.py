import io
import sys

import pytest

from codesign.cli.search import ProgressLine
from codesign.search import Evaluation, Pair
from codesign.search.evaluator import Spent
from codesign.search.loop import Standing


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", "140")
    line = ProgressLine()
    line.step("networks", 500, 15625)
    figures = {"accuracy": 70.86, "latency_ms": 3.983}
    best = Evaluation(Pair(0, 0), "n", "c", figures, (), 0.0)
    spent = Spent(3_000_000, 0, 16, 4, 16.24)
    line.step("pairs at T2", 0, 50)
    line.watch(Standing(spent, 50, best, 3))
    line.step("pairs at T2", 50, 50)
    line.watch(Standing(Spent(3_000_000, 0, 20, 4, 20.24), 50, None, 0))
    line.step("compiling and running the winner", 1, 1)
    line.close()
    return stream.getvalue()


def test_a_terminal_sees_one_live_line_for_each_kind_of_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = lines(Terminal(), monkeypatch)
    assert "networks: 500/15625" in text
    assert "pairs at T2: 50/50 | best 70.86 %, 3.98 ms | front 3 | T0 3000000, T2 16" in text
    assert "short 4 | ETA -" in text and "best none feasible" in text
    assert "T2 20, short 4 | ETA 0:0" in text
    assert text.count("\n") == 3 and text.count("\r") == 2 and text.endswith("\n")
    assert all(len(part) < 145 for part in text.replace("\r", "\n").split("\n"))


def test_elsewhere_it_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lines(io.StringIO(), monkeypatch) == ""
