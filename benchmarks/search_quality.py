"""Every strategy against exact truth: regret and evaluations to 1 %, 20 seeds, 95 % intervals.

Replays searches on the truth tables of benchmarks/truth.py (T2): NAS-Bench-201 (CIFAR-100, 200
epochs) and NAS-Bench-Macro, each x `neuhardco`, for the problems in ``PROBLEMS``. Every strategy
gets the same tuning budget first: settings of ``VARIANTS``, its default and two others,
`TUNING_SEEDS` seeds each on a problem of its own. The setting used, and which strategy is called
the best one, are decided there. Regret is the relative loss of the first objective against the
feasible optimum of all pairs; a replay ends where that is found. A run that never reaches 1 %
counts as having needed its whole budget (censored); ratios are of medians, and "at least" where
the larger one is censored. Intervals are bootstrap percentiles of the median.

Prints stored results; ``--rerun`` makes what is missing or old, in ``--processes``, and resumes
where it was killed. ``--quick`` replays two strategies with three seeds now and stores nothing.
``--plots FOLDER`` draws regret by evaluations and the tuning runs ("hyperparameter lottery").
``--markdown`` prints the README's tables.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from claims import STDERR, Claim, Results, parser
from scipy.stats import binomtest
from stored import NOTHING_STORED, StoredRows, processes_of, sources_key
from threadpoolctl import threadpool_limits
from truth import FOLDER, joint_truth

from codesign.search.problem import (
    DEFAULT_OBJECTIVES,
    Constraint,
    HardwareChoice,
    NetworkChoice,
    Objective,
    Problem,
)
from codesign.search.replay import replay
from codesign.search.strategies import INFORMED, strategy_names
from codesign.search.truth import JointTruth
from codesign.search.view import View
from codesign.store.content import content_key

SEEDS, TUNING_SEEDS, QUICK_SEEDS = 20, 5, 3
BUDGET, QUICK_BUDGET = 1000.0, 60.0
SHORTENED: dict[str, tuple[float, int]] = {"gp": (40.0, 5), "tpe": (200.0, 20)}
"""Budget and seeds of Optuna's models: 40 evaluations of `gp` take 10 seconds, in which most others
make 10 000."""
RANDOM_BUDGET = 10_000.0
"""`random` goes on, so that its evaluations to 1 % are known; what it draws before is the same."""
MOST_MINUTES = 80
"""Of all strategies' replays: 40 minutes of two cores."""
REACHED = 0.01
MARKS = (200.0, 1000.0)
LEARNERS = ("nahas-ppo", "nahas-reinforce", "neuhardco", "naf")
"""Reinforcement learning and the two that descend or breed through a differentiable loss: each is
to beat `random`."""
SIGNIFICANT = 0.01
BASELINES = ("random", "decoupled-nn-first", "decoupled-hw-first")
QUICK = ("random", "surrogate")
_AROUND = (
    "accuracy.py",
    "certificate.py",
    "exhaustive.py",
    "fronts.py",
    "gain.py",
    "loop.py",
    "networks.py",
    "pools.py",
    "problem.py",
    "problem_file.py",
    "scores.py",
    "simulate.py",
    "truth.py",
    "winner.py",
)
"""Files of codesign/search that a replay does not use, or that only hand it problem and tables."""


def _problem(
    space: str, limits: dict[str, float], objective: tuple[str, str] | None = None
) -> Problem:
    made = DEFAULT_OBJECTIVES
    if objective is not None:
        made = (Objective(objective[0], "min" if objective[1] == "min" else "max"),)
    constraints = tuple(Constraint(metric, limit) for metric, limit in limits.items())
    return Problem(
        NetworkChoice(space), HardwareChoice("neuhardco"), objectives=made, constraints=constraints
    )


