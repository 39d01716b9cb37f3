# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# plotly carries no usable annotations.
"""The page's plots of a search: Pareto fronts, and strategies against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from codesign.report.comparison import Comparison
from codesign.report.figures import FIGURES, number

INK, GRID, MUTED = "#1f2933", "#e8ecf0", "#9aa5b1"
BLUE, RED, GREEN, AMBER = "#2563eb", "#dc2626", "#0d9488", "#d97706"
_FONT = {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "color": INK}
_STRATEGY_COLOURS = (
    *("#2563eb", "#dc2626", "#0d9488", "#d97706", "#7c3aed", "#475569", "#db2777", "#65a30d"),
    *("#0891b2", "#92400e", "#1e3a8a", "#ca8a04", "#be123c", "#115e59", "#6b21a8", "#9a3412"),
)


def styled(figure: go.Figure, height: int, left: int = 64, top: int = 8) -> go.Figure:
    """The look that all plots share."""
    figure.update_layout(
        height=height,
        margin={"l": left, "r": 16, "t": top, "b": 48},
        font=_FONT,
        paper_bgcolor="white",
        plot_bgcolor="white",
        hoverlabel={"font": {"family": "ui-monospace, monospace", "size": 11}},
    )
    return figure


def pareto_figure(problem: Mapping[str, Any], result: Mapping[str, Any], metric: str) -> go.Figure:
    """Accuracy against ``metric`` of the simulated pairs with their front; against latency also
    all networks, faintly, and the fronts of all pairs."""
    fronts = result["fronts"]
    figure = go.Figure()
    if metric == "latency_ms":
        _all_pairs(figure, result)
    evaluated: Sequence[Mapping[str, Any]] = fronts["evaluated"]
    front = _front_of([p for p in evaluated if p["feasible"]], metric)
    if metric != "latency_ms" or not fronts["exact"]:
        _front(figure, front, metric, "front of the simulated pairs (T2)", BLUE, "solid")
    for feasible, name, colour, symbol in (
        (True, "simulated (T2), within the limits", BLUE, "circle"),
        (False, "simulated (T2), breaks a limit", AMBER, "x-thin-open"),
    ):
        chosen = [p for p in evaluated if p["feasible"] is feasible]
        _points(figure, chosen, metric, name, colour, symbol)
    if result["best"] is not None:
        _points(figure, [result["best"]], metric, "winner", RED, "star", size=17)
    for constraint in problem["constraints"]:
        if constraint["metric"] == metric:
            figure.add_vline(x=constraint["limit"], line={"color": RED, "width": 1, "dash": "dash"})
            figure.add_annotation(
                x=constraint["limit"],
                y=1,
                yref="paper",
                text=f"limit {number(constraint['limit'])} {FIGURES[metric].unit}".strip(),
                font={"color": RED},
                showarrow=False,
                xanchor="left",
                yanchor="top",
                xshift=4,
            )
    figure.update_xaxes(
        title=FIGURES[metric].axis, rangemode="tozero", gridcolor=GRID, zeroline=False
    )
    figure.update_yaxes(title="accuracy, %", range=_span(fronts), gridcolor=GRID, zeroline=False)
    large = metric == "latency_ms"
    return styled(figure, 460 if large else 330).update_layout(
        showlegend=large,
        legend={"orientation": "h", "x": 0, "y": -0.14, "xanchor": "left", "yanchor": "top"},
    )


def _all_pairs(figure: go.Figure, result: Mapping[str, Any]) -> None:
    fronts = result["fronts"]
    scores = result["certificate"]["levels"]["scores"].upper()
    figure.add_scattergl(
        x=[point[0] for point in fronts["cloud"]],
        y=[point[1] for point in fronts["cloud"]],
        mode="markers",
        name=f"networks, each on its fastest configuration ({scores})",
        marker={"size": 4, "color": "#cbd2d9"},
        hovertemplate="%{y:.2f} %, %{x:.3f} ms<extra></extra>",
    )
    name = f"front of all pairs ({scores})"
    _front(figure, fronts["predicted"], "latency_ms", name, MUTED, "dot")
    if fronts["exact"]:
        name = "front of all pairs (T2, exact)"
        _front(figure, fronts["exact"], "latency_ms", name, GREEN, "solid")


def _span(fronts: Mapping[str, Any]) -> list[float]:
    """The accuracies worth showing: the few networks that learned nothing stay out of the view."""
    values = sorted(point[1] for point in fronts["cloud"])
    if not values:
        return [0.0, 100.0]
    low = values[len(values) // 20]
    high = max([values[-1], *(p["accuracy"] for p in fronts["evaluated"])])
    pad = 0.04 * (high - low) + 0.1
    return [low - pad, high + pad]


def _hover(points: Sequence[Mapping[str, Any]], metric: str) -> list[str]:
    return [
        f"{p['network'].replace('+', '+<br>')}<br>on {p['config']}<br>"
        f"{FIGURES['accuracy'].show(p['accuracy'])}, {FIGURES[metric].show(p[metric])}"
        for p in points
    ]


def _front_of(points: Sequence[Mapping[str, Any]], metric: str) -> list[Mapping[str, Any]]:
    """The points that no other beats in both, cheapest first."""
    found: list[Mapping[str, Any]] = []
    for point in sorted(points, key=lambda p: (p[metric], -p["accuracy"])):
        if not found or point["accuracy"] > found[-1]["accuracy"]:
            found.append(point)
    return found


def _front(
    figure: go.Figure,
    points: Sequence[Mapping[str, Any]],
    metric: str,
    name: str,
    colour: str,
    dash: str,
) -> None:
    figure.add_scatter(
        x=[p[metric] for p in points],
        y=[p["accuracy"] for p in points],
        mode="lines+markers",
        name=name,
        line={"color": colour, "width": 2, "dash": dash, "shape": "hv"},
        marker={"size": 4},
        text=_hover(points, metric),
        hovertemplate="%{text}<extra></extra>",
    )


def _points(
    figure: go.Figure,
    points: Sequence[Mapping[str, Any]],
    metric: str,
    name: str,
    colour: str,
    symbol: str,
    size: int = 8,
) -> None:
    if not points:
        return
    figure.add_scatter(
        x=[p[metric] for p in points],
        y=[p["accuracy"] for p in points],
        mode="markers",
        name=name,
        marker={
            "size": size,
            "color": colour,
            "symbol": symbol,
            "line": {"width": 1.2, "color": colour if "open" in symbol else "white"},
        },
        text=_hover(points, metric),
        hovertemplate="%{text}<extra></extra>",
    )


def _faint(colour: str) -> str:
    """The colour #rrggbb, mostly transparent."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.13)"


