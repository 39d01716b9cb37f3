"""XGBoost on the residual: learns, repeats, is saved whole and refuses what it cannot read."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from samples import small_layers, square_configs, synthetic_rows

from codesign.costmodel import CostModel, TraceRows, evaluate, inputs, train
from codesign.costmodel.closed_form import bound
from codesign.costmodel.columns import config_columns, grid, workload_columns
from codesign.costmodel.splits import make_splits
from codesign.costmodel.version import inputs_version
from codesign.errors import StoreError
from codesign.kernels import Workload
from codesign.store import simulator_version

NETWORKS = {f"net{i}": small_layers()[4 * i : 4 * i + 4] for i in range(4)}


@pytest.fixture(scope="module")
def rows() -> TraceRows:
    return synthetic_rows()


@pytest.fixture(scope="module")
def model(rows: TraceRows) -> CostModel:
    return train(rows, 0, networks=NETWORKS)[0]


def test_learns_what_the_closed_form_misses(rows: TraceRows, model: CostModel) -> None:
    errors = model.manifest["errors"]["by_split"]
    assert set(errors) == {"unseen_layers", "unseen_networks", "unseen_configs"}
    assert max(error["mape"] for error in errors.values()) < 8
    t0 = bound(*grid(workload_columns(rows.workloads), config_columns(rows.configs))).cycles
    alone = np.abs(t0[rows.layer_ids, rows.config_ids] / rows.cycles - 1).mean()
    assert errors["unseen_layers"]["mape"] < 50 * alone


def test_predictions_follow_the_truth(rows: TraceRows, model: CostModel) -> None:
    found = model.predict_units(small_layers(), square_configs())
    assert found.shape == (16, 12)
    order = {layer: i for i, layer in enumerate(small_layers())}
    columns = {config: i for i, config in enumerate(square_configs())}
    for u, c, cycles in zip(rows.layer_ids, rows.config_ids, rows.cycles, strict=True):
        guess = found[order[rows.workloads[u]], columns[rows.configs[c]]]
        assert guess == pytest.approx(cycles, rel=0.05)


def test_same_seed_same_bytes(rows: TraceRows, model: CostModel) -> None:
    again, _ = train(rows, 0, networks=NETWORKS)
    assert again.heads.cycles.save_raw("ubj") == model.heads.cycles.save_raw("ubj")
    assert again.manifest == model.manifest


def test_splits_hold_whole_groups_out(rows: TraceRows) -> None:
    splits = make_splits(rows, 3, NETWORKS, 0.2)
    ids = {"unseen_layers": rows.layer_ids, "unseen_configs": rows.config_ids}
    for name, values in ids.items():
        split = splits[name]
        assert not isinstance(split, str)
        assert set(values[split.train]).isdisjoint(values[split.test])


def test_missing_splits_are_explained(rows: TraceRows) -> None:
    errors = evaluate(rows, 0)
    assert set(errors.by_split) == {"unseen_layers", "unseen_configs"}
    assert "--network" in errors.missing["unseen_networks"]
    one = rows.select(np.flatnonzero(rows.layer_ids < 2))
    assert "few traces" in evaluate(one, 0).missing["unseen_layers"]


def test_prediction_never_falls_below_the_roofline(model: CostModel) -> None:
    layers, configs = small_layers(), square_configs()
    found = model.predict_units(layers, configs)
    t0 = bound(*grid(workload_columns(layers), config_columns(configs)))
    assert (found >= t0.work.roofline).all()


def test_threads_change_nothing(model: CostModel) -> None:
    layers, configs = small_layers() * 180, square_configs()
    alone = model.predict_units(layers, configs, threads=1)
    np.testing.assert_array_equal(model.predict_units(layers, configs, threads=3), alone)


def test_infeasible_pairs_are_nan(model: CostModel) -> None:
    batched = replace(square_configs()[0], log_batch=1, log_block_in=3, log_block_out=4)
    good = square_configs()[0]
    found = model.predict_units(small_layers()[:2], [batched, good])
    np.testing.assert_array_equal(np.isnan(found), [[True, False], [True, False]])
    nothing: list[Workload] = []
    assert model.predict_units(nothing, [good]).shape == (0, 1)


def test_round_trip(model: CostModel, tmp_path: Path) -> None:
    model.save(tmp_path / "model.ubj")
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        *("model.energy.ubj", "model.feasible.ubj", "model.json", "model.spread.ubj", "model.ubj")
    ]
    loaded = CostModel.load(tmp_path / "model.ubj")
    layers, configs = small_layers(), square_configs()
    np.testing.assert_array_equal(
        loaded.predict_units(layers, configs), model.predict_units(layers, configs)
    )
    facts = loaded.manifest
    assert facts["features"] == list(inputs.INPUT_NAMES)
    assert facts["inputs_version"] == inputs_version()
    assert {"data_sha256", "errors", "versions", "seed", "rounds"} <= set(facts)


def test_another_closed_form_is_refused(model: CostModel, tmp_path: Path) -> None:
    path = tmp_path / "model.ubj"
    model.save(path)
    facts = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**facts, "inputs_version": "inputs-0"}))
    with pytest.raises(StoreError, match=r"features 'inputs-0'.*train it again"):
        CostModel.load(path)


def test_traces_of_another_simulator_are_known(model: CostModel) -> None:
    assert model.other_simulator is None
    for made, known_as in ((simulator_version(), None), ("t2-0", "t2-0")):
        other = CostModel(model.heads, {**model.manifest, "simulator": made})
        assert other.other_simulator == known_as


def test_no_foreign_file_is_overwritten(model: CostModel, tmp_path: Path) -> None:
    path = tmp_path / "notes.ubj"
    path.write_text("mine")
    with pytest.raises(StoreError, match=r"notes.ubj: is there already and is no cost model"):
        model.save(path)
    assert path.read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["notes.ubj"]
    model.save(tmp_path / "model.ubj")
    model.save(tmp_path / "model.ubj")  # its own model may be trained again


def test_no_foreign_head_is_overwritten(model: CostModel, tmp_path: Path) -> None:
    path, foreign = tmp_path / "model.ubj", tmp_path / "model.spread.ubj"
    foreign.write_text("mine")
    with pytest.raises(StoreError, match=r"model.spread.ubj: is there already and is no cost"):
        model.save(path)
    assert foreign.read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["model.spread.ubj"]


def test_heads_of_a_former_model_do_not_stay(model: CostModel, tmp_path: Path) -> None:
    path = tmp_path / "model.ubj"
    model.save(path)
    replace(model, heads=replace(model.heads, energy=None, feasible=None)).save(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        *("model.json", "model.spread.ubj", "model.ubj")
    ]
    assert CostModel.load(path).heads.energy is None
    model.save(path)
    assert CostModel.load(path).heads.energy is not None


@pytest.mark.parametrize("over_another", [True, False])
def test_a_kill_while_saving_leaves_a_whole_model(
    model: CostModel, tmp_path: Path, over_another: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(model, heads=replace(model.heads, cycles=model.heads.spread.booster))
    old, new = (_cycles(found) for found in (other, model))
    seen: set[bytes] = set()
    rename = Path.replace
    for survived in range(20):
        folder = tmp_path / str(survived)
        folder.mkdir()
        path, left = folder / "model.ubj", [survived]
        if over_another:
            other.save(path)

        def killed(self: Path, target: Path, left: list[int] = left) -> Path:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            return rename(self, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", killed)
            with contextlib.suppress(KeyboardInterrupt):
                model.save(path)
        if over_another or path.with_suffix(".json").exists():
            seen.add(_cycles(CostModel.load(path)))
        model.save(path)  # what a kill left is no obstacle
        assert _cycles(CostModel.load(path)) == new
        assert len(list(folder.iterdir())) == 5
        if left[0] >= 0:
            break
    assert seen == ({old, new} if over_another else {new})
    assert survived == 9  # four heads and the manifest, then the names of four heads


def _cycles(model: CostModel) -> bytes:
    return bytes(model.heads.cycles.save_raw("ubj"))


def test_a_folder_is_no_model(model: CostModel) -> None:
    with pytest.raises(StoreError, match=r"^\.: is a folder; name a file"):
        model.save(".")
    with pytest.raises(StoreError, match=r"^\.: is a folder; name the model"):
        CostModel.load(".")


def test_a_head_that_is_missing_or_damaged_is_refused(model: CostModel, tmp_path: Path) -> None:
    path = tmp_path / "model.ubj"
    model.save(path)
    head = tmp_path / "model.spread.ubj"
    raw = head.read_bytes()
    head.write_bytes(raw[:-1])
    with pytest.raises(StoreError, match=r"model.spread.ubj: corrupt"):
        CostModel.load(path)
    head.unlink()
    with pytest.raises(StoreError, match="spread trees cannot be read"):
        CostModel.load(path)
    head.write_bytes(raw)
    facts = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**facts, "interval": {}}))
    with pytest.raises(StoreError, match="lacks the interval"):
        CostModel.load(path)


def test_heads_agree_with_the_law(rows: TraceRows, model: CostModel) -> None:
    layers, configs = small_layers(), square_configs()
    found = model.predict(layers, configs)
    np.testing.assert_array_equal(found.cycles, model.predict_units(layers, configs))
    assert (found.low <= found.cycles).all()
    assert (found.cycles <= found.high).all()
    true = rows.cycles.reshape(16, 12)
    inside = (found.low <= true) & (true <= found.high)
    assert inside.mean() > 0.85
    assert np.median(found.high / found.low) < 1.5
    np.testing.assert_allclose(found.energy_mj, rows.energy_mj.reshape(16, 12), rtol=0.1)
    assert (found.feasible > 0.9).all()
    tiny = rows.configs[-1]
    assert (model.predict(layers, [tiny]).feasible < 0.2).all()


def test_what_the_traces_did_not_cover_is_flagged(model: CostModel) -> None:
    known, wide = small_layers()[0], replace(small_layers()[0], in_channels=4096)
    slow = replace(square_configs()[0], read_latency=500, dataflow="is")
    of_layers, of_configs = model.extrapolation([known, wide], [square_configs()[0], slow])
    assert of_layers[0] == []
    assert of_layers[1][0] == "in_channels 4096 outside 16..64"
    assert of_configs[0] == []
    assert of_configs[1] == ["read_latency 500 outside 18..18", "flow_is 1 outside 0..0"]


@pytest.mark.parametrize("content", [b"", b"not a model", None])
def test_a_corrupt_model_is_refused(
    model: CostModel, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "model.ubj"
    model.save(path)
    path.write_bytes(path.read_bytes()[:-50] if content is None else content)
    with pytest.raises(StoreError, match="corrupt"):
        CostModel.load(path)


def test_foreign_and_missing_files_are_refused(model: CostModel, tmp_path: Path) -> None:
    path = tmp_path / "model.ubj"
    with pytest.raises(StoreError, match=r"no such file.*codesign train"):
        CostModel.load(path)
    model.save(path)
    path.with_suffix(".json").write_text('{"format": "else"}')
    with pytest.raises(StoreError, match="not a cost model's manifest"):
        CostModel.load(path)
    path.with_suffix(".json").write_text("{")
    with pytest.raises(StoreError, match="not a cost model's manifest"):
        CostModel.load(path)
    with pytest.raises(StoreError, match="json is the manifest's name"):
        model.save(tmp_path / "model.json")
    with pytest.raises(StoreError, match="does not exist; create it"):
        model.save(tmp_path / "nowhere" / "model.ubj")


def test_too_few_traces(rows: TraceRows) -> None:
    with pytest.raises(StoreError, match="only 5 feasible traces"):
        train(rows.select(np.arange(5)), 0)
