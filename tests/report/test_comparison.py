from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.report.comparison import Trail, compare, hypervolume, trails
from codesign.report.plots import hypervolume_figure
from codesign.store import EvaluationRow, RunStore

PROBLEM: dict[str, Any] = {
    "objectives": [
        {"metric": "accuracy", "goal": "max"},
        {"metric": "latency_ms", "goal": "min"},
    ]
}
POINTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12)


@given(POINTS)
def test_hypervolume_counts_the_cells_that_a_point_dominates(points: list[tuple[int, int]]) -> None:
    cells = {(a, b) for x, y in points for a in range(x, 9) for b in range(y, 9)}
    found = hypervolume(np.array(points, float), np.array([9.0, 9.0]))
    assert found == len(cells)


def trail(strategy: str, seed: int, losses: list[list[float]], feasible: list[bool]) -> Trail:
    spent = np.arange(1.0, len(losses) + 1)
    return Trail(strategy, seed, spent, np.array(losses), np.array(feasible))


def test_curves_grow_to_what_all_searches_found() -> None:
    good = [[-60.0, 2.0], [-70.0, 1.0], [-90.0, 0.5]]
    found = compare(
        PROBLEM,
        [
            trail("good", 0, good, [True, True, True]),
            trail("poor", 0, [[-50.0, 3.0], [-70.0, 3.0]], [True, True]),
            trail("poor", 1, [[-99.0, 0.1], [-50.0, 3.0]], [False, True]),
        ],
    )
    assert found is not None
    curves = {curve.strategy: curve for curve in found.curves}
    assert curves["good"].median.tolist() == pytest.approx([10.0, 40.0, 100.0])
    assert curves["poor"].seeds == 2 and curves["poor"].high.max() == 0.0
    rows = {row[0]: row for row in found.rows}
    assert rows["good"][3:] == ("1 of 1", "90.00 %", "100.0 %", "3")
    assert rows["poor"][3:] == ("2 of 2", "60.00 % (50.00 % to 70.00 %)", "0.0 %", "not reached")
    assert len(hypervolume_figure(found).data) == 4


def test_nothing_feasible_is_nothing_to_compare() -> None:
    assert compare(PROBLEM, [trail("a", 0, [[-1.0, 1.0]], [False])]) is None


def test_only_finished_searches_of_the_same_problem_stand_side_by_side(tmp_path: Path) -> None:
    def result(problem: str) -> dict[str, Any]:
        hashes = {"problem": problem, "networks": "n", "configs": "c", "accuracy": "a"}
        used = {"price": 1.5, "t2": 1, "short": 1}
        return {"certificate": {"hashes": hashes, "evaluations": used}}

    rows = [
        EvaluationRow(
            0, "n", "c", "short schedule", {"figures": {"accuracy": 9}, "violations": []}
        ),
        EvaluationRow(
            1,
            "n",
            "c",
            "t2",
            {"figures": {"accuracy": 60.0, "latency_ms": 2.0}, "violations": []},
        ),
    ]
    with RunStore.open(tmp_path / "run.db") as store:
        for key, problem in (("a1", "p"), ("b2", "p"), ("c3", "other"), ("d4", "")):
            store.add_run(key, PROBLEM | {"strategy": key, "seed": 0}, {})
            store.add_evaluations(key, rows)
            if problem:
                store.add_result(key, result(problem))
        found = trails(store.run("a1"), [store, store])
    assert [one.strategy for one in found] == ["a1", "b2"]
    assert found[0].spent.tolist() == [0.5, 1.5]
    assert found[0].feasible.tolist() == [False, True]
    assert found[0].losses[1].tolist() == [-60.0, 2.0]
