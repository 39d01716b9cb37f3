import json
import os
import resource
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny

from codesign.errors import ConfigError, Infeasible, ModelError, StoreError
from codesign.nn import CallableAccuracy
from codesign.search import Constraint, Problem, search
from codesign.search.evaluation import Evaluation, Pair, Proposal
from codesign.search.evaluator import Evaluator
from codesign.search.pairs import load_configs, load_pairs
from codesign.search.problem import METRICS, HardwareChoice, NetworkChoice, Objective
from codesign.search.ranking import pareto, rank
from codesign.search.scores import BoundPredictor, unit_table
from codesign.search.simulate import UnitSimulator
from codesign.search.winner import Proof, file_hash
from codesign.store import RunStore, TraceStore


def made_up(workload: Any, config: Any) -> Any:
    """A tuner without simulator: a wide core is fast, stride-2 convolutions need 512 KiB."""
    if getattr(workload, "stride", (1, 1)) == (2, 2) and config.sram_bytes < 512 * 1024:
        return Infeasible("acc_depth", "too deep")
    pixels = workload.height * workload.width
    cycles = 10 * pixels + workload.macs // config.pes
    return SimpleNamespace(schedule={"dataflow": "os"}, cycles=cycles, counters={})


def prover(evaluator: Evaluator, winner: Evaluation, source: Any, folder: Path, seed: int) -> Proof:
    folder.mkdir(exist_ok=True)
    files = [folder / name for name in ("winner.onnx", "winner.tar")]
    for path in files:
        path.write_bytes(path.suffix.encode())
    cycles = int(winner.figures["cycles"])
    hashes = [file_hash(path) for path in files]
    return Proof("untrained", 2, True, cycles, cycles, (), 1, 1, *hashes)


def quick(store: Path, problem: Problem, **options: Any) -> Any:
    return search(problem, store=store, tuner=made_up, prover=prover, **options)


@pytest.fixture(autouse=True)
def _without_energy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codesign.search.evaluator.energy_mj", lambda *_: 1.0)


RELAXED = (Constraint("sram_kib", 512.0), Constraint("latency_ms", 5.0))


@pytest.mark.usefixtures("tiny_space")
@pytest.mark.parametrize("strategy", ["exhaustive", "nsga2", "random", "surrogate"])
def test_strategies_keep_the_budget_and_repeat_to_the_byte(tmp_path: Path, strategy: str) -> None:
    problem = tiny.problem(strategy=strategy, constraints=RELAXED)
    studies = [quick(tmp_path / f"{i}.db", problem, workers=w) for i, w in enumerate((1, 2))]
    assert studies[0].result == studies[1].result
    spent = studies[0].certificate["evaluations"]
    assert 19 < spent["price"] <= 20 + 1e-9
    assert spent["price"] == pytest.approx(spent["t2"] + 0.06 * spent["short"])
    with RunStore.open(tmp_path / "0.db", readonly=True) as store:
        rows = store.evaluations(studies[0].run)
    assert [row.position for row in rows] == list(range(spent["t2"] + spent["short"]))
    assert [row.level for row in rows].count("t2") == spent["t2"]
    assert len({(row.network, row.config, row.level) for row in rows}) == len(rows)
    other = quick(tmp_path / "2.db", replace(problem, seed=1))
    assert (other.result == studies[0].result) is False
    assert {
        "winner",
        "levels",
        "cycles",
        "model_error",
        "evaluations",
        "seeds",
        "versions",
        "hashes",
        "evaluated_share",
    } <= set(studies[0].certificate)


@pytest.mark.usefixtures("tiny_space")
@pytest.mark.parametrize("name", ["winner.onnx", "winner.tar"])
def test_a_winner_that_was_changed_is_made_again(tmp_path: Path, name: str) -> None:
    study = quick(tmp_path / "r.db", tiny.problem(constraints=RELAXED))
    whole = (study.folder / name).read_bytes()
    (study.folder / name).write_bytes(whole[:-1])
    again = quick(tmp_path / "r.db", tiny.problem(constraints=RELAXED))
    assert (again.folder / name).read_bytes() == whole
    assert again.result == study.result


@pytest.mark.usefixtures("tiny_space")
def test_exhaustive_over_everything_finds_the_optimum(tmp_path: Path) -> None:
    problem = tiny.problem(budget=27 * 8, constraints=RELAXED, exact_regret=True)
    study = quick(tmp_path / "r.db", problem)
    regret = study.certificate["regret"]
    assert regret["relative"] == 0.0 and regret["winner_is_optimum"]
    pairs = load_pairs(problem)
    with TraceStore.open(tmp_path / "t.db") as store, UnitSimulator(store, tuner=made_up) as sim:
        evaluator = Evaluator(problem, pairs, BoundPredictor(), sim)
        every = evaluator.evaluate([Proposal(Pair(n, c)) for n in range(27) for c in range(8)])
    feasible = [e for e in every if e.feasible]
    assert study.best is not None
    assert study.best["accuracy"] == max(e.figures["accuracy"] for e in feasible)
    assert regret["feasible_pairs"] == len(feasible)