TUNING = _problem("nasbench201", {"latency_ms": 6.0, "dsp": 512.0})
PROBLEMS: dict[str, Problem] = {
    "201 accuracy | 4 ms, 512 KiB": _problem("nasbench201", {"latency_ms": 4.0, "sram_kib": 512.0}),
    "201 accuracy | 4 ms, 256 DSP": _problem("nasbench201", {"latency_ms": 4.0, "dsp": 256.0}),
    "201 accuracy | 1 mJ, 256 DSP": _problem("nasbench201", {"energy_mj": 1.0, "dsp": 256.0}),
    "201 latency | 72 %, 1024 DSP": _problem(
        "nasbench201", {"accuracy": 72.0, "dsp": 1024.0}, ("latency_ms", "min")
    ),
    "201 energy | 68 %, 4 ms": _problem(
        "nasbench201", {"accuracy": 68.0, "latency_ms": 4.0}, ("energy_mj", "min")
    ),
    "macro accuracy | 5 ms, 256 DSP": _problem("nbmacro", {"latency_ms": 5.0, "dsp": 256.0}),
    # The last two were written down before any strategy had been run on them: their limits are
    # round numbers near percentiles of the tables (accuracy: the 94th and the 80th; DSP and
    # memory: half of the configurations and three in ten).
    "201 energy | 70 %, 512 DSP": _problem(
        "nasbench201", {"accuracy": 70.0, "dsp": 512.0}, ("energy_mj", "min")
    ),
    "macro latency | 92 %, 512 KiB": _problem(
        "nbmacro", {"accuracy": 92.0, "sram_kib": 512.0}, ("latency_ms", "min")
    ),
}

VARIANTS: dict[str, tuple[dict[str, Any], ...]] = {
    "bottleneck": ({}, {"optimism": 0.0}, {"children": 192}),
    "coupled-hw-outer": ({}, {"inner": 2}, {"inner": 8}),
    "coupled-nn-outer": ({}, {"inner": 2}, {"inner": 8}),
    "decoupled-hw-first": ({}, {"share": 0.3}, {"population": 64, "tournament": 16}),
    "decoupled-nn-first": ({}, {"share": 0.9}, {"population": 64, "tournament": 16}),
    "gp": ({}, {"startup": 30}, {"startup": 10}),
    "naf": ({}, {"optimism": 0.0}, {"factor_rate": 0.2}),
    "nahas-ppo": ({}, {"mode": "soft"}, {"margin": 0.2}),
    "nahas-reinforce": ({}, {"mode": "soft"}, {"margin": 0.2}),
    "neuhardco": ({}, {"optimism": 0.0}, {"particles": 4}),
    "nsga2": ({}, {"all_objectives": False}, {"population": 64}),
    "random": ({},),
    "semi-decoupled": ({}, {"pairs": 10}, {"rounds": 3}),
    "semi-decoupled-flops": ({}, {"pairs": 10}, {"rounds": 3}),
    "surrogate": ({}, {"shorts": 16}, {"batch": 8}),
    "tpe": ({}, {"batch": 1}, {"startup": 40}),
}
"""Settings tried of each strategy, the same number for all but `random`, which has none."""


@cache
def _setting(name: str) -> tuple[Problem, JointTruth, View, float]:
    """A problem by name, its truth, its view, and its optimum."""
    problem = TUNING if name == "tuning" else PROBLEMS[name]
    truth = joint_truth(str(problem.network.space))
    optimum = truth.optimum(problem)
    assert optimum is not None, f"{name}: no feasible pair"
    return problem, truth, View(problem, truth.pairs), optimum


def runs(
    name: str, strategy: str, options: dict[str, Any], seeds: Sequence[int], budget: float
) -> dict[str, Any]:
    """Replays of one strategy on one problem: regret at the marks, price of 1 %, its curve."""
    problem, truth, view, optimum = _setting(name)
    rows: list[dict[str, Any]] = []
    started = time.process_time()
    for seed in seeds:
        with threadpool_limits(1):  # two processes of as many threads take twice as long
            found = replay(problem, truth, strategy, seed, budget, options, view, goal=optimum)
        curve = found.regret(optimum)
        steps = np.flatnonzero(curve < np.concatenate([[np.inf], curve[:-1]]))
        rows.append(
            {
                "seed": seed,
                "feasible": found.winner() is not None,
                "price": _plain(round(found.price_of(optimum, REACHED), 2)),
                "regret": [_plain(round(found.regret_at(optimum, mark), 6)) for mark in MARKS],
                "curve": [
                    [round(float(found.spent[s]), 1), round(float(curve[s]), 5)] for s in steps
                ],
            }
        )
    seconds = round(time.process_time() - started, 2)
    return {"options": options, "budget": budget, "runs": rows, "seconds": seconds}


