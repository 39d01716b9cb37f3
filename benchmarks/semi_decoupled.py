"""Semi-decoupled co-design: does a network set found on one accelerator serve all others?

Studies NAS-Bench-201 and NAS-Bench-Macro on `neuhardco` (exact truth tables, T2) and the published
spaces on 132 accelerators of the MAESTRO model: Spearman heat maps, the CDF of the average
correlation, K sets of every proxy, evaluations counted, loss against the coupled optimum and
against the target as its own proxy with the same K, the warning (on a made-up table of low rank
correlation too), the FLOPs-proxy control, and 5 000 layer-wise mixtures. ``--networks`` random
networks of each space (1 017 as published; 0 takes all). AlphaNet's accuracies do not ship:
``--alphanet`` takes the table's path. nb301 has no accuracy; numbers drawn to follow MACs stand
in, for figures only. ``--plots`` writes PNG files.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from claims import STDERR, Claim, Results, parser
from maestro import TARGET_FIGURES, Maestro, mixtures, target_figures
from semi_plots import draw
from semi_study import K, Study
from truth import joint_truth

from codesign.hw.space import load_space
from codesign.kernels import best_schedule
from codesign.nn import TableAccuracy, load_network_space
from codesign.search.monotonicity import rank_correlations
from codesign.search.pairs import sums
from codesign.search.semi_decoupled import JointTable, evaluation_count

NETWORKS, CONFIGS, MIXTURES = 1017, 133, 5000
QUICK_NETWORKS, QUICK_MIXTURES = 200, 200
_FAMILY = (("nasbench201", "cifar10"), ("nasbench201", "cifar100"), ("nbmacro", "cifar10"))
_FOREIGN = (("nb201", "nasbench201", "cifar10"), ("nbmacro", "nbmacro", "cifar10"))
_STAND_IN = "nb301 on MAESTRO, accuracy drawn"
_MADE_UP = "made-up table of low rank correlation"


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--networks", type=int, default=NETWORKS, help="of each space; 0: all")
    arguments.add_argument("--alphanet", type=Path, help="path of alphanet_9999.npz")
    arguments.add_argument("--only", default="", help="studies whose name holds this text")
    arguments.add_argument("--plots", type=Path, help="folder for the plots (PNG)")
    options = arguments.parse_args(argv)
    results = Results("Semi-decoupled co-design")
    seed: int = options.seed
    networks = QUICK_NETWORKS if options.quick else options.networks
    results.claims += [*published_target(), evaluations()]
    studies: list[Study] = []
    for study in _studies(networks, options.alphanet, seed, options.quick, options.only):
        started = time.perf_counter()
        trained = study.name not in (_STAND_IN, _MADE_UP)
        results.figures[study.name] = study.figures()
        if trained:
            results.claims += claims(study)
        studies.append(study)
        STDERR.print(f"{study.name}: {time.perf_counter() - started:.0f} s")
    results.claims.append(warning_claim([s for s in studies if s.name != _STAND_IN]))
    mixed = mixtures(
        Maestro.load("nb301"),
        QUICK_MIXTURES if options.quick else MIXTURES,
        np.random.default_rng(seed),
    )
    average = rank_correlations(mixed).mean(axis=1)
    results.claims.append(
        Claim(
            "layer-wise mixtures of accelerators and dataflows evaluated",
            mixed.shape[1],
            "mixtures",
            f"{QUICK_MIXTURES if options.quick else MIXTURES}",
            bool(np.isfinite(average).all()),
        )
    )
    rate = evaluations_per_second(seed)
    name = "simulated evaluations of a network a CPU second (MAESTRO: 2 to 5 s each)"
    results.claims.append(Claim(name, rate, "1/s", ">= 0.5", rate >= 0.5))
    results.figures |= {
        "mixtures, least average Spearman": float(average.min()),
        "mixtures, median average Spearman": float(np.median(average)),
    }
    if options.plots is not None:
        draw(options.plots, studies, average)
    if not options.json:
        _print_studies(results)
    results.show(options.json)
    return results.exit_code


def published_target() -> list[Claim]:
    """Target #1 of the published study, from the tables."""
    cycles, energy = target_figures()
    wanted = TARGET_FIGURES
    return [
        Claim("MAESTRO target #1, latency", cycles, "cycles", str(wanted[0]), cycles == wanted[0]),
        Claim(
            "MAESTRO target #1, energy", energy, "nJ", str(wanted[1]), round(energy) == wanted[1]
        ),
    ]


def evaluations() -> Claim:
    """The published count: coupled against N + K·(C - 1)."""
    ratio = NETWORKS * CONFIGS / evaluation_count(NETWORKS, CONFIGS, K)
    return Claim(
        f"coupled ÷ semi-decoupled evaluations, {NETWORKS} networks, {CONFIGS} configurations",
        ratio,
        "x",
        ">= 36.9",
        ratio >= 36.9,
    )


def claims(study: Study) -> list[Claim]:
    """Loss of proxies that rank alike, and of the whole search over all proxies tried."""
    loss = study.mean_loss_alike()
    rows = study.proxies()
    median = float(np.median([float(str(row["whole search, median loss"])) for row in rows]))
    return [
        Claim(
            f"{study.name}: loss against own proxy, Spearman >= 0.9, mean",
            loss,
            "points",
            "<= 0.05",
            loss <= 0.05,
        ),
        Claim(
            f"{study.name}: whole search, median over proxies of the median loss",
            median,
            "points",
            "<= 0",
            median <= 0,
        ),
    ]


