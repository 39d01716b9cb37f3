import re
from typing import Any

import pytest

from codesign.errors import StoreError
from codesign.report import render
from codesign.search.loop import LAYOUT
from codesign.store import RunRow

LAYER = {
    "op": "conv2d",
    "workload": {
        "in_channels": 16,
        "out_channels": 32,
        "height": 8,
        "width": 8,
        "kernel": [3, 3],
        "stride": [2, 2],
    },
    "count": 2,
    "cycles": 1000,
    "bound_cycles": 800,
    "bound": "compute",
    "macs": 73728,
    "utilization": 0.288,
    "dataflow": "os",
    "dram_bytes": 5000,
}
BEST = {
    "network": "|a|<script>",
    "config": "16x16_256k_os",
    "config_key": "abcdef0123456789",
    "accuracy": 70.5,
    "sram_kib": 256.0,
    "cycles": 2000,
    "latency_ms": 0.02,
    "energy_mj": 0.1,
    **{"dsp": 256.0, "bram36": 66.0, "lut": 18978.0, "ff": 7339.0},
    "feasible": True,
    "violations": [],
}
CERTIFICATE: dict[str, Any] = {
    "winner": BEST,
    "levels": {"accuracy": "trained", "scores": "t1"},
    "cycles": {
        "t0_lower_bound": 1600,
        "t1": 2040.0,
        "t2": 2000,
        "package": 2000,
        "package_equals_t2": True,
    },
    "model_error": {
        "level": "t1",
        "winner_percent": 2.0,
        "pairs": 3,
        "mean_percent": 1.5,
        "max_percent": 2.0,
    },
    "evaluated_share": {
        "pairs": 100,
        "scored": 1.0,
        "t2": 0.03,
        "not_excluded": 4,
        "regret_at_most": 0.02,
    },
    "evaluations": {"t0": 100, "t1": 100, "t2": 3},
    "seeds": {"search": 0},
    "versions": {"codesign": "1"},
    "hashes": {"networks": "0" * 64},
    "accuracy": {
        "kind": "trained",
        "dataset": "digits",
        "split": "validation, 287 images",
        "seeds": "0",
        "source": "10 epochs",
        "tested": {"accuracy": 69.25, "judged": "test, 360 images"},
    },
    "proof": {
        "weights": "untrained",
        "inputs": 2,
        "outputs_match": True,
        "cycles": 2000,
        "host_ops": ["quantize"],
    },
}
SPLIT = {
    "held_out": "5 of 24 layers",
    "test_rows": 40,
    "mape": 1.234,
    "median": 1.0,
    "p95": 3.0,
    "spearman": 0.999,
}
POINT = {
    "network": "n",
    "config": "c",
    **{"latency_ms": 0.02, "accuracy": 70.5, "energy_mj": 0.1, "dsp": 256.0},
    "feasible": True,
}
RESULT: dict[str, Any] = {
    "layout": LAYOUT,
    "best": BEST,
    "nearest": BEST,
    "front": [BEST],
    "certificate": CERTIFICATE,
    "layers": [LAYER],
    "config": {
        "pes": 256,
        "log_block": 4,
        "log_block_in": None,
        "log_block_out": None,
        "log_inp_buff_size": 15,
        "log_wgt_buff_size": 17,
        "log_acc_buff_size": 16,
        "log_uop_buff_size": 14,
        "frequency_mhz": 100.0,
        "bus_bits": 128,
        "dataflow": "os",
    },
    "space": {"networks": 10, "configs": 10},
    "fronts": {
        "cloud": [[0.02, 70.5], [0.01, 60.0]],
        "predicted": [POINT],
        "exact": None,
        "evaluated": [POINT],
    },
    "model": {"errors": {"by_split": {"unseen_configs": SPLIT}}},
}
PROBLEM = {
    "name": "a <name>",
    "constraints": [{"metric": "latency_ms", "limit": 0.5}],
    "objectives": [
        {"metric": "accuracy", "goal": "max"},
        {"metric": "latency_ms", "goal": "min"},
    ],
}


def row(result: dict[str, Any] | None) -> RunRow:
    return RunRow("f" * 64, PROBLEM, {}, result)


def test_the_page_tells_the_result_and_fetches_nothing() -> None:
    page = render(row(RESULT))
    for text in (
        "69.25 %",
        "energy (estimated), mJ",
        "DSP blocks (estimated)",
        "MACs per DRAM byte",
        "70.50 %",
        "0.020 ms",
        "16x16_256k_os",
        "untrained",
        "bound by compute",
        "5 of 24 layers",
        "Regret at most",
        "T1, learned",
        "T2, cycle-level simulator",
        "latency ≤ 0.5 ms",
        "800",
    ):
        assert text in page, text
    assert "<title>a &lt;name&gt;" in page and "|a|<script>" not in page.split("</head>")[1]
    assert not re.findall(r"https?://(?!www\.w3\.org/)", page)
    outside = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    assert not re.search(r"(src|href)\s*=|url\(|@import|<link", outside)
    assert not re.search(r"<script[^>]*\ssrc", page)


def test_exact_regret_replaces_the_bound() -> None:
    regret = {"relative": 0.01, "feasible_pairs": 42}
    page = render(row(RESULT | {"certificate": CERTIFICATE | {"regret": regret}}))
    assert "Regret (exact)" in page and "Regret at most" not in page


def test_a_search_without_winner_has_a_page() -> None:
    nothing = {"winner": None, "cycles": None, "proof": None}
    empty = CERTIFICATE | nothing | {"evaluated_share": {"pairs": 100, "scored": 1.0, "t2": 0.03}}
    empty["accuracy"] = CERTIFICATE["accuracy"] | {"tested": None}
    empty["model_error"] = {"level": "t0", "winner_percent": None}
    page = render(row(RESULT | {"best": None, "layers": [], "config": None, "certificate": empty}))
    assert "no evaluated pair keeps every limit" in page


def test_a_search_that_evaluated_nothing_has_a_page() -> None:
    fronts = RESULT["fronts"] | {"evaluated": []}
    assert "<svg" in render(row(RESULT | {"fronts": fronts, "front": []}))


def test_a_search_that_has_not_ended_has_none() -> None:
    with pytest.raises(StoreError, match="has no result yet"):
        render(row(None))
    with pytest.raises(StoreError, match="of another codesign version; run the same search again"):
        render(row({**RESULT, "layout": LAYOUT - 1}))
