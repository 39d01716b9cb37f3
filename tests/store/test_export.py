"""Exports of trace stores: every row, flat, typed; whole files or none."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

from codesign.errors import DataError, Infeasible, MissingDependencyError
from codesign.hw.config import VtaConfig
from codesign.hw.energy import energy_mj
from codesign.kernels import ConvWorkload, best_schedule
from codesign.store import TraceStore, make_row
from codesign.store.export import export_traces

CONV, CFG = ConvWorkload(16, 32, 8, 8), VtaConfig(name="small")
RESULT = best_schedule(CONV, CFG)


@pytest.fixture
def store(tmp_path: Path):
    with TraceStore.open(tmp_path / "t.db") as opened:
        opened.add(
            [
                make_row(CONV, CFG, RESULT, "v1"),
                make_row(CONV, VtaConfig(log_block=3), Infeasible("acc_depth", "too deep"), "v1"),
                make_row(CONV, CFG, RESULT, "v1", RESULT.schedule),
            ]
        )
        yield opened


def test_csv(store: TraceStore, tmp_path: Path) -> None:
    assert export_traces(store, tmp_path / "t.csv") == 3
    with (tmp_path / "t.csv").open(newline="") as handle:
        first, second, third = csv.DictReader(handle)
    assert (first["op"], first["config_name"], first["config_log_block"]) == (CONV.op, "small", "4")
    assert (first["best"], third["best"]) == ("True", "False")
    assert json.loads(first["workload_kernel"]) == [1, 1]
    assert (int(first["cycles"]), int(first["macs"])) == (RESULT.cycles, CONV.macs)
    assert int(first["alu_operations"]) == 16 * RESULT.counters["alu_uops"]
    for module in ("load", "compute", "store"):
        for what in ("busy", "token_stall", "bus_stall"):
            name = f"{module}_{what}_cycles"
            assert int(first[name]) == RESULT.counters[name]
    assert float(first["energy_estimated_mj"]) == energy_mj(RESULT.counters, CFG)
    assert (second["infeasible"], second["message"], second["cycles"]) == (
        *("acc_depth", "too deep"),
        "",
    )


def test_parquet(store: TraceStore, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    assert export_traces(store, tmp_path / "t.parquet") == 3
    table = parquet.read_table(tmp_path / "t.parquet").to_pydict()
    assert table["cycles"] == [RESULT.cycles, None, RESULT.cycles]
    assert table["best"] == [True, True, False]
    assert table["infeasible"] == [None, "acc_depth", None]
    assert table["gemm_macs"] == [RESULT.counters["gemm_macs"], None, RESULT.counters["gemm_macs"]]


def test_parquet_columns_keep_their_type_without_values(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    with TraceStore.open(tmp_path / "t.db") as store:
        store.add([make_row(CONV, CFG, RESULT, "v1")])
        export_traces(store, tmp_path / "t.parquet")
    types = {field.name: str(field.type) for field in parquet.read_schema(tmp_path / "t.parquet")}
    assert "null" not in types.values()
    assert (types["infeasible"], types["config_log_block_in"]) == ("string", "int64")


def test_errors_leave_no_file(
    store: TraceStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match=r"t\.xlsx: exports end in \.parquet or \.csv"):
        export_traces(store, tmp_path / "t.xlsx")
    with pytest.raises(DataError, match="does not exist; create it first"):
        export_traces(store, tmp_path / "no" / "t.csv")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'codesign\[parquet\]'") as error:
        export_traces(store, tmp_path / "t.parquet")
    assert error.value.exit_code == 5
    assert [p.name for p in tmp_path.iterdir()] == ["t.db"]
