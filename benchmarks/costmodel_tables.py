"""The tables of the cost model's accuracy: numbers first, then their print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from costmodel_cases import NOUNS, Case, Outcome
from rich.console import Console
from rich.table import Table

Row = dict[str, float | None]
Facts = Mapping[str, Any]

_WIDTH = 140
_COLUMNS = {
    "mape": "layer MAPE %",
    "median": "median %",
    "p95": "p95 %",
    "spearman": "Spearman",
    "network_mape": "network MAPE %",
    "network_p95": "p95 %",
    "coverage": "in 90 % interval, %",
    "energy_mape": "energy MAPE %",
}


def accuracy(found: Mapping[str, Sequence[tuple[Case, Outcome, float]]]) -> dict[str, Any]:
    """Errors by split: the mean over seeds, each seed (the mean over families), each family.

    ``found``: split -> cases with their errors and the energy head's mean error.
    """
    table: dict[str, Any] = {}
    for name, of in found.items():
        rows = [(case, row(outcome, energy)) for case, outcome, energy in of]
        seeds = sorted({case.seed for case, _ in rows})
        families = dict.fromkeys(case.family for case, _ in rows if case.family)
        by_seed = {s: mean([r for case, r in rows if case.seed == s]) for s in seeds}
        table[name] = {
            "mean": mean(list(by_seed.values())),
            "by_seed": by_seed,
            "by_family": {f: mean([r for case, r in rows if case.family == f]) for f in families},
            "train_rows": sorted({len(case.split.train) for case, _, _ in of}),
            "test_rows": sorted({len(case.split.test) for case, _, _ in of}),
            "families_without_a_sum": sorted({f for _, o, _ in of for f in o.unsummed}),
        }
    return table


def row(outcome: Outcome, energy: float | None = None) -> Row:
    """One case's numbers."""
    layer = outcome.layer
    return {
        "mape": layer.mape,
        "median": layer.median,
        "p95": layer.p95,
        "spearman": layer.spearman,
        "network_mape": outcome.network_mape,
        "network_p95": outcome.network_p95,
        "coverage": None if layer.coverage is None else 100 * layer.coverage,
        "energy_mape": energy,
    }


def mean(rows: Sequence[Row]) -> Row:
    """Column by column, over the rows that have a number there."""
    found: Row = {}
    for name in rows[0]:
        values = [value for r in rows if (value := r[name]) is not None]
        found[name] = float(np.mean(values)) if values else None
    return found


def show(figures: Mapping[str, Any]) -> None:
    """Print the tables that the figures of a run hold."""
    console = Console(highlight=False, width=_WIDTH)
    few = {name: facts for name, facts in figures.items() if name.startswith(NOUNS["networks"])}
    console.print(_accuracy({NOUNS[n]: facts for n, facts in figures["accuracy"].items()} | few))
    if "rivals" in figures:
        console.print(_rivals(figures["rivals"]))
    if "mean_error_percent_by_traces" in figures:
        console.print(_curve(figures["mean_error_percent_by_traces"]))
    for name, facts in figures["residuals"].items():
        console.print(_residuals(NOUNS[name], facts))


def _accuracy(table: Mapping[str, Any]) -> Table:
    made = _table(
        "Errors of T1 on groups that training never saw: mean, each seed, each family",
        ("split", *_COLUMNS.values()),
    )
    for name, facts in table.items():
        made.add_row(f"[bold]{name}[/]", *_cells(facts["mean"]))
        for seed, numbers in facts["by_seed"].items():
            made.add_row(f"  seed {seed}", *_cells(numbers))
        for family, numbers in facts["by_family"].items():
            made.add_row(f"  {family}", *_cells(numbers))
        made.add_section()
    return made


def _rivals(table: Mapping[str, Any]) -> Table:
    title = "Layer MAPE % (network MAPE %) of T1 and its rivals: same rows, same tuning budget"
    made = _table(title, ("", *NOUNS.values()))
    for rival, by_split in table.items():
        made.add_row(
            rival,
            *(
                f"{r['mape']:,.2f}"
                + ("" if r["network_mape"] is None else f" ({r['network_mape']:,.2f})")
                for r in (by_split[name] for name in NOUNS)
            ),
        )
    return made


def _curve(curve: Mapping[str, Mapping[int, float]]) -> Table:
    made = _table("Layer MAPE % of T1 by number of training traces", ("", "traces: error"))
    for name, values in curve.items():
        made.add_row(name, "  ".join(f"{n}: {error:.2f}" for n, error in values.items()))
    return made


def _residuals(noun: str, facts: Mapping[str, Any]) -> Table:
    made = _table(f"Where the errors lie, {noun}: layer MAPE %", ("", ""))
    for what, values in facts["by"].items():
        made.add_row(f"by {what}", "  ".join(f"{k} {v:.2f}" for k, v in values.items()))
    share = facts["share_of_error_in_worst_percent"]
    made.add_row("worst 1 % of the pairs", f"{share:.0%} of all error")
    for pair in facts["worst"][:3]:
        ratios = f"T1 {pair['predicted_to_simulated']:.2f}, T0 {pair['t0_to_simulated']:.2f}"
        where = f"{pair['title']} on {pair['config']}"
        made.add_row("furthest off, x simulated", f"{ratios}: {where}")
    return made


def _table(title: str, headings: Sequence[str]) -> Table:
    made = Table(title=title, title_justify="left")
    for index, heading in enumerate(headings):
        made.add_column(heading, justify="right" if index and len(headings) > 2 else "left")
    return made


def _cells(numbers: Row) -> list[str]:
    return [
        "" if (value := numbers[name]) is None else f"{value:.{4 if name == 'spearman' else 2}f}"
        for name in _COLUMNS
    ]
