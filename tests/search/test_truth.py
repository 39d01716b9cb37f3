from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny

from codesign.costmodel import settled
from codesign.errors import Infeasible, StoreError
from codesign.hw.energy import energy_mj
from codesign.search.evaluation import Pair, Proposal
from codesign.search.evaluator import Evaluator
from codesign.search.pairs import load_pairs
from codesign.search.replay import replay
from codesign.search.scores import BoundPredictor
from codesign.search.simulate import UnitSimulator
from codesign.search.truth import JointTruth, TruthTable, simulate_table, unit_figures
from codesign.store import TraceStore

COUNTERS = ("gemm_uops", "gemm_reset_uops", "alu_uops", "inp_load_bytes", "wgt_load_bytes",
            "acc_load_bytes", "uop_load_bytes", "out_store_bytes", "fetch_bytes")  # fmt: skip


def made_up(workload: Any, config: Any) -> Any:
    if workload.macs % 7 == 3 and config.block_out == 8:
        return Infeasible("acc_depth", "too deep")
    cycles = 100 + workload.macs // config.pes
    counters = {name: cycles * (place + 1) for place, name in enumerate(COUNTERS)}
    return SimpleNamespace(
        schedule={"dataflow": "os"}, cycles=cycles, counters={**counters, "cycles": cycles}
    )


@pytest.mark.usefixtures("tiny_space")
def test_a_table_answers_every_pair_as_the_evaluator_does(tmp_path: Path) -> None:
    problem = tiny.problem()
    pairs = load_pairs(problem)
    with TraceStore.open(tmp_path / "t.db") as store, UnitSimulator(store, tuner=made_up) as sim:
        simulate_table(pairs, sim).save(tmp_path / "table.npz")
        evaluator = Evaluator(problem, pairs, BoundPredictor(), sim)
        proposals = [Proposal(Pair(n, c)) for n in range(27) for c in range(8)]
        every = evaluator.evaluate(proposals)
    truth = JointTruth(pairs, unit_figures(TruthTable.load(tmp_path / "table.npz"), pairs))
    for e in every:
        place = e.pair.network, e.pair.config
        np.testing.assert_equal(truth.cycles[place], e.figures.get("cycles", np.nan))
        np.testing.assert_allclose(
            truth.energy_mj[place], e.figures.get("energy_mj", np.nan), rtol=1e-12
        )
        assert truth.feasible(problem.constraints)[place] == e.feasible
    assert energy_mj(made_up(pairs.units[0], pairs.configs[0]).counters, pairs.configs[0]) > 0
    found = replay(problem, truth, "random", 3, 216.0)
    assert len(found.evaluations) == 216
    best = max(e.figures["accuracy"] for e in every if e.feasible)
    assert truth.optimum(problem) == best
    assert found.regret(best)[-1] == 0.0


@pytest.mark.usefixtures("tiny_space")
def test_a_table_answers_for_fewer_configurations(tmp_path: Path) -> None:
    whole = load_pairs(tiny.problem())
    open_border = replace(whole.units[0], in_border=-8)  # LOAD cannot pad so much on 8x16
    whole = replace(whole, units=(open_border, *whole.units[1:]))
    with TraceStore.open(tmp_path / "t.db") as store, UnitSimulator(store, tuner=made_up) as sim:
        table = simulate_table(whole, sim)
    for start, border in ((0, 8), (4, 0)):
        configs = whole.configs[start : start + 4]
        part = replace(
            whole, configs=configs, units=tuple(settled(u, configs) for u in whole.units)
        )
        assert part.units[0].in_border == border  # type: ignore[union-attr]
        found = unit_figures(table, part)
        np.testing.assert_equal(
            found.cycles, unit_figures(table, whole).cycles[:, start : start + 4]
        )


@pytest.mark.usefixtures("tiny_space")
def test_foreign_old_and_partial_tables_are_refused(tmp_path: Path) -> None:
    pairs = load_pairs(tiny.problem())
    with TraceStore.open(tmp_path / "t.db") as store, UnitSimulator(store, tuner=made_up) as sim:
        table = simulate_table(pairs, sim)
    path = tmp_path / "table.npz"
    with pytest.raises(StoreError, match="no such truth table"):
        TruthTable.load(path)
    np.savez(path, cycles=np.zeros(3))
    with pytest.raises(StoreError, match="no truth table of format 1"):
        TruthTable.load(path)
    path.write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(StoreError, match="damaged truth table"):
        TruthTable.load(path)
    fields = {**table.__dict__, "simulator": "t2-old"}
    with pytest.raises(StoreError, match="truth table of simulator t2-old"):
        unit_figures(TruthTable(**fields), pairs)
    fields = {**table.__dict__, "units": table.units[1:], "cycles": table.cycles[1:]}
    with pytest.raises(StoreError, match="lacks 1 of"):
        unit_figures(TruthTable(**fields), pairs)
