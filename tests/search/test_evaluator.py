"""What the evaluator makes of one pair."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from codesign.costmodel import on_config
from codesign.kernels.workload import ConvWorkload
from codesign.search import AccuracyChoice, HardwareChoice, NetworkChoice, Problem, search
from codesign.search.evaluation import Pair, Proposal
from codesign.search.evaluator import Evaluator, judge
from codesign.search.pairs import load_pairs
from codesign.search.scores import BoundPredictor
from codesign.search.simulate import UnitSimulator
from codesign.search.winner import layer_rows
from codesign.store import TraceStore
from codesign.testing.strategies import toy_problem, toy_truth
from tests.onnx_models import model


def test_units_that_are_one_on_a_configuration_are_counted_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codesign.search.evaluator.energy_mj", lambda *_: 0.5)
    layer = ConvWorkload(8, 8, 32, 32, (3, 3), padding=(1, 1, 1, 1))
    other = ConvWorkload(16, 8, 32, 32, (1, 1))
    toy = toy_truth(networks=2, configs=1).pairs
    counts = np.array([[2, 1, 3], [0, 1, 0]])
    pairs = replace(toy, units=(layer, other, replace(layer, in_border=-1)), counts=counts)

    def tuner(workload: Any, config: Any) -> Any:
        cycles = 10 if workload.kernel == (3, 3) else 7
        return SimpleNamespace(schedule={"dataflow": "os"}, cycles=cycles, counters={})

    config, pair = pairs.configs[0], Pair(0, 0)
    with TraceStore.open(tmp_path / "t.db") as store, UnitSimulator(store, tuner=tuner) as sim:
        evaluator = Evaluator(toy_problem(), pairs, BoundPredictor(), sim)
        assert evaluator.units_of(pair) == [
            (on_config(layer, config), config, 5),
            (on_config(other, config), config, 1),
        ]
        assert evaluator.units_of(Pair(1, 0)) == [(on_config(other, config), config, 1)]
        (found,) = evaluator.evaluate([Proposal(pair)])
        assert (found.figures["cycles"], found.figures["energy_mj"]) == (57, 3.0)
        assert [row["count"] for row in layer_rows(evaluator, found)] == [5, 1]


@pytest.mark.usefixtures("tiny_space")
def test_a_network_without_units_says_why(tmp_path: Path) -> None:
    file, data = tmp_path / "host.onnx", tmp_path / "data.npz"
    onnx.save(model([helper.make_node("Softmax", ["x"], ["y"], axis=1)], {}, (1, 4)), str(file))
    np.savez(data, x=np.zeros((2, 4), np.float32))
    problem = Problem(
        NetworkChoice(onnx=(str(file),), calibration=str(data)),
        HardwareChoice(configs=("pynq", "ultra96")),
        AccuracyChoice("given", values=(50.0,)),
    )
    why = ["host_only: no operator of the file runs on the accelerator"]
    alone = judge(problem, load_pairs(problem), Pair(0, 0), {}, None)
    assert [str(v) for v in alone.violations] == why
    for strategy in ("surrogate", "exhaustive", "neuhardco"):
        study = search(problem, strategy, tmp_path / f"{strategy}.db", budget=3)
        assert study.best is None and study.certificate["winner"] is None
        assert study.nearest is not None and study.nearest["violations"] == why
    toy = Problem(NetworkChoice("nasbench201"), HardwareChoice(configs=("pynq",)))
    pairs = load_pairs(toy)
    network = int(np.flatnonzero(~pairs.connected)[0])
    apart = judge(toy, pairs, Pair(network, 0), {}, None)
    assert [str(v) for v in apart.violations] == [
        "disconnected: the network's output does not depend on its input"
    ]