@pytest.mark.usefixtures("tiny_space")
def test_network_cycles_are_the_sum_of_unit_cycles(tmp_path: Path) -> None:
    problem = tiny.problem()
    pairs = load_pairs(problem)
    table = np.arange(1.0, 1 + len(pairs.units) * 8).reshape(-1, 8)
    table[3, 5] = np.nan
    total = pairs.total(table)
    for network in range(27):
        for config in range(8):
            units = pairs.network_units(network)
            expected = sum(n * table[pairs.units.index(w), config] for w, n in units)
            if not units:
                assert np.isnan(total[network, config])
            else:
                np.testing.assert_equal(total[network, config], expected)


@pytest.mark.usefixtures("tiny_space")
def test_infeasible_pairs_are_results_with_their_constraints(tmp_path: Path) -> None:
    problem = tiny.problem(
        strategy="random", budget=60, constraints=(Constraint("latency_ms", 0.001),)
    )
    study = quick(tmp_path / "r.db", problem)
    assert study.best is None and study.front == []
    assert study.certificate["winner"] is None
    with RunStore.open(tmp_path / "r.db", readonly=True) as store:
        found = {v[0] for row in store.evaluations(study.run) for v in row.body["violations"]}
    assert found == {"latency_ms", "schedule", "disconnected"}
    assert study.nearest is not None and study.nearest["violations"][0].startswith("latency_ms: ")


@pytest.mark.usefixtures("tiny_space")
@pytest.mark.parametrize("strategy", ["surrogate", "random"])
def test_a_configuration_that_nothing_fits_says_so(tmp_path: Path, strategy: str) -> None:
    file = tmp_path / "small.json"
    file.write_text(json.dumps({"TARGET": "pynq", "LOG_ACC_BUFF_SIZE": 6}))
    problem = tiny.problem(hardware=HardwareChoice(configs=(str(file),)), constraints=())
    study = quick(tmp_path / "r.db", problem, strategy=strategy, budget=8)
    assert study.best is None and study.nearest is not None
    assert study.nearest["violations"][0].startswith("schedule: acc_depth: ")


@pytest.mark.usefixtures("tiny_space")
def test_fpga_resources_limit_and_rank(tmp_path: Path) -> None:
    limits = (Constraint("dsp", 128.0), Constraint("bram36", 132.0), Constraint("lut", 18000.0))
    objectives = (Objective("accuracy", "max"), Objective("lut", "min"))
    problem = tiny.problem(budget=27 * 8, objectives=objectives, constraints=limits)
    study = quick(tmp_path / "r.db", problem)
    best = study.best
    assert best is not None and best["config"].startswith("8x16_512k")
    assert (best["dsp"], best["bram36"], best["lut"]) == (128, 132, 16827)
    assert study.certificate["levels"]["dsp"] == "estimated, t0"
    assert all(point["dsp"] <= 128 for point in study.front)
    with RunStore.open(tmp_path / "r.db", readonly=True) as store:
        found = {v[0] for row in store.evaluations(study.run) for v in row.body["violations"]}
    assert {"dsp", "lut"} <= found


@pytest.mark.usefixtures("tiny_space")
def test_new_prices_are_a_new_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = quick(tmp_path / "r.db", tiny.problem(budget=5))
    monkeypatch.setattr("codesign.search.loop.estimates_version", lambda: "t0-other")
    after = quick(tmp_path / "r.db", tiny.problem(budget=5))
    assert before.run != after.run
    assert before.certificate["winner"] == after.certificate["winner"]


@pytest.mark.usefixtures("tiny_space")
def test_a_second_search_in_the_same_store_is_refused_while_one_runs(tmp_path: Path) -> None:
    with RunStore.open(tmp_path / "r.db"), pytest.raises(StoreError, match="locked"):
        quick(tmp_path / "r.db", tiny.problem())


@pytest.mark.usefixtures("tiny_space")
def test_a_full_disk_is_a_clear_error_and_loses_nothing(tmp_path: Path) -> None:
    problem = tiny.problem(strategy="random", budget=40)
    whole = quick(tmp_path / "whole.db", problem)
    store = tmp_path / "full.db"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = (tmp_path / "whole.db").stat().st_size - 8192
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(StoreError, match=r"full\.db: .*free some disk space and run the same"):
            quick(store, problem)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    with RunStore.open(store, readonly=True) as kept:
        stored = kept.evaluations(whole.run)
    assert stored
    again = quick(store, problem)
    assert again.result == whole.result
    with RunStore.open(store, readonly=True) as kept:
        rows = kept.evaluations(whole.run)
    assert rows[: len(stored)] == stored and len(rows) == 40


