"""``codesign search``: the best network and accelerator pair of a problem file."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from codesign.cli.common import notice, positive, print_json, print_table, seed

if TYPE_CHECKING:
    from codesign.search.loop import Standing

NAME = "search"
HELP = "search for the best network and accelerator pair"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("problem", metavar="PROBLEM.toml", help="what is searched, for what")
    parser.add_argument(
        "--store", default="run.db", metavar="DB", help="store of evaluations (default run.db)"
    )
    parser.add_argument("--strategy", metavar="S", help="overrides the problem's")
    parser.add_argument("--budget", type=positive, metavar="N", help="pairs to simulate")
    scale = parser.add_mutually_exclusive_group()
    scale.add_argument(
        "--workers", type=positive, default=1, metavar="N", help="processes (default 1)"
    )
    scale.add_argument("--cluster", metavar="ADDRESS", help="a Dask scheduler's, tcp://host:8786")
    parser.add_argument("--seed", type=seed, metavar="N", help="overrides the problem's")
    parser.add_argument("-m", "--model", metavar="MODEL", help="cost model that scores all pairs")
    parser.add_argument(
        "--exact-regret",
        action="store_true",
        default=None,
        help="simulate every unit afterwards, for the exact regret",
    )


def run(args: argparse.Namespace) -> int:
    """Search; the same command again resumes, or shows what was found."""
    from dataclasses import replace

    from codesign.search import Problem, search

    problem = Problem.load(args.problem)
    if args.model is not None:
        problem = replace(problem, cost_model=args.model)
    line = ProgressLine()
    try:
        study = search(
            problem,
            args.strategy,
            args.store,
            args.budget,
            args.workers,
            args.seed,
            line.step,
            exact_regret=args.exact_regret,
            cluster=args.cluster,
            watch=line.watch if line.live else None,
        )
    finally:
        line.close()
    for text in study.notices:
        notice(text)
    if study.best is None:
        notice("no evaluated pair keeps every constraint; the nearest one is shown as such")
        if (pair := study.nearest) is not None:
            notice(f"{pair['network']} on {pair['config']}: {'; '.join(pair['violations'])}")
    if args.json:
        print_json(
            {
                "best": study.best,
                "nearest": study.nearest,
                "front": study.front,
                "certificate": study.certificate,
                "notices": study.notices,
                "run": study.run,
                "folder": str(study.folder),
            },
            sort_keys=True,  # what was stored comes back sorted: the same text again
        )
        return 0
    show(study.best, study.certificate)
    print_table(
        ("network", "configuration", "accuracy %", "latency ms", "SRAM KiB"),
        [_row(pair) for pair in study.front],
        title="Pareto front of the simulated pairs",
    )
    if study.best is not None:
        print(f"\nwinner.onnx, winner.tar, certificate.json in {study.folder}")
    print(f"codesign report {args.store} -o report.html")
    return 0


def _row(pair: Mapping[str, Any]) -> tuple[Any, ...]:
    return (pair["network"], pair["config"], pair["accuracy"], pair["latency_ms"], pair["sram_kib"])


def show(best: Mapping[str, Any] | None, certificate: Mapping[str, Any]) -> None:
    """The winner and what is known about it, as a table."""
    if best is None:
        return
    cycles, proof = certificate["cycles"], certificate["proof"]
    share = certificate["evaluated_share"]
    tested = certificate["accuracy"]["tested"]
    rows: list[tuple[str, Any]] = [
        ("network", best["network"]),
        ("configuration", best["config"]),
        ("accuracy", f"{best['accuracy']:.2f} % ({certificate['levels']['accuracy']})"),
        ("latency", f"{best['latency_ms']:.4g} ms, {cycles['t2']} cycles (T2)"),
        ("SRAM", f"{best['sram_kib']:g} KiB"),
        ("energy", f"{best['energy_mj']:.4g} mJ (estimated)"),
        (
            "FPGA",
            "{dsp:g} DSP, {bram36:g} RAMB36, {lut:g} LUT, {ff:g} FF (estimated)".format(**best),
        ),
        ("weights", proof["weights"]),
        ("outputs match", f"{_yes(proof['outputs_match'])}, {proof['inputs']} inputs"),
        ("package cycles equal", cycles["package_equals_t2"]),
        ("pairs", f"{share['pairs']}, {certificate['evaluations']['t2']} at T2"),
    ]
    if tested is not None:
        rows.insert(3, ("accuracy, unseen", f"{tested['accuracy']:.2f} % ({tested['judged']})"))
    if "why" in best:
        rows.append(("why proposed", best["why"]))
    if "regret" in certificate:
        rows.append(("exact regret", f"{100 * certificate['regret']['relative']:.3g} %"))
    elif "regret_at_most" in share:
        rows.append(("regret at most", f"{100 * share['regret_at_most']:.3g} %"))
    else:
        rows.append(("regret", "not known, nothing bounds the first objective"))
    print_table(("winner", ""), rows)


def _yes(value: bool) -> str:
    return "yes" if value else "NO"


class ProgressLine:
    """A live line on stderr; silent where that is no terminal."""

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()
        self._started = time.monotonic()
        self._standing = ""
        self._what = ""
        self._shown = 0.0
        self._first: tuple[float, float] | None = None

    def step(self, what: str, done: int, total: int) -> None:
        """For `Progress`: every kind of work has a line of its own."""
        now = time.monotonic()
        fresh = what != self._what
        if not self.live or not (fresh or done >= total or now - self._shown > 0.2):
            return
        end = "\n" if fresh and self._what else "\r"
        text = f"[{_clock(now - self._started)}] {what}: {done}/{total}{self._standing}"
        print(f"{end}{text[: _columns()]}\033[K", end="", file=sys.stderr, flush=True)
        self._what, self._shown = what, now

    def watch(self, standing: Standing) -> None:
        """What the line says behind the count, from the next step on. What is left is told by the
        pace since the first call: what a resumed search finds done took no time now."""
        spent, seconds = standing.spent, time.monotonic() - self._started
        since, done = self._first = self._first or (seconds, spent.price)
        left, bought = standing.budget - spent.price, spent.price - done
        eta = _clock(max(0.0, (seconds - since) * left / bought)) if bought > 0 else "-"
        levels = {"T0": spent.t0, "T1": spent.t1, "T2": spent.t2, "short": spent.short}
        used = ", ".join(f"{name} {count}" for name, count in levels.items() if count)
        best = "none feasible" if standing.best is None else _figures(standing.best.figures)
        self._standing = f" | best {best} | front {standing.front} | {used} | ETA {eta}"

    def close(self) -> None:
        """End the line."""
        if self.live and self._what:
            print(file=sys.stderr)


def _columns() -> int:
    return shutil.get_terminal_size().columns - 1


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _figures(figures: Mapping[str, float]) -> str:
    return f"{figures['accuracy']:.2f} %, {figures['latency_ms']:.3g} ms"