def _plain(value: float) -> float | None:
    """JSON knows no infinity."""
    return None if np.isinf(value) else value


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--rerun", action="store_true", help="replay what is missing or old")
    arguments.add_argument("--processes", type=int, default=2, help="of --rerun (default 2)")
    arguments.add_argument("--strategies", nargs="+", choices=sorted(VARIANTS), help="these alone")
    arguments.add_argument("--plots", type=Path, metavar="FOLDER", help="draw into this folder")
    arguments.add_argument("--markdown", action="store_true", help="print tables for the README")
    options = arguments.parse_args(argv)
    results = Results("Search quality on exact truth (T2, replay)")
    wanted = tuple(options.strategies or sorted(VARIANTS))
    if options.quick:
        _quick(results)
        results.show(options.json)
        return results.exit_code
    stored = StoredRows.load("search_quality")
    if options.rerun:
        with processes_of(options.processes) as pool:
            _complete(stored, sorted(wanted, key=_turn), pool)
    known = [name for name in wanted if _row(stored, next(iter(PROBLEMS)), name) is not None]
    if not known:
        sys.exit(NOTHING_STORED)
    table = {
        problem: {name: row for name in known if (row := _row(stored, problem, name)) is not None}
        for problem in PROBLEMS
    }
    if options.markdown:
        print(_markdown(table))
        return 0
    best = _best_strategy(stored, known)
    _describe(results, table, best)
    _against_random(results, table)
    if set(known) == set(VARIANTS):
        minutes = _minutes(stored)
        name, holds = "processor time of all replays", minutes <= MOST_MINUTES
        results.claims.append(Claim(name, minutes, "min", f"<= {MOST_MINUTES}", holds))
    if options.plots:
        from search_plots import draw

        draw(options.plots, table, _tuning_rows(stored, known), BUDGET)
    results.show(options.json)
    return results.exit_code


def _minutes(stored: StoredRows) -> float:
    """Processor time of the tuning runs and of every strategy on every problem."""
    asked = [f"tuning/{name}/{v}" for name in VARIANTS for v in range(len(VARIANTS[name]))]
    asked += [f"{problem}/{name}" for problem in PROBLEMS for name in VARIANTS]
    return sum(float(stored.rows[row]["seconds"]) for row in asked) / 60


# Making rows --------------------------------------------------------------------------------
def _key(
    problem: str, strategy: str, options: dict[str, Any], seeds: Sequence[int], budget: float
) -> str:
    asked = TUNING if problem == "tuning" else PROBLEMS[problem]
    table = (FOLDER / f"{asked.network.space}-neuhardco.npz").read_bytes()
    digest = hashlib.sha256(table).hexdigest()
    goals = [[str(limit) for limit in asked.constraints], [str(o) for o in asked.objectives]]
    return content_key([goals, strategy, options, list(seeds), budget, _sources(), digest])


@cache
def _sources() -> str:
    """What decides a replay: the strategies and what they see, not the loop, store and report."""
    return sources_key("codesign/search", without=_AROUND)


def _turn(strategy: str) -> int:
    """Of the tuning runs, and then of the others: those that claims are about first, Optuna's
    models last."""
    if strategy in SHORTENED:
        return 2
    return 0 if strategy in (*BASELINES, *LEARNERS, *QUICK) else 1


def _budget(strategy: str) -> float:
    usual = RANDOM_BUDGET if strategy == "random" else BUDGET
    return SHORTENED.get(strategy, (usual, SEEDS))[0]


def _seeds(strategy: str) -> list[int]:
    return list(range(SHORTENED.get(strategy, (BUDGET, SEEDS))[1]))


def _complete(stored: StoredRows, wanted: Sequence[str], pool: Executor) -> None:
    """Tuning runs first, then every problem with each strategy's best setting."""
    seeds = list(range(1000, 1000 + TUNING_SEEDS))
    asked = {
        f"tuning/{name}/{place}": ("tuning", name, variant, seeds, _budget(name))
        for name in wanted
        for place, variant in enumerate(VARIANTS[name])
    }
    _measure(stored, asked, pool, "tuning")
    asked = {
        f"{problem}/{name}": (problem, name, _best(stored, name), _seeds(name), _budget(name))
        for name in wanted
        for problem in PROBLEMS
    }
    _measure(stored, asked, pool, "searching")


def _measure(
    stored: StoredRows, asked: dict[str, tuple[Any, ...]], pool: Executor, what: str
) -> None:
    keys = {row: _key(*given) for row, given in asked.items()}
    todo = {row: given for row, given in asked.items() if not stored.is_current(row, keys[row])}
    stored.measure(runs, todo, keys, pool, what)


