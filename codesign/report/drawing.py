"""The winner's network as a drawing: one box a layer, inline SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from codesign.report.figures import number
from codesign.report.winner_trace import Layer, levels

MODULE_COLOURS: Mapping[str, str] = {
    "compute": "#2563eb",
    "load": "#d97706",
    "store": "#0d9488",
    "fetch": "#9aa5b1",
}
_WIDTH, _ROW, _BOX, _GAP = 1000, 46, 34, 8
_MARGIN = 26
"""Left of each column, and right of the last, so that arrows beside the boxes have room."""
_COLUMNS, _FEW = 4, 10
_CHARACTER = 5.9
"""Width of one character of a label, pixels."""


@dataclass(frozen=True)
class _Box:
    x: float
    y: float
    width: float
    level: int
    column: int
    leftmost: bool


def draw_network(layers: Sequence[Layer], labels: Sequence[tuple[str, str]]) -> str:
    """An ``<svg>``: layers top to bottom, then the next column; the colour is the module that
    bounds a layer, the filled share of its lower edge its share of the network's cycles.

    ``labels`` are two lines for each layer.
    """
    boxes = _places(layers)
    total = sum(layer.cycles for layer in layers) or 1
    most = max(layer.cycles for layer in layers) or 1
    height = max(box.y for box in boxes) + _BOX + 6
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" width="100%" role="img" '
        'aria-label="layers of the network" font-family="inherit">',
        '<defs><marker id="tip" viewBox="0 0 6 6" refX="5" refY="3" markerWidth="5" '
        'markerHeight="5" orient="auto"><path d="M0 0 6 3 0 6z" fill="#9aa5b1"/></marker></defs>',
    ]
    for place, layer in enumerate(layers):
        for before in layer.before:
            parts.append(_arrow(boxes[before], boxes[place], layer.host))
    for layer, lines, box in zip(layers, labels, boxes, strict=True):
        parts.append(_box(layer, lines, box, layer.cycles / total, layer.cycles / most))
    return "\n".join([*parts, "</svg>"])


def _places(layers: Sequence[Layer]) -> list[_Box]:
    depth = levels(layers)
    rows = max(_FEW, -(-(max(depth) + 1) // _COLUMNS))
    columns = -(-(max(depth) + 1) // rows)
    wide = (_WIDTH - _MARGIN * (columns + 1)) / columns
    wide, shift = (wide, _MARGIN) if columns > 1 else (wide / 2, wide / 4)
    boxes: list[_Box] = []
    for place, level in enumerate(depth):
        beside = [other for other, its in enumerate(depth) if its == level]
        width = (wide - _GAP * (len(beside) - 1)) / len(beside)
        column, row = divmod(level, rows)
        x = shift + column * (wide + _MARGIN) + beside.index(place) * (width + _GAP)
        boxes.append(_Box(x, 4 + row * _ROW, width, level, column, place == beside[0]))
    return boxes


def _arrow(start: _Box, end: _Box, host: bool) -> str:
    dash = ' stroke-dasharray="4 3"' if host else ""
    middle = _BOX / 2
    if start.column != end.column:
        a, b = (start.x + start.width, start.y + middle), (end.x, end.y + middle)
        bends = (a[0] + _MARGIN, a[1]), (b[0] - _MARGIN, b[1])
    elif end.level == start.level + 1:
        a, b = (start.x + start.width / 2, start.y + _BOX), (end.x + end.width / 2, end.y)
        bends = (a[0], (a[1] + b[1]) / 2), (b[0], (a[1] + b[1]) / 2)
    else:  # past the layers between, on the side where the first box lies
        left = start.leftmost
        a = (start.x + (0 if left else start.width), start.y + middle)
        b = (end.x + (0 if left else end.width), end.y + middle)
        aside = min(a[0], b[0]) - 16 if left else max(a[0], b[0]) + 16
        bends = (aside, a[1]), (aside, b[1])
    curve = "C" + " ".join(f"{x:.1f} {y:.1f}" for x, y in bends)
    return (
        f'<path d="M{a[0]:.1f} {a[1]:.1f}{curve} {b[0]:.1f} {b[1]:.1f}" fill="none" '
        f'stroke="#9aa5b1" stroke-width="1.2"{dash} marker-end="url(#tip)"/>'
    )


def _box(layer: Layer, lines: tuple[str, str], box: _Box, share: float, of_most: float) -> str:
    colour = MODULE_COLOURS[layer.bound]
    fits = int((box.width - 10) / _CHARACTER)
    shown = [line if len(line) <= fits else line[: max(1, fits - 1)] + "…" for line in lines]
    title = (
        f"{layer.name}: {lines[0]}, {lines[1]}; {number(layer.cycles)} cycles, "
        f"{100 * share:.1f} % of the network's, bound by {layer.bound}"
    )
    return (
        f"<g><title>{escape(title)}</title>"
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{_BOX}" rx="4" '
        f'fill="white" stroke="{colour}"/>'
        f'<rect x="{box.x:.1f}" y="{box.y + _BOX - 4:.1f}" width="{box.width * of_most:.1f}" '
        f'height="4" rx="1" fill="{colour}"/>'
        f'<text x="{box.x + 6:.1f}" y="{box.y + 13:.1f}" font-size="11" font-weight="600" '
        f'fill="#1f2933">{escape(shown[0])}</text>'
        f'<text x="{box.x + 6:.1f}" y="{box.y + 26:.1f}" font-size="11" '
        f'fill="#616e7c">{escape(shown[1])}</text></g>'
    )
