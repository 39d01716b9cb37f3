"""No row of the published systems passes without something that can fail."""

from pathlib import Path

import pytest
from published_systems import Row, markdown, read_rows, verdict
from stored import ROOT

TEST, CLAIM = "tests/a.py::test_b", "bench: regret"


def test_every_row_is_listed_once() -> None:
    wanted = [f"{system}{n}" for system, last in (("N", 16), ("H", 14), ("S", 14), ("F", 22))
              for n in range(1, last + 1)]  # fmt: skip
    assert [row.id for row in read_rows()] == wanted


@pytest.mark.parametrize("row", read_rows(), ids=lambda row: row.id)
def test_a_row_names_tests_and_benchmarks_that_exist_or_what_is_missing(row: Row) -> None:
    assert row.what and (row.tests or row.claims or row.missing)
    for node in row.tests:
        file, _, function = node.partition("::")
        assert f"def {function}(" in Path(ROOT, file).read_text()
    for claim in row.claims:
        assert Path(ROOT, "benchmarks", claim.partition(": ")[0] + ".py").is_file()


@pytest.mark.parametrize(
    ("missing", "passed", "claims", "status"),
    [
        ("", True, [("regret after 200", True), ("regret after 1000", True)], "pass"),
        ("", True, [("regret after 200", True), ("regret after 1000", False)], "fail"),
        ("", False, [("regret after 200", True)], "fail"),
        ("", None, [("regret after 200", True)], "not yet"),
        ("", True, [("other", True)], "not yet"),
        ("a sweep", True, [("regret", True)], "not yet"),
        ("a sweep", False, [("regret", True)], "fail"),
    ],
)
def test_one_failure_decides_and_silence_does_not(
    missing: str, passed: bool | None, claims: list[tuple[str, bool]], status: str
) -> None:
    row = Row("X1", "what", (TEST,), (CLAIM,), missing)
    tests = {} if passed is None else {TEST: passed}
    found = verdict(row, tests, {"bench": claims})
    assert found.status == status
    assert found.by
    assert f"| X1 | what | {status} |" in markdown([found])
    assert "1 rows: " in markdown([found]) and f"1 {status}" in markdown([found])


def test_nothing_decides_nothing() -> None:
    assert verdict(Row("X1", "what"), {TEST: True}, {}).status == "not yet"


def test_the_stored_table_lists_the_rows_as_they_are() -> None:
    text = Path(ROOT, "benchmarks", "results", "published_systems.md").read_text()
    listed = [line.split(" | ")[:2] for line in text.splitlines() if line.startswith("| ")][1:]
    assert listed == [[f"| {row.id}", row.what] for row in read_rows()]