def _best(stored: StoredRows, strategy: str) -> dict[str, Any]:
    """The setting with the lowest median price of 1 %, then the lowest median regret."""
    rows = [stored.rows[f"tuning/{strategy}/{v}"] for v in range(len(VARIANTS[strategy]))]
    scores = [(_median_price(row), float(np.median(_regrets(row, -1)))) for row in rows]
    return rows[min(range(len(rows)), key=lambda place: scores[place])]["options"]


def _best_strategy(stored: StoredRows, known: Sequence[str]) -> str | None:
    """The one whose best setting needs the fewest evaluations to 1 % on the tuning problem; its
    runs there are no part of what is reported."""
    rivals = [name for name in known if name not in BASELINES and name not in SHORTENED]
    tuned = {name: rows for name, rows in _tuning_rows(stored, rivals).items() if rows}
    return min(tuned, key=lambda name: min(map(_median_price, tuned[name])), default=None)


def _row(stored: StoredRows, problem: str, strategy: str) -> dict[str, Any] | None:
    return stored.rows.get(f"{problem}/{strategy}")


def _tuning_rows(stored: StoredRows, names: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    return {
        name: [
            stored.rows[row]
            for place in range(len(VARIANTS[name]))
            if (row := f"tuning/{name}/{place}") in stored.rows
        ]
        for name in names
    }


# Reading rows -------------------------------------------------------------------------------
def _regrets(row: dict[str, Any], mark: int) -> list[float]:
    values = [run["regret"][mark] for run in row["runs"]]
    return [float("inf") if value is None else value for value in values]


def _prices(row: dict[str, Any]) -> list[float]:
    prices = [run["price"] for run in row["runs"]]
    return [row["budget"] if price is None else price for price in prices]


def _median_price(row: dict[str, Any]) -> float:
    """Censored at the budget: a median at the budget means at least that."""
    return float(np.median(_prices(row)))


def interval(samples: Sequence[float], draws: int = 2000) -> tuple[float, float]:
    """95 % bootstrap percentiles of the median."""
    values = np.array(samples)
    rng = np.random.default_rng(0)
    picks = rng.integers(len(values), size=(draws, len(values)))
    with np.errstate(invalid="ignore"):
        medians = np.median(values[picks], axis=1)
    low, high = np.quantile(medians, [0.025, 0.975], method="nearest")
    return float(low), float(high)


def _describe(
    results: Results, table: dict[str, dict[str, dict[str, Any]]], best: str | None
) -> None:
    for problem, rows in table.items():
        for name, row in rows.items():
            prices, at200 = _prices(row), _regrets(row, 0)
            results.figures[f"{problem}: {name}"] = {
                "regret_200_percent": _summary(at200, 100.0),
                "regret_1000_percent": _summary(_regrets(row, 1), 100.0),
                "evaluations_to_1_percent": _summary(prices, 1.0),
                "censored_runs": sum(price >= row["budget"] for price in prices),
                "feasible_runs": sum(run["feasible"] for run in row["runs"]),
                "options": row["options"],
                "current": row["key"]
                == _key(problem, name, row["options"], _seeds(name), _budget(name)),
                "cpu_seconds": row["seconds"],
            }
        if best in rows and set(BASELINES) <= set(rows):
            _claims(results, problem, rows, best)


def _summary(samples: Sequence[float], scale: float) -> list[float | None]:
    """Median with its interval."""
    low, high = interval(samples)
    return [_plain(round(scale * v, 4)) for v in (float(np.median(samples)), low, high)]


def _claims(results: Results, problem: str, rows: dict[str, dict[str, Any]], best: str) -> None:
    row = rows[best]
    for mark, target, place in ((200, 1.0, 0), (1000, 0.1, 1)):
        values = [100.0 * v for v in _regrets(row, place)]
        middle = float(np.median(values))
        name = f"{problem}: regret of {best} after {mark} evaluations, median"
        results.claims.append(Claim(name, middle, "%", f"<= {target}", middle <= target, values))
    found = [float(run["feasible"]) for run in row["runs"]]
    share = 100.0 * float(np.mean(found))
    name = f"{problem}: runs of {best} with a feasible winner"
    results.claims.append(Claim(name, share, "%", "100", share == 100.0, found))
    own = _median_price(row)
    decoupled = min(BASELINES[1:], key=lambda name: _median_price(rows[name]))
    for other, target in (("random", 10.0), (decoupled, 2.0)):
        ratio = _median_price(rows[other]) / own
        least = " (at least: censored)" if _median_price(rows[other]) >= _budget(other) else ""
        name = f"{problem}: evaluations to 1 %, {other} / {best}{least}"
        results.claims.append(Claim(name, ratio, "x", f">= {target:g}", ratio >= target))


def _against_random(results: Results, table: dict[str, dict[str, dict[str, Any]]]) -> None:
    """Sign tests over all problems and seeds: whose regret after the same evaluations is lower.
    Runs that are equal, both at the optimum for instance, say nothing."""
    for name in LEARNERS:
        for place, mark in enumerate(MARKS):
            pairs = [
                pair
                for rows in table.values()
                if name in rows and "random" in rows
                for pair in zip(
                    _regrets(rows[name], place), _regrets(rows["random"], place), strict=True
                )
            ]
            wins, losses = sum(a < b for a, b in pairs), sum(a > b for a, b in pairs)
            if not wins + losses:
                continue
            chance = float(binomtest(wins, wins + losses, alternative="greater").pvalue)
            text = f"{name} against random after {mark:g}: lower regret, of {wins + losses} runs"
            share = 100.0 * wins / (wins + losses)
            holds = chance < SIGNIFICANT
            results.claims.append(
                Claim(f"{text} (p = {chance:.1g})", share, "%", f"p < {SIGNIFICANT:g}", holds)
            )


def _markdown(table: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Evaluations to 1 %, and regret at the marks, by strategy and problem."""
    return "\n\n".join(_markdown_table(table, cell) for cell in (_price_cell, _regret_cell))


def _markdown_table(
    table: dict[str, dict[str, dict[str, Any]]], cell: Callable[[dict[str, Any]], str]
) -> str:
    names = {name: None for rows in table.values() for name in rows}
    lines = [" | ".join(["| strategy", *(p.replace("|", ":") for p in table)]) + " |"]
    lines.append("|---" + "|---:" * len(table) + "|")
    for name in names:
        cells = [cell(rows[name]) if name in rows else "" for rows in table.values()]
        lines.append("| " + " | ".join([f"`{name}`", *cells]) + " |")
    return "\n".join(lines)


def _price_cell(row: dict[str, Any]) -> str:
    middle, (low, high) = _median_price(row), interval(_prices(row))
    if middle >= row["budget"]:
        return f"> {row['budget']:.0f}"
    return f"{middle:.0f} ({low:.0f}–{'' if high >= row['budget'] else format(high, '.0f')})"


def _regret_cell(row: dict[str, Any]) -> str:
    marks = [place for place, mark in enumerate(MARKS) if mark <= row["budget"]]
    return " / ".join(_percent(float(np.median(_regrets(row, place)))) for place in marks)


def _percent(share: float) -> str:
    """Two digits; a dash where half of the runs have nothing feasible."""
    percent = 100 * share
    return "–" if np.isinf(share) else f"{percent:.0f}" if percent >= 10 else f"{percent:.2g}"


def _quick(results: Results) -> None:
    problem = next(iter(PROBLEMS))
    rows = {name: runs(problem, name, {}, range(QUICK_SEEDS), QUICK_BUDGET) for name in QUICK}
    regrets = {
        name: [min(1.0, float(run["curve"][-1][1])) if run["curve"] else 1.0 for run in row["runs"]]
        for name, row in rows.items()
    }
    gap = float(np.median(regrets["random"]) - np.median(regrets["surrogate"]))
    name = f"{problem}: median regret of random - surrogate after {QUICK_BUDGET:g} evaluations"
    results.claims.append(Claim(name, 100 * gap, "points", "> 0", gap > 0))
    results.figures |= {
        f"regret_percent_{k}": 100 * float(np.median(v)) for k, v in regrets.items()
    }
    STDERR.print(f"{problem}: {QUICK_SEEDS} seeds, {QUICK_BUDGET:g} evaluations")


if __name__ == "__main__":
    missing = set(strategy_names()) - set(VARIANTS) - set(INFORMED)
    assert not missing, f"no variants of {', '.join(sorted(missing))}"
    sys.exit(main())
