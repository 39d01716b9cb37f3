"""The tables of the published systems with rows of our own."""

from pathlib import Path

import pytest
from published_tables import (
    JOINT,
    METRICS,
    NAF,
    NEUHARDCO,
    Row,
    Searches,
    main,
    ratios,
    table_of_baselines,
    table_of_costs,
    table_of_frames,
)
from rich.table import Table
from truth import joint_truth


@pytest.fixture(scope="module")
def searches() -> Searches:
    return Searches(joint_truth("nasbench201"), "all 3x3", METRICS[0], "surrogate", 60.0, (0,))


@pytest.fixture(scope="module")
def rows(searches: Searches) -> list[Row]:
    return searches.rows()


def column(table: Table, heading: str) -> list[str]:
    return [str(cell) for c in table.columns if c.header == heading for cell in c.cells]


def test_every_row_keeps_accuracy_and_dsps_and_is_what_the_table_says(
    searches: Searches, rows: list[Row]
) -> None:
    truth = searches.truth
    for row in rows:
        assert row.accuracy >= rows[0].accuracy
        assert row.dsp <= rows[0].dsp
        network = truth.pairs.networks.names.index(row.network)
        config = [c.name for c in truth.pairs.configs].index(row.config)
        assert row.latency_ms == truth.figure("latency_ms")[network, config]
    assert rows[1].latency_ms <= rows[0].latency_ms
    assert 0 < rows[-1].evaluations <= 60


def test_the_tables_have_our_rows_under_the_published_columns(
    searches: Searches, rows: list[Row]
) -> None:
    ours = [row.name for row in rows]
    first = table_of_baselines("name", rows)
    assert column(first, "pair") == [*ours, *(row[0] for row in NEUHARDCO)]
    assert {"top-1 %", "ms", "mJ", "kLUT", "DSP"} <= {str(c.header) for c in first.columns}
    assert column(first, "ms")[-1] == "11.6"
    frames = table_of_frames("name", rows)
    assert column(frames, "pair") == [*ours, NAF[0][0]]
    joint = float(column(frames, "frames/s")[ours.index(JOINT)])
    assert joint == pytest.approx(1000 / rows[-1].latency_ms, rel=1e-3)
    costs = table_of_costs("name", searches.truth, rows)
    assert column(costs, "pairs")[-2:] == ["3,000,000", "2.45e41"]


def test_a_joint_pair_worse_than_a_baseline_fails(rows: list[Row]) -> None:
    assert all(claim.holds for claim in ratios("name", "latency_ms", rows))
    assert not ratios("name", "latency_ms", [*rows[::-1]])[0].holds


def test_the_plots_are_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quick", "--json", "--budget", "60", "--plots", str(tmp_path)]) in (0, 1)
    assert capsys.readouterr().out.startswith("{")
    drawn = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert set(drawn) == {"all_pairs.png", "energy_by_evaluation.png"}
    assert min(drawn.values()) > 10_000
