# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# plotly carries no usable annotations.
"""The winner's plots: cycles by layer, roofline, what the modules do over time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go

from codesign.report.drawing import MODULE_COLOURS
from codesign.report.plots import GRID, INK, styled
from codesign.report.view import layer_label
from codesign.report.winner_trace import LANES, WinnerTrace

_LANE_COLOURS = ("#d97706", "#e8b04a", "#2563eb", "#7c3aed", "#0d9488")


def layers_figure(result: Mapping[str, Any]) -> go.Figure:
    """Cycles of each kind of unit, all its instances together, beside their lower bound."""
    rows = sorted(result["layers"], key=lambda row: row["cycles"] * row["count"])
    labels = [f"{layer_label(row)}  × {row['count']}" for row in rows]
    cycles = [row["cycles"] * row["count"] for row in rows]
    figure = go.Figure()
    for module, colour in MODULE_COLOURS.items():
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
        name="lower bound (T0)",
        marker={"symbol": "line-ns-open", "size": 13, "color": INK, "line": {"width": 2}},
        hovertemplate="lower bound %{x:,} cycles<extra></extra>",
    )
    figure.update_yaxes(
        categoryorder="array", categoryarray=labels, automargin=True, ticksuffix="  "
    )
    figure.update_xaxes(title="cycles (T2)", gridcolor=GRID, zeroline=False, rangemode="tozero")
    height = 120 + 24 * len(rows)
    return styled(figure, height, left=8, top=36).update_layout(
        bargap=0.3, legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"}
    )


def roofline_figure(result: Mapping[str, Any]) -> go.Figure:
    """MACs a cycle against MACs a DRAM byte, under what array and bus allow."""
    config = result["config"]
    pes, bus = float(config["pes"]), config["bus_bits"] / 8
    rows = [row for row in result["layers"] if row["macs"]]
    reach = [row["macs"] / row["dram_bytes"] for row in rows] or [1.0]
    edges = sorted({min(reach) / 2, pes / bus, max(2 * max(reach), 4 * pes / bus)})
    figure = go.Figure()
    figure.add_scatter(
        x=edges,
        y=[min(pes, bus * x) for x in edges],
        mode="lines",
        name=f"roof: {pes:g} PEs, {bus:g} bytes a cycle",
        line={"color": INK, "width": 2},
        hoverinfo="skip",
    )
    most = max((row["cycles"] * row["count"] for row in rows), default=1)
    for module, colour in MODULE_COLOURS.items():
        chosen = [row for row in rows if row["bound"] == module]
        if chosen:
            figure.add_scatter(
                x=[row["macs"] / row["dram_bytes"] for row in chosen],
                y=[row["macs"] / row["cycles"] for row in chosen],
                mode="markers",
                name=f"bound by {module}",
                marker={
                    "size": [8 + 22 * (r["cycles"] * r["count"] / most) ** 0.5 for r in chosen],
                    "color": colour,
                    "opacity": 0.75,
                    "line": {"color": "white", "width": 1},
                },
                text=[f"{layer_label(row)} × {row['count']}" for row in chosen],
                hovertemplate="%{text}<br>%{y:.3g} MACs a cycle<br>%{x:.3g} MACs a byte"
                "<extra></extra>",
            )
    for update, title in (
        (figure.update_xaxes, "MACs per DRAM byte (compulsory traffic)"),
        (figure.update_yaxes, "MACs per cycle"),
    ):
        update(title=title, type="log", gridcolor=GRID, zeroline=False, dtick=1)
    return styled(figure, 400).update_layout(
        legend={"x": 0.99, "y": 0.03, "xanchor": "right", "yanchor": "bottom"}
    )


def overview_figure(trace: WinnerTrace, names: Mapping[str, str]) -> go.Figure:
    """Share of time in which each kind of work goes on, over the whole run."""
    bins = trace.busy.shape[1]
    middles = (np.arange(bins) + 0.5) * trace.cycles / bins
    layers = [names.get(span, span) for span in trace.spans]
    figure = go.Figure()
    figure.add_heatmap(
        x=_milliseconds(trace, middles),
        y=list(LANES),
        z=np.round(100 * trace.busy, 1),
        customdata=[layers] * len(LANES),
        zmin=0,
        zmax=100,
        colorscale=[[0, "#ffffff"], [1, "#1d4ed8"]],
        colorbar={"title": {"text": "busy, %", "side": "right"}, "thickness": 12},
        hovertemplate="%{customdata}<br>%{y}: busy %{z:.0f} % at %{x:.3f} ms<extra></extra>",
    )
    figure.update_yaxes(autorange="reversed", automargin=True, ticksuffix="  ")
    figure.update_xaxes(title="time, ms", zeroline=False)
    return styled(figure, 240, left=8)


def gantt_figure(trace: WinnerTrace) -> go.Figure:
    """Every stretch of work of the costliest layer, by module."""
    figure = go.Figure()
    for lane, bars, colour in zip(LANES, trace.bars, _LANE_COLOURS, strict=True):
        if bars:
            figure.add_bar(
                y=[lane] * len(bars),
                base=[start for start, _ in bars],
                x=[end - start for start, end in bars],
                orientation="h",
                marker={"color": colour, "line": {"width": 0}},
                hovertemplate="%{y}: cycles %{base:,} on, %{x:,} long<extra></extra>",
            )
    figure.update_yaxes(
        autorange="reversed",
        automargin=True,
        ticksuffix="  ",
        categoryorder="array",
        categoryarray=list(LANES),
    )
    figure.update_xaxes(title="cycle of the layer", gridcolor=GRID, zeroline=False)
    return styled(figure, 240, left=8).update_layout(
        showlegend=False, barmode="overlay", bargap=0.25
    )


def _milliseconds(trace: WinnerTrace, cycles: Any) -> Any:
    return np.round(cycles / (1e3 * trace.frequency_mhz), 5)
