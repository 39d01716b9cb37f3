# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# plotly carries no usable annotations.
"""The page's plots, as plotly figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from codesign.report.view import layer_label

INK, GRID, MUTED = "#1f2933", "#e8ecf0", "#9aa5b1"
BLUE, RED, GREEN, AMBER = "#2563eb", "#dc2626", "#0d9488", "#d97706"
_MODULE_COLOURS = {"compute": BLUE, "load": AMBER, "store": GREEN, "fetch": MUTED}
_FONT = {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "color": INK}


def pareto_figure(problem: Mapping[str, Any], result: Mapping[str, Any]) -> go.Figure:
    """Accuracy against latency: all networks faintly, fronts as lines, simulated pairs as dots."""
    fronts = result["fronts"]
    figure = go.Figure()
    scores = result["certificate"]["levels"]["scores"].upper()
    figure.add_scattergl(
        x=[point[0] for point in fronts["cloud"]],
        y=[point[1] for point in fronts["cloud"]],
        mode="markers",
        name=f"networks, fastest configuration ({scores})",
        marker={"size": 4, "color": "#cbd2d9"},
        hovertemplate="%{y:.2f} %, %{x:.3f} ms<extra></extra>",
    )
    _front(figure, fronts["predicted"], f"front of all pairs ({scores})", MUTED, "dot")
    if fronts["exact"]:
        _front(figure, fronts["exact"], "front of all pairs (T2, exact)", GREEN, "solid")
    for feasible, name, colour, symbol in (
        (True, "simulated (T2), within the limits", BLUE, "circle"),
        (False, "simulated (T2), breaks a limit", AMBER, "x-thin-open"),
    ):
        _points(
            figure,
            [p for p in fronts["evaluated"] if p["feasible"] is feasible],
            name,
            colour,
            symbol,
        )
    best = result["best"]
    if best is not None:
        _points(figure, [best], "winner", RED, "star", size=17)
    for constraint in problem["constraints"]:
        if constraint["metric"] == "latency_ms":
            text = f"limit {constraint['limit']:g} ms"
            figure.add_vline(
                x=constraint["limit"],
                line={"color": RED, "width": 1, "dash": "dash"},
                annotation={"text": text, "font": {"color": RED}, "yanchor": "bottom", "y": 0},
            )
    figure.update_xaxes(title="latency, ms", rangemode="tozero", gridcolor=GRID, zeroline=False)
    figure.update_yaxes(title="accuracy, %", range=_span(fronts), gridcolor=GRID, zeroline=False)
    figure.update_layout(
        height=460,
        margin={"l": 60, "r": 16, "t": 8, "b": 48},
        font=_FONT,
        paper_bgcolor="white",
        plot_bgcolor="white",
        legend={
            "x": 0.99,
            "y": 0.03,
            "xanchor": "right",
            "yanchor": "bottom",
            "bgcolor": "rgba(255,255,255,0.85)",
        },
        hoverlabel={"font": {"family": "ui-monospace, monospace", "size": 11}},
    )
    return figure


def _span(fronts: Mapping[str, Any]) -> list[float]:
    """The accuracies worth showing: the few networks that learned nothing stay out of the view."""
    values = sorted(point[1] for point in fronts["cloud"])
    if not values:
        return [0.0, 100.0]
    low, high = (
        values[len(values) // 20],
        max(values[-1], *(p["accuracy"] for p in fronts["evaluated"])),
    )
    pad = 0.04 * (high - low) + 0.1
    return [low - pad, high + pad]


def _hover(points: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        f"{p['network'].replace('+', '+<br>')}<br>on {p['config']}<br>"
        f"{p['accuracy']:.2f} %, {p['latency_ms']:.4f} ms"
        for p in points
    ]


def _front(
    figure: go.Figure, points: Sequence[Mapping[str, Any]], name: str, colour: str, dash: str
) -> None:
    figure.add_scatter(
        x=[p["latency_ms"] for p in points],
        y=[p["accuracy"] for p in points],
        mode="lines+markers",
        name=name,
        line={"color": colour, "width": 2, "dash": dash, "shape": "hv"},
        marker={"size": 4},
        text=_hover(points),
        hovertemplate="%{text}<extra></extra>",
    )


def _points(
    figure: go.Figure,
    points: Sequence[Mapping[str, Any]],
    name: str,
    colour: str,
    symbol: str,
    size: int = 8,
) -> None:
    if not points:
        return
    figure.add_scatter(
        x=[p["latency_ms"] for p in points],
        y=[p["accuracy"] for p in points],
        mode="markers",
        name=name,
        marker={
            "size": size,
            "color": colour,
            "symbol": symbol,
            "line": {"width": 1.2, "color": colour if "open" in symbol else "white"},
        },
        text=_hover(points),
        hovertemplate="%{text}<extra></extra>",
    )


def layers_figure(result: Mapping[str, Any]) -> go.Figure:
    """Cycles of each kind of unit, all its instances together, beside their lower bound."""
    rows = sorted(result["layers"], key=lambda row: row["cycles"] * row["count"])
    labels = [f"{layer_label(row)}  × {row['count']}" for row in rows]
    cycles = [row["cycles"] * row["count"] for row in rows]
    figure = go.Figure()
    for module, colour in _MODULE_COLOURS.items():
        chosen = [i for i, row in enumerate(rows) if row["bound"] == module]
        if chosen:
            figure.add_bar(
                y=[labels[i] for i in chosen],
                x=[cycles[i] for i in chosen],
                orientation="h",
                name=f"bound by {module}",
                marker={"color": colour},
                hovertemplate="%{y}<br>%{x:,} cycles<extra></extra>",
            )
    figure.add_scatter(
        y=labels,
        x=[row["bound_cycles"] * row["count"] for row in rows],
        mode="markers",
        name="lower bound",
        marker={"symbol": "line-ns-open", "size": 13, "color": INK, "line": {"width": 2}},
        hovertemplate="lower bound %{x:,} cycles<extra></extra>",
    )
    figure.update_yaxes(
        categoryorder="array", categoryarray=labels, automargin=True, ticksuffix="  "
    )
    figure.update_xaxes(title="cycles", gridcolor=GRID, zeroline=False, rangemode="tozero")
    figure.update_layout(
        height=120 + 24 * len(rows),
        margin={"l": 8, "r": 16, "t": 36, "b": 44},
        font=_FONT,
        paper_bgcolor="white",
        plot_bgcolor="white",
        bargap=0.3,
        legend={"orientation": "h", "x": 0, "y": 1, "xanchor": "left", "yanchor": "bottom"},
    )
    return figure