def evaluation(index: int, accuracy: float, latency: float, excess: float = 0.0) -> Evaluation:
    violations = (Infeasible("latency_ms", "too slow"),) if excess else ()
    figures = {"accuracy": accuracy, "latency_ms": latency}
    return Evaluation(Pair(index, 0), str(index), "c", figures, violations, excess)


def test_ranking_and_front() -> None:
    objectives = (Objective("accuracy", "max"), Objective("latency_ms", "min"))
    a, b, c = evaluation(0, 70, 3), evaluation(1, 70, 2), evaluation(2, 60, 1)
    d, e = evaluation(3, 65, 2.5), evaluation(4, 99, 9, excess=2.0)
    f = evaluation(5, 98, 9, excess=1.0)
    ranked = [x.network for x in rank([a, b, c, d, e, f], objectives)]
    assert ranked == ["1", "0", "3", "2", "5", "4"]
    assert [x.network for x in pareto([a, b, c, d, e, f], objectives)] == ["1", "2"]


def test_problem_files_report_every_error_at_once(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(
        '[network]\nspace = 3\n[hardware]\nspace = "x"\nspeed = 1\n[search]\nbudget = "a"\n'
    )
    with pytest.raises(ConfigError) as caught:
        Problem.load(path)
    text = str(caught.value)
    assert "3 wrong entries" in text and str(path) in text
    assert all(part in text for part in ("[network.space]", "[hardware.speed]", "[search.budget]"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[network\n", "not TOML"),
        ('[network]\n[hardware]\nspace="x"\n', "give either space"),
        ('[network]\nspace="n"\n[hardware]\n', r"\[hardware\]: give either"),
        ('[network]\nspace="n"\n[hardware]\nspace="x"\n[constraints]\nspeed=1\n', "unknown figure"),
        ('[network]\nspace="n"\n[hardware]\nspace="x"\n[constraints]\nlatency_ms=-1\n', "above 0"),
        ('[network]\nspace="n"\n[hardware]\nspace="x"\n[search]\nbudget=0\n', "at least 1"),
        (
            '[network]\nspace="n"\n[hardware]\nspace="x"\n[objectives]\nlatency_ms="max"\n',
            r'p\.toml: \[objectives\] latency_ms = "max": only "min" is allowed',
        ),
        (
            '[network]\nspace="n"\n[hardware]\nspace="x"\n[objectives]\naccuracy="min"\n',
            '"min": only "max" is allowed, as more accuracy is better',
        ),
    ],
)
def test_wrong_problems_say_what_is_allowed(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "p.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        Problem.load(path)


def test_every_figure_has_one_direction() -> None:
    for metric in METRICS:
        right, wrong = ("max", "min") if metric == "accuracy" else ("min", "max")
        assert Objective(metric, right).goal == right
        with pytest.raises(ConfigError, match=f'{metric} = "{wrong}": only "{right}" is allowed'):
            Objective(metric, wrong)


@pytest.mark.parametrize(
    ("table", "entry", "name"),
    [
        ("network", {"onnx": ["a\0b.onnx"]}, "onnx"),
        ("network", {"onnx": ["a.onnx"], "calibration": "\0"}, "calibration"),
        ("hardware", {"space": "a\0b.json"}, "space"),
        ("hardware", {"configs": ["pynq", "a\0b.json"]}, "configs"),
        ("accuracy", {"source": "predicted", "path": "\0"}, "path"),
        ("accuracy", {"source": "train", "store": "\0"}, "store"),
        ("accuracy", {"source": "supernet", "checkpoint": "\0"}, "checkpoint"),
        ("search", {"cost_model": "a\0"}, "cost_model"),
    ],
)
def test_paths_with_a_nul_character(
    tmp_path: Path, table: str, entry: dict[str, Any], name: str
) -> None:
    document = {"network": {"space": "n"}, "hardware": {"space": "x"}, table: entry}
    with pytest.raises(ConfigError, match=rf"\[{table}\] {name}: '.*\\x00.*': no path has a NUL"):
        Problem.from_dict(document, tmp_path)
    with pytest.raises(ConfigError, match="no such file"):
        Problem.load("a\0b.toml")


def test_missing_files_and_unknown_strategies(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        Problem.load(tmp_path / "no.toml")
    problem = Problem(NetworkChoice("nasbench201"), HardwareChoice("neuhardco"))
    with pytest.raises(ConfigError, match=r"unknown strategy 'magic'; allowed: .*random"):
        search(problem, "magic", store=tmp_path / "r.db")
    assert not (tmp_path / "r.db").exists()


@pytest.mark.parametrize("strategy", ["exhaustive", pytest.param("random", marks=pytest.mark.long)])
def test_killed_at_any_moment_the_result_is_the_same(tmp_path: Path, strategy: str) -> None:
    def command(store: str) -> list[str]:
        return [sys.executable, str(Path(tiny.__file__)), str(tmp_path / store), strategy, "2"]

    whole = subprocess.run(command("whole.db"), capture_output=True, text=True, check=True)
    lines = whole.stdout.splitlines()
    moments = np.random.default_rng(0).choice(len(lines) - 1, 2, replace=False)
    for moment in sorted(int(m) for m in moments):
        process = subprocess.Popen(command("killed.db"), stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(moment):
            if not process.stdout.readline():
                break
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    again = subprocess.run(command("killed.db"), capture_output=True, text=True, check=True)
    assert json.loads(again.stdout.splitlines()[-1]) == json.loads(lines[-1])
    result = json.loads(lines[-1])
    assert result["certificate"]["cycles"]["package_equals_t2"]
    assert result["certificate"]["proof"]["outputs_match"]
    third = subprocess.run(command("killed.db"), capture_output=True, text=True, check=True)
    assert third.stdout.splitlines()[-1] == lines[-1]


@pytest.mark.usefixtures("tiny_space")
def test_figures_of_zero_have_no_relative_regret(tmp_path: Path) -> None:
    energy = (Objective("energy_mj", "min"),)
    problem = tiny.problem(objectives=energy, constraints=(), budget=3, strategy="random")
    study = quick(tmp_path / "a.db", problem)
    share = study.certificate["evaluated_share"]
    assert share["not_excluded"] > 0 and "regret_at_most" not in share
    problem = tiny.problem(budget=3, constraints=())
    study = quick(tmp_path / "b.db", problem, accuracy=CallableAccuracy(lambda _: 0.0))
    assert study.certificate["evaluated_share"]["regret_at_most"] == 0.0
    study = quick(
        tmp_path / "c.db",
        replace(problem, exact_regret=True),
        accuracy=CallableAccuracy(lambda _: 0.0),
    )
    assert study.certificate["regret"]["relative"] == 0.0


def test_a_network_of_host_operators_alone_has_an_empty_table() -> None:
    configs, _ = load_configs(HardwareChoice(configs=("pynq", "ultra96")))
    assert unit_table([], configs, BoundPredictor()).shape == (0, 2)


@pytest.mark.usefixtures("tiny_space")
@pytest.mark.parametrize(
    ("strategy", "options", "text"),
    [
        ("nsga2", {"population": 0}, "population = 0: must be a whole number from 2 to 1000"),
        ("neuhardco", {"hardware_every": 0}, "hardware_every = 0: must be a whole number from 1"),
        ("nsga2", {"mutation": float("nan")}, r"mutation = nan: a text, true, false or a finite"),
        ("nsga2", {"population": [3]}, r"population = \[3\]: a text"),
    ],
)
def test_options_that_no_strategy_can_have(
    tmp_path: Path, strategy: str, options: dict[str, Any], text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        quick(tmp_path / "a.db", tiny.problem(strategy=strategy, options=options))


@pytest.mark.parametrize(
    ("network", "hardware", "text"),
    [
        ("nasbench201", {"space": "portable"}, "2,060,400 configurations, too many to list"),
        ("nasbench2", {"configs": ("pynq",)}, "unknown network space 'nasbench2'; known: nasb"),
        ("nasbench201", {"configs": ("pink",)}, "'pink' is not one of the presets"),
    ],
)
def test_spaces_are_checked_before_a_store_is_made(
    tmp_path: Path, network: str, hardware: dict[str, Any], text: str
) -> None:
    problem = Problem(NetworkChoice(network), HardwareChoice(**hardware))
    with pytest.raises((ConfigError, ModelError), match=text):
        quick(tmp_path / "a.db", problem)
    assert not list(tmp_path.iterdir())


def test_limits_are_finite() -> None:
    with pytest.raises(ConfigError, match="latency_ms = inf: must be above 0, and finite"):
        Constraint("latency_ms", float("inf"))


@pytest.mark.usefixtures("tiny_space")
@pytest.mark.parametrize("budget", [1, 4, 8])
def test_a_small_budget_is_spent(tmp_path: Path, budget: int) -> None:
    problem = tiny.problem(strategy="surrogate", constraints=(), budget=budget)
    spent = quick(tmp_path / "a.db", problem).certificate["evaluations"]
    assert (spent["t2"], spent["short"]) == (budget, 0)
