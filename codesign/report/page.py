# pyright: reportUnknownVariableType=false
# plotly carries no usable annotations.
"""Stored search → HTML: everything inside, nothing fetched."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

from codesign.errors import PackageError, StoreError
from codesign.report.comparison import Comparison, compare, trails
from codesign.report.view import layer_label, layer_lines, make_view
from codesign.report.winner_trace import WinnerTrace, trace_winner
from codesign.search.loop import LAYOUT, winner_folder
from codesign.search.winner import PACKAGE
from codesign.store import RunRow, RunStore
from codesign.store.atomic import write_text

_ABROAD = re.compile(r"https?://(?!www\.w3\.org/)")
"""Addresses in plotly's library (of maps, fonts and its makers): none is left in the page."""


def write_report(
    store: str | Path, output: str | Path, run: str | None = None, others: Sequence[str | Path] = ()
) -> RunRow:
    """Write the page of a search, whole or not at all.

    Parameters
    ----------
    run : key of the search, or its beginning; without one, the last that ended
    others : further stores whose searches of the same problem stand beside those of ``store``

    Raises
    ------
    StoreError
        no such run, or none that has ended; a store that cannot be read.
    """
    with ExitStack() as stack:
        stores: list[RunStore] = [RunStore.open(path, True) for path in (store, *others)]
        for opened in stores:
            stack.callback(opened.close)
        row = stores[0].run(run)
        if row.result is None:
            raise StoreError(f"run {row.key[:12]} has no result yet; run the same search again")
        found = trails(row, stores)
        comparison = compare(row.problem, found) if len(found) > 1 else None
    package = winner_folder(store, row.key) / PACKAGE
    try:
        trace = trace_winner(package) if row.result["best"] is not None else None
        missing = ""
    except PackageError as error:
        trace, missing = None, str(error)
    write_text(output, render(row, trace, comparison, missing))
    return row


def render(
    row: RunRow,
    trace: WinnerTrace | None = None,
    comparison: Comparison | None = None,
    missing: str = "",
) -> str:
    """The page of one finished search; ``missing`` says why there is no ``trace``.

    Raises
    ------
    StoreError
        the search has not ended, or another version of codesign made its result.
    """
    import jinja2
    from plotly.offline import get_plotlyjs

    from codesign.report.plots import hypervolume_figure, pareto_figure
    from codesign.report.winner_plots import layers_figure, roofline_figure

    if row.result is None or row.result.get("layout") != LAYOUT:
        what = "no result yet" if row.result is None else "a result of another codesign version"
        raise StoreError(f"run {row.key[:12]} has {what}; run the same search again")
    source = resources.files("codesign.report") / "templates" / "report.html"
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(source.read_text(encoding="utf-8"))
    problem, result = row.problem, row.result
    layers = bool(result["layers"])
    plots = {
        metric: _plot(pareto_figure(problem, result, metric), metric)
        for metric in ("latency_ms", "energy_mj", "dsp")
    }
    return template.render(
        view=make_view(problem, result),
        plots=plots,
        layers=_plot(layers_figure(result), "layers") if layers else "",
        roofline=_plot(roofline_figure(result), "roofline") if layers else "",
        comparison=comparison,
        growth="" if comparison is None else _plot(hypervolume_figure(comparison), "growth"),
        trace=None if trace is None else _traced(trace),
        missing=missing,
        plotly=_ABROAD.sub("offline:", get_plotlyjs()),
        run=row.key,
    )


def _traced(trace: WinnerTrace) -> dict[str, str]:
    """Drawing and time lines of the winner."""
    from codesign.report.drawing import draw_network
    from codesign.report.winner_plots import gantt_figure, overview_figure

    rows = [{"op": layer.op, "workload": asdict(layer.workload)} for layer in trace.layers]
    names = {layer.name: layer_label(row) for layer, row in zip(trace.layers, rows, strict=True)}
    return {
        "drawing": draw_network(trace.layers, [layer_lines(row) for row in rows]),
        "overview": _plot(overview_figure(trace, names), "overview"),
        "gantt": _plot(gantt_figure(trace), "gantt"),
        "longest": names[trace.layers[trace.longest].name],
    }


def _plot(figure: Any, name: str) -> str:
    from plotly.io import to_html

    config = {"displaylogo": False, "responsive": True, "displayModeBar": False}
    return str(to_html(figure, config=config, include_plotlyjs=False, full_html=False, div_id=name))
