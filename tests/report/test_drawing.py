import re

import numpy as np

from codesign.kernels import ConvWorkload
from codesign.report.drawing import draw_network
from codesign.report.winner_plots import gantt_figure, overview_figure
from codesign.report.winner_trace import LANES, Layer, WinnerTrace, _merged, _overview, levels

CONV = ConvWorkload(16, 16, 8, 8, (3, 3), padding=(1, 1, 1, 1))


def chain(count: int) -> list[Layer]:
    """Layers one after another, every fourth with a branch beside it."""
    found = [Layer("layer0", "conv2d", CONV, 100, "compute", (), False)]
    while len(found) < count:
        place = len(found)
        before = (place - 2,) if place % 4 == 2 else (place - 1,)
        found.append(Layer(f"layer{place}", "conv2d", CONV, 50, "load", before, place == 5))
    return found


def test_every_layer_has_a_box_of_its_own_inside_the_drawing() -> None:
    layers = chain(70)
    drawing = draw_network(layers, [("a <label>", "16 → 16") for _ in layers])
    height = float(re.findall(r'viewBox="0 0 1000 (\d+)"', drawing)[0])
    boxes = [
        tuple(map(float, found))
        for found in re.findall(
            r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="34"', drawing
        )
    ]
    assert len(boxes) == 70
    for place, (x, y, width) in enumerate(boxes):
        assert x >= 0 and x + width <= 1000.1 and y + 34 <= height
        for ox, oy, owidth in boxes[:place]:
            assert x >= ox + owidth - 0.1 or ox >= x + width - 0.1 or y >= oy + 34 or oy >= y + 34
    assert drawing.count("marker-end") == 69 and drawing.count("stroke-dasharray") == 1
    assert "a &lt;label&gt;" in drawing and "<label>" not in drawing


def test_layers_lie_below_what_they_read() -> None:
    layers = chain(9)
    depth = levels(layers)
    assert all(depth[place] > depth[b] for place, one in enumerate(layers) for b in one.before)


def test_bars_that_touch_are_one_and_cycles_are_kept() -> None:
    assert _merged([(0, 4), (2, 6), (6, 8), (10, 11)], 0) == [(0, 8), (10, 11)]
    assert _merged([(0, 4), (6, 8)], 2) == [(0, 8)]
    lanes = [[(0, 30), (10, 50)], [], [(50, 100)], [], []]
    busy, spans = _overview([("a", 100, lanes), ("b", 260, [[], [], [], [], [(0, 260)]])])
    assert busy.shape == (len(LANES), 360) and busy.max() <= 1.0
    np.testing.assert_allclose(busy.sum(axis=1), [50, 0, 50, 0, 260])
    assert spans[0] == "a" and spans[-1] == "b" and spans.index("b") == 100
    trace = WinnerTrace(tuple(chain(2)), 360, 100.0, busy, spans, 0, tuple(lanes))
    assert len(gantt_figure(trace).data) == 2
    assert overview_figure(trace, {}).data[0].z.max() == 100.0
