"""What a configuration decides of a layer: bias tiles, and borders that LOAD cannot pad."""

from dataclasses import replace

import numpy as np

import codesign
from codesign.compiler.fit import needed_border
from codesign.costmodel import loaded, on_config, placed, settled
from codesign.hw.space import load_space
from codesign.kernels import ConvWorkload, ElementwiseWorkload
from relay_passes.spec import QuantizedTensor, UnitSpec

SQUARE, WIDE = (codesign.load_config(f"neuhardco:{name}_256k_ws") for name in ("16x16", "8x64"))
CONV = ConvWorkload(8, 8, 9, 9, (5, 5), padding=(2, 2, 2, 2), in_border=-2, out_border=-1)
SUM = ElementwiseWorkload(2, 8, 9, 9, in_borders=(-2, 0), out_border=3)


def test_open_borders_are_there_where_load_cannot_pad() -> None:
    square, wide = on_config(CONV, SQUARE), on_config(CONV, WIDE)
    assert isinstance(square, ConvWorkload) and isinstance(wide, ConvWorkload)
    assert (square.in_border, square.out_border) == (0, 0)
    assert (wide.in_border, wide.out_border) == (2, 0)  # 1 x 64 / 8 <= 15 < 2 x 64 / 8
    assert on_config(SUM, SQUARE) == replace(SUM, in_borders=(0, 0))
    assert on_config(SUM, WIDE) == replace(SUM, in_borders=(2, 0))
    assert loaded(SUM) == replace(SUM, in_borders=(0, 0))


def test_borders_are_settled_where_all_configurations_agree() -> None:
    assert settled(CONV, [SQUARE, WIDE]) == replace(CONV, out_border=0)
    assert settled(CONV, [SQUARE]) == replace(CONV, in_border=0, out_border=0)
    assert settled(CONV, [WIDE]) == replace(CONV, in_border=2, out_border=0)


def test_placed_takes_configurations_together_on_which_units_are_equal() -> None:
    configs = load_space("neuhardco").configs()
    for layers in ([CONV, SUM], [loaded(CONV)]):
        found: list[int] = []
        for places, units in placed(layers, configs):
            found += places
            for place in places:
                assert units == [on_config(layer, configs[place]) for layer in layers]
        assert sorted(found) == list(range(len(configs)))
    assert len(list(placed([loaded(CONV)], configs))) < len(list(placed([CONV], configs)))


def test_the_compiler_gives_the_same_borders() -> None:
    tensor = QuantizedTensor((1, 8, 40, 40), "int8", 0.1, 0)
    for config in load_space("neuhardco").configs():
        for pad in range(9):
            spec = UnitSpec(
                "conv2d",
                (tensor,),
                tensor,
                weight=np.ones((8, 8, 1, 1)),
                kernel=(1, 1),
                padding=(pad, 0, 0, pad),
            )
            unit = on_config(ConvWorkload(8, 8, 40, 40, in_border=-pad), config)
            assert isinstance(unit, ConvWorkload)
            assert unit.in_border == needed_border(spec, config)