def hypervolume_figure(comparison: Comparison) -> go.Figure:
    """Hypervolume by what was spent: median as a line, lowest to highest seed as a band."""
    figure = go.Figure()
    for place, curve in enumerate(comparison.curves):
        colour = _STRATEGY_COLOURS[place % len(_STRATEGY_COLOURS)]
        if curve.seeds > 1:
            for edge, fill in ((curve.low, "none"), (curve.high, "tonexty")):
                figure.add_scatter(
                    x=curve.spent,
                    y=edge,
                    mode="lines",
                    fill=fill,
                    fillcolor=_faint(colour),
                    line={"width": 0, "shape": "hv"},
                    hoverinfo="skip",
                    legendgroup=curve.strategy,
                    showlegend=False,
                )
        seeds = f"{curve.seeds} seeds" if curve.seeds > 1 else "1 seed"
        figure.add_scatter(
            x=curve.spent,
            y=curve.median,
            mode="lines",
            name=f"{curve.strategy} ({seeds})",
            line={"color": colour, "width": 2, "shape": "hv"},
            legendgroup=curve.strategy,
            hovertemplate=f"{curve.strategy}<br>%{{x:.0f}} evaluations: %{{y:.1f}} %"
            "<extra></extra>",
        )
    figure.update_xaxes(title="evaluations (T2)", rangemode="tozero", gridcolor=GRID)
    figure.update_yaxes(
        title="hypervolume, % of all searches together", range=[0, 103], gridcolor=GRID
    )
    return styled(figure, 380).update_layout(
        legend={"x": 0.99, "y": 0.03, "xanchor": "right", "yanchor": "bottom"}
    )
