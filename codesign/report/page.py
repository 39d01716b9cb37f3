# pyright: reportUnknownVariableType=false
# plotly carries no usable annotations.
"""Stored search → HTML: everything inside, nothing fetched."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from codesign.errors import StoreError
from codesign.report.view import make_view
from codesign.store import RunRow
from codesign.store.atomic import write_text


def render(row: RunRow) -> str:
    """The page of one finished search; StoreError if it has not ended."""
    import jinja2
    from plotly.offline import get_plotlyjs

    from codesign.report.plots import layers_figure, pareto_figure

    if row.result is None:
        raise StoreError(f"run {row.key[:12]} has no result yet; run the same search again")
    source = resources.files("codesign.report") / "templates" / "report.html"
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(source.read_text(encoding="utf-8"))
    return template.render(
        view=make_view(row.problem, row.result),
        pareto=_plot(pareto_figure(row.problem, row.result), "pareto"),
        layers=_plot(layers_figure(row.result), "layers") if row.result["layers"] else "",
        plotly=get_plotlyjs(),
        run=row.key,
    )


def _plot(figure: Any, name: str) -> str:
    from plotly.io import to_html

    config = {"displaylogo": False, "responsive": True, "displayModeBar": False}
    return str(to_html(figure, config=config, include_plotlyjs=False, full_html=False, div_id=name))


def write_report(row: RunRow, path: str | Path) -> Path:
    """Write the page, whole or not at all."""
    write_text(path, render(row))
    return Path(path)
