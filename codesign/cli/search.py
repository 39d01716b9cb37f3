"""``codesign search``: the best network and accelerator pair of a problem file."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from codesign.cli.common import notice, positive, print_json, print_table, seed

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
    study = search(
        problem,
        args.strategy,
        args.store,
        args.budget,
        args.workers,
        args.seed,
        progress_lines(),
        exact_regret=args.exact_regret,
        cluster=args.cluster,
    )
    for text in study.notices:
        notice(text)
    if study.best is None:
        nearest = study.nearest
        notice("no evaluated pair keeps every constraint; the nearest one is shown as such")
        if nearest is not None:
            notice(
                f"{nearest['network']} on {nearest['config']}: {'; '.join(nearest['violations'])}"
            )
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
            }
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
        ("outputs match", proof["outputs_match"]),
        ("package cycles equal", cycles["package_equals_t2"]),
        ("pairs", f"{share['pairs']}, {certificate['evaluations']['t2']} at T2"),
    ]
    if "regret" in certificate:
        rows.append(("exact regret", f"{100 * certificate['regret']['relative']:.3g} %"))
    else:
        rows.append(("regret at most", f"{100 * share.get('regret_at_most', 1.0):.3g} %"))
    print_table(("winner", ""), rows)


def progress_lines() -> Callable[[str, int, int], None]:
    """Progress on stderr: a live line on a terminal, else a line every ten seconds."""
    shown = {"what": "", "time": 0.0}
    live = sys.stderr.isatty()
    started = time.monotonic()

    def report(what: str, done: int, total: int) -> None:
        now = time.monotonic()
        fresh = what != shown["what"]
        if not fresh and done < total and now - float(shown["time"]) < (0.2 if live else 10.0):
            return
        line = f"[{now - started:6.1f} s] {what}: {done}/{total}"
        if live:
            start = "\n" if fresh and shown["what"] else "\r"
            print(f"{start}{line}\033[K", end="", file=sys.stderr, flush=True)
            if what == "compiling and running the winner" and done == total:
                print(file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)
        shown.update(what=what, time=now)

    return report
