"""Area estimates: the synthesised anchor, exact pieces, NAF's formulas, monotony."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from codesign import load_config
from codesign.hw.area import RESOURCES, Area, area, area_parts, naf_bram36, naf_dsp, naf_packing
from codesign.hw.config import VtaConfig
from codesign.hw.feasibility import violations
from codesign.hw.space import load_space

PYNQ = load_config("pynq")


def test_the_synthesised_anchor() -> None:
    assert area(PYNQ) == Area(dsp=256, bram36=122, lut=18914, ff=7275)
    memories = {name: area_parts(PYNQ)[name].bram36 for name in ("inp", "wgt", "acc", "out", "uop")}
    assert memories == {"inp": 8, "wgt": 64, "acc": 32, "out": 8, "uop": 8}


@pytest.mark.parametrize(("log_in", "lut"), [(2, 81), (4, 283), (6, 1097)])
def test_columns_equal_their_synthesis(log_in: int, lut: int) -> None:
    cfg = replace(PYNQ, log_block_in=log_in, log_block_out=0, log_inp_buff_size=14)
    gemm = area_parts(cfg)["gemm"]
    assert gemm == Area(dsp=1 << log_in, lut=lut, ff=16 << log_in)


def test_control_grows_with_the_widths_of_its_registers() -> None:
    control = area_parts(PYNQ)["control"]
    wide = area_parts(replace(PYNQ, encoding="wide"))["control"]
    # Four instructions of 16 bytes more and a micro-op of 4; half as many micro-ops fit.
    assert (wide.ff - control.ff, wide.lut - control.lut) == (8 * (4 * 16 + 4) - 3, -3)
    shallower = area_parts(replace(PYNQ, log_inp_buff_size=14))["control"]
    assert (control.ff - shallower.ff, control.lut - shallower.lut) == (4, 4)


def test_small_products_take_no_dsp() -> None:
    narrow = replace(PYNQ, log_inp_width=2, log_wgt_width=2)
    assert area(narrow).dsp == 0
    assert area_parts(narrow)["gemm"].lut > area_parts(PYNQ)["gemm"].lut
    assert area(replace(narrow, log_wgt_width=3)).dsp == 256


def test_a_multiplying_alu() -> None:
    more = area(replace(PYNQ, has_mul=True))
    assert (more.dsp - 256, more.lut - 18914) == (16 * 3, 16 * 29)


def test_naf_packing_of_products() -> None:
    assert [naf_packing(bits) for bits in (4, 5, 8, 9, 16)] == [0, 0.5, 0.5, 1, 1]
    with pytest.raises(ValueError, match="at most 16 bits"):
        naf_packing(17)
    # D = Ψ(q)·(Tn_dw + Tn_pw1·Tm_pw1 + Tn_pw2·Tm_pw2), the depthwise core unpacked at 8 bits.
    assert naf_dsp(16, 16, 16 * 32, 32 * 16) == 16 + 512 + 512
    assert naf_dsp(8, 16, 16 * 32, 32 * 16) == 16 + 256 + 256
    assert naf_dsp(4, 16, 16 * 32, 32 * 16) == 0
    assert area(PYNQ, "naf").dsp == 128
    assert area(replace(PYNQ, log_inp_width=2, log_wgt_width=2), "naf").dsp == 0


def test_naf_buffers() -> None:
    # 8·16/36 → 4 BRAMs for 28·28 words; 32·16/36 → 15, three groups of 784 words → 3 deep.
    assert naf_bram36(8, 32, 16, (28, 28), 3) == 2 * (4 * 1 + 15 * 3)
    assert naf_bram36(8, 32, 16, (28, 28), 1) == 2 * (4 + 15)
    assert area(PYNQ, "naf").bram36 == 8 + 57 + 30 + 8 + 8 + 4


def test_parts_sum_to_the_whole() -> None:
    for cfg in load_space("portable").sample(50, np.random.default_rng(0)):
        whole, parts = area(cfg), area_parts(cfg)
        for name in RESOURCES:
            assert getattr(whole, name) == sum(getattr(part, name) for part in parts.values())
            assert min(getattr(part, name) for part in parts.values()) >= 0
            assert getattr(whole, name) > 0 or name == "dsp"


LARGER = ("log_batch", "log_block_in", "log_block_out", "log_inp_width", "log_wgt_width")
DEEPER = ("log_uop_buff_size", "log_inp_buff_size", "log_wgt_buff_size", "log_acc_buff_size")


def test_more_hardware_takes_more() -> None:
    rng = np.random.default_rng(1)
    compared = 0
    for cfg in load_space("portable").sample(200, rng):
        cfg = replace(cfg, log_block_in=int(np.log2(cfg.block_in)), encoding="wide")
        cfg = replace(cfg, log_block_out=int(np.log2(cfg.block_out)))
        for field in (*LARGER, *DEEPER):
            grown: VtaConfig = replace(cfg, **{field: getattr(cfg, field) + 1})
            if violations(grown):
                continue
            compared += 1
            before, after = area(cfg), area(grown)
            names = ("bram36", "lut", "ff") if field in DEEPER else ("lut", "ff")
            if field in ("log_inp_width", "log_wgt_width"):
                names = ("dsp", "ff")  # a product that becomes a DSP gives its LUTs back
            for name in (*names, *(("dsp",) if field.startswith("log_b") else ())):
                assert getattr(after, name) >= getattr(before, name), (cfg, field, name)
    assert compared > 500