def warning_claim(studies: Sequence[Study]) -> Claim:
    """Of all (proxy, target) pairs that lose more than 0.3 points, those warned of."""
    losing = sum(int(study.losing.sum()) for study in studies)
    caught = sum(int((study.losing & study.warned).sum()) for study in studies)
    share = 100.0 * caught / losing if losing else 100.0
    name = f"pairs that lose more than 0.3 points and are warned of ({caught} of {losing})"
    return Claim(name, share, "%", ">= 95", share >= 95)


def _studies(
    networks: int, alphanet: Path | None, seed: int, quick: bool, only: str
) -> Iterator[Study]:
    for space, dataset in _FAMILY:
        name = f"{space} on neuhardco, {dataset}"
        if only not in name or (quick and space != "nbmacro"):
            continue
        yield family_study(name, space, dataset, networks, seed)
    accuracies: dict[str, tuple[str, np.ndarray]] = {}
    for space, table, dataset in _FOREIGN:
        source = TableAccuracy(table, dataset)
        known = source.lookup(source.networks())
        accuracies[f"{space} on MAESTRO, {dataset}"] = (space, known)
    if alphanet is None:
        STDERR.print("AlphaNet on MAESTRO left out: give alphanet_9999.npz with --alphanet")
    else:
        with np.load(alphanet, allow_pickle=False) as file:
            predicted = file["acc_pred_top1"][file["selected_1046"]]
        accuracies["alphanet on MAESTRO, predicted accuracy"] = ("alphanet", predicted)
    accuracies[_STAND_IN] = ("nb301", _drawn_accuracy(Maestro.load("nb301").macs, seed))
    if only in _MADE_UP:
        yield _made_up(seed)
    for name, (space, accuracy) in accuracies.items():
        if only in name:
            yield _maestro_study(name, space, accuracy, networks, seed)


def family_study(name: str, space: str, dataset: str, networks: int, seed: int) -> Study:
    """A truth table's networks on 133 of its configurations, all drawn with ``seed``.

    The resource of a configuration is its estimated DSPs.
    """
    truth = joint_truth(space)
    pairs = truth.pairs
    accuracy = TableAccuracy(space, dataset).lookup(pairs.networks.names)
    rng = np.random.default_rng(seed)
    rows = _drawn(np.flatnonzero(pairs.connected), networks, rng)
    columns = _drawn(np.flatnonzero(~np.isnan(truth.units.cycles).any(axis=0)), CONFIGS, rng)
    counts = pairs.counts[rows]
    return Study(
        name,
        JointTable(
            accuracy[rows],
            sums(counts, truth.units.cycles[:, columns]) * pairs.ms_per_cycle[columns],
            sums(counts, truth.units.energy_mj[:, columns]),
            pairs.hardware["dsp"][columns],
        ),
        counts @ np.array([float(unit.macs) for unit in pairs.units]),
        [pairs.configs[column].name for column in columns],
        seed,
    )


def _maestro_study(name: str, space: str, accuracy: np.ndarray, networks: int, seed: int) -> Study:
    tables = Maestro.load(space)
    rows = _drawn(np.arange(len(accuracy)), networks, np.random.default_rng(seed))
    table = JointTable(
        accuracy[rows],
        tables.latency[rows].astype(np.float64),
        tables.energy[rows],
        tables.resource,
    )
    return Study(name, table, tables.macs[rows], tables.configs, seed)


def _made_up(seed: int) -> Study:
    """Configurations that weigh two independent costs of the networks, each in its own way: from
    equal rankings to none alike. For the warning, which the other tables hardly put to the test."""
    rng = np.random.default_rng(seed)
    costs, weights = rng.uniform(1, 10, (2, NETWORKS)), rng.uniform(0, 1, 40)
    latency = costs[0][:, None] * weights + costs[1][:, None] * (1 - weights)
    accuracy = 60 + costs.sum(axis=0) + rng.normal(0, 1, NETWORKS)
    table = JointTable(accuracy, latency, 2.0 * latency, np.ones(len(weights)))
    return Study(_MADE_UP, table, costs.sum(axis=0), [f"{w:.3f}" for w in weights], seed)


def _drawn(of: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """``count`` of them in order, all where it is 0 or more than there are."""
    if not 0 < count < len(of):
        return of
    return np.sort(rng.choice(of, count, replace=False))


def _drawn_accuracy(macs: np.ndarray, seed: int) -> np.ndarray:
    """Percent; rises with MACs but for noise, as trained accuracies do. No finding."""
    rank = macs.argsort().argsort() / (len(macs) - 1)
    return 93.0 + 1.5 * rank + np.random.default_rng(seed).normal(0, 0.35, len(macs))


def evaluations_per_second(seed: int) -> float:
    """Networks of NAS-Bench-Macro on random configurations, every layer simulated afresh;
    CPU time."""
    rng = np.random.default_rng(seed)
    configs = tuple(load_space("neuhardco").configs())
    space = load_network_space("nbmacro")
    drawn = [(space.layers(space.sample(rng)), configs[rng.integers(len(configs))]) for _ in "123"]
    started = time.process_time()
    for layers, config in drawn:
        for workload, _ in layers:
            best_schedule(workload, config)
    return len(drawn) / (time.process_time() - started)


def _print_studies(results: Results) -> None:
    """One block of figures a study; its rows by proxy are in the JSON form."""
    for name, figures in results.figures.items():
        if isinstance(figures, dict):
            STDERR.print(f"\n{name}")
            for key, value in figures.items():
                if not isinstance(value, list):
                    STDERR.print(f"  {key}: {value:,.4g}")


if __name__ == "__main__":
    sys.exit(main())
