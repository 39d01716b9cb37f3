"""How well a supernet ranks the networks of a space: Kendall's tau against stand-alone training.

Networks of `mobilenet8` are drawn with 0, 1, 2 or 3 inverted bottlenecks on their nine edges, as
many of each number, and skips or poolings on the others: their accuracies differ by ten points and
more; what MACs, or the number of bottlenecks alone, would rank is shown. A few of 4 to 9 show what
is left to rank among those, and how tau is with them. Each is trained for itself on images of
`shapes32` (AdamW with a one-cycle rate) from two seeds, whose mean counts, and each inherits its
weights from one supernet of the whole space (single-path one-shot, draws that grow from one network
to uniform ones) trained on the same images, with its batch norms measured anew. Both are judged on
the same held-out images. Accuracies are measured, not predicted. How far two seeds of training
alone differ, and their tau, which bound what any ranking can reach, are shown.

Prints stored results; ``--rerun`` goes on measuring: the supernet from its checkpoint, then network
by network. It may be killed at any time.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from claims import STDERR, Claim, Results, parser
from numpy.typing import NDArray
from scipy.stats import kendalltau
from stored import NOTHING_STORED, ROOT, StoredRows, sources_key

from codesign.nn import Genotype, NetworkSpace, load_network_space
from codesign.nn.datasets import DataSet, shapes32
from codesign.nn.graph import Graph
from codesign.nn.space import Option
from codesign.nn.supernet import OneShotRecipe, train_supernet
from codesign.nn.training import Recipe, seeded, top1, train
from codesign.store.content import content_key

SPACE, DATASET = "mobilenet8", "shapes32"
INHERITED, ALONE = "inherited", "alone"
"""Kinds of rows: top-1 with the weights of each supernet, and trained alone from each seed."""
ALONE_SOURCES = (
    *(f"codesign/nn/datasets/{name}.py" for name in ("dataset", "shapes")),
    "codesign/nn/training.py",
)
"""What decides an accuracy of training alone, beside the effort and the network itself."""
SHARED_SOURCES = (
    *(f"codesign/nn/supernet/{name}.py" for name in ("one_shot", "shared", "checkpoint")),
    *ALONE_SOURCES,
)
"""What decides an inherited accuracy, beside the effort and the network itself."""
_WORKING = ("e1k3", "e1k5", "e3k3", "e3k5", "e6k3", "e6k5")
"""Options of an edge that are inverted bottlenecks; the others have no weights."""
_MOST_WORKING = 3
TAU = 0.6
RESAMPLES = 2000


SUPERNET = OneShotRecipe(150, 32, origin="-".join(("e3k3", "skip", "e3k3") * 3), growth=0.5)
"""By the training loss, on images of another seed, draws that grow from this origin learn where
uniform ones do not."""
STAND_ALONE = Recipe(6, 16)


@dataclass(frozen=True)
class Effort:
    """How many networks and images, and how long is trained."""

    networks: int = 30
    large: int = 6
    """Networks of more than `_MOST_WORKING` bottlenecks."""
    images: int = 2400
    held_out: int = 3000
    supernet: OneShotRecipe = SUPERNET
    supernets: int = 2
    """Supernets, from a seed each."""
    alone: Recipe = STAND_ALONE
    alone_seeds: int = 2


QUICK = Effort(
    networks=3,
    large=0,
    images=64,
    held_out=40,
    supernet=replace(SUPERNET, epochs=1),
    supernets=1,
    alone=replace(STAND_ALONE, epochs=1),
    alone_seeds=1,
)


def main() -> int:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--rerun", action="store_true", help="measure what is missing or old")
    arguments.add_argument(
        "--checkpoints",
        type=Path,
        default=ROOT / "build" / "supernet",
        help="folder of the supernet's checkpoint (default build/supernet)",
    )
    options = arguments.parse_args()
    effort = QUICK if options.quick else Effort()
    stored = StoredRows(None) if options.quick else StoredRows.load("supernet")
    space = load_network_space(SPACE, DATASET)
    rng = np.random.default_rng(options.seed)
    numbers = [place % (_MOST_WORKING + 1) for place in range(effort.networks)]
    numbers += [_MOST_WORKING + 1 + place for place in range(effort.large)]
    names = drawn(space, numbers, rng)
    facts = {name: network_facts(space, name) for name in names}
    recipes = [replace(effort.supernet, seed=options.seed + own) for own in range(effort.supernets)]
    made = {f"{INHERITED} {r.seed}": inherited_key(effort, options.seed, r) for r in recipes}
    made[ALONE] = alone_key(effort, options.seed)
    due = {kind: missing(stored, kind, facts, made[kind]) for kind in made}
    if options.rerun or options.quick:
        data = shapes32(options.seed, effort.images, effort.held_out)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) if options.quick else options.checkpoints
            folder.mkdir(parents=True, exist_ok=True)
            for recipe in recipes:
                kind = f"{INHERITED} {recipe.seed}"
                checkpoint = folder / f"{made[kind]}.safetensors"
                inherit(space, kind, due[kind], data, recipe, checkpoint, stored)
        train_alone(space, due[ALONE], data, effort, stored)
        due = {}
    rows: list[dict[str, Any]] = [
        {
            "network": name,
            "supernet": [stored.rows[f"{kind} {name}"]["top1"] for kind in made if kind != ALONE],
            "alone": stored.rows[f"{ALONE} {name}"]["top1"],
            "seconds": sum(stored.rows[f"{kind} {name}"]["seconds"] for kind in made),
        }
        for name in names
        if all(f"{kind} {name}" in stored.rows for kind in made)
    ]
    if len(rows) < 2:
        STDERR.print(NOTHING_STORED)
        return 1
    small = [row for row in rows if working(row["network"]) <= _MOST_WORKING]
    large = [row for row in rows if working(row["network"]) > _MOST_WORKING]
    results = Results(
        f"Ranking of {len(small)} networks of `{SPACE}` with up to {_MOST_WORKING} bottlenecks on "
        f"`{DATASET}`"
    )
    inherited, trained = accuracies(small)
    taus = [kendall(own, trained) for own in inherited]
    tau = float(np.mean(taus))
    draws = np.random.default_rng(options.seed).integers(len(small), size=(RESAMPLES, len(small)))
    resampled = [
        np.mean([kendall(own[chosen], trained[chosen]) for own in inherited]) for chosen in draws
    ]
    if len(small) >= Effort.networks:
        claim = f"Kendall's tau to stand-alone, mean of {len(taus)} supernets"
        results.claims.append(Claim(claim, tau, "", f">= {TAU}", tau >= TAU))
    results.figures |= {
        "tau_by_supernet": taus,
        "networks": len(small),
        "rows_missing_or_of_older_sources": sum(map(len, due.values())),
        "tau_low_90_percent": float(np.quantile(resampled, 0.05)),
        "tau_high_90_percent": float(np.quantile(resampled, 0.95)),
        "tau_of_macs_alone": kendall(
            np.array([macs(space, row["network"]) for row in small]), trained
        ),
        "tau_of_bottlenecks_alone": kendall(
            np.array([float(working(row["network"])) for row in small]), trained
        ),
        "tau_among_as_many_bottlenecks_mean": float(
            np.mean([mean_tau(part) for part in by_working(small)])
        ),
        "supernet_top1_mean": float(inherited.mean()),
        "alone_top1_mean": float(trained.mean()),
        "alone_top1_spread": float(trained.std(ddof=1)),
        "alone_epochs": effort.alone.epochs,
        "alone_seeds": effort.alone_seeds,
        "alone_difference_between_seeds": float(np.mean([np.ptp(row["alone"]) for row in rows])),
        "tau_between_two_seeds_of_alone": kendall(
            *(np.array([row["alone"][own] for row in small]) for own in (0, -1))
        ),
        "training_images": effort.images,
        "supernet_epochs": effort.supernet.epochs,
        "processor_seconds_of_measuring": round(sum(row["seconds"] for row in rows)),
    }
    if large:
        results.figures |= {
            "larger_networks": len(large),
            "alone_top1_mean_of_larger": float(accuracies(large)[1].mean()),
            "alone_top1_range_of_larger": float(np.ptp(accuracies(large)[1])),
            "tau_with_larger": mean_tau(rows),
        }
    results.figures["rows"] = rows
    results.show(options.json)
    return results.exit_code


def drawn(space: NetworkSpace, numbers: Sequence[int], rng: np.random.Generator) -> list[str]:
    """Networks with so many inverted bottlenecks each, on random edges, no two of which compute
    the same; what had to be drawn again comes last."""
    found: dict[str, str] = {}
    missing = list(numbers)
    while missing:
        again: list[int] = []
        for number in missing:
            chosen = set(rng.permutation(len(space.decisions))[:number].tolist())
            choices: list[Option] = []
            for place, decision in enumerate(space.decisions):
                mine = [o for o in decision.options if (o in _WORKING) == (place in chosen)]
                choices.append(mine[rng.integers(len(mine))])
            genotype = Genotype(tuple(choices))
            key = computed(space.graph(genotype))
            if key in found:
                again.append(number)
            else:
                found[key] = space.to_json(genotype)
        missing = again
    return list(found.values())


def computed(graph: Graph) -> str:
    """Equal for graphs that compute the same from the same weights: sums have no order."""
    keys: list[str] = []
    for node in graph.nodes:
        read = [keys[source] for source in node.inputs]
        operands = sorted(read) if node.kind == "add" else read
        keys.append(content_key([node.kind, node.shape, node.window, node.name, operands]))
    assert graph.output is not None
    return keys[graph.output]


def working(name: str) -> int:
    """Inverted bottlenecks of a network."""
    return sum(option in _WORKING for option in name.split("-"))


def by_working(rows: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Rows of networks with as many bottlenecks, two at least."""
    numbers = sorted({working(row["network"]) for row in rows})
    parts = [[row for row in rows if working(row["network"]) == number] for number in numbers]
    return [part for part in parts if len(part) > 1]


def macs(space: NetworkSpace, name: str) -> float:
    """Multiply-accumulates of a network."""
    return float(sum(unit.macs * n for unit, n in space.layers(space.from_json(name))))


def accuracies(rows: Sequence[dict[str, Any]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Top-1 in percent with each supernet's weights ``[supernets, networks]``, and trained alone
    (mean over seeds, ``[networks]``)."""
    return (
        np.array([row["supernet"] for row in rows], np.float64).T,
        np.array([np.mean(row["alone"]) for row in rows], np.float64),
    )


def mean_tau(rows: Sequence[dict[str, Any]]) -> float:
    """Kendall's tau to stand-alone training, mean over the supernets."""
    inherited, trained = accuracies(rows)
    return float(np.mean([kendall(own, trained) for own in inherited]))


def network_facts(space: NetworkSpace, name: str) -> str:
    """sha256 of the network's ONNX file with seeded weights: its structure and initial weights."""
    with tempfile.TemporaryDirectory() as folder:
        path = space.to_onnx(space.from_json(name), Path(folder) / "network.onnx")
        return hashlib.sha256(path.read_bytes()).hexdigest()


def inherited_key(effort: Effort, seed: int, recipe: OneShotRecipe) -> str:
    """Key of what decides the weights of a supernet."""
    made = [seed, effort.images, effort.held_out, asdict(recipe), sources_key(*SHARED_SOURCES)]
    return content_key(made)[:16]


def alone_key(effort: Effort, seed: int) -> str:
    """Key of what decides all accuracies of training alone, the networks themselves apart."""
    how = [asdict(effort.alone), effort.alone_seeds]
    return content_key([seed, effort.images, effort.held_out, *how, sources_key(*ALONE_SOURCES)])[
        :16
    ]


def missing(stored: StoredRows, kind: str, facts: Mapping[str, str], made: str) -> dict[str, str]:
    """Networks whose row of a kind is not there or not current, with the key that it will have."""
    found = {name: content_key([made, name, fact])[:16] for name, fact in facts.items()}
    return {n: key for n, key in found.items() if not stored.is_current(f"{kind} {n}", key)}


def inherit(
    space: NetworkSpace,
    kind: str,
    due: Mapping[str, str],
    data: DataSet,
    recipe: OneShotRecipe,
    checkpoint: Path,
    stored: StoredRows,
) -> None:
    """Train the supernet or take its checkpoint, and measure networks with its weights."""
    if not due:
        return

    def progress(step: int, steps: int, loss: float) -> None:
        if step % 100 == 0 or step == steps:
            STDERR.print(f"supernet: step {step} of {steps}, loss {loss:.3f}")

    started = time.process_time()
    shared = train_supernet(space, data, recipe, checkpoint, progress=progress)
    STDERR.print(f"supernet: {time.process_time() - started:.0f} s of the processor")
    for name, key in due.items():
        started = time.process_time()
        found = shared.accuracy(space.from_json(name), data)
        _keep(stored, f"{kind} {name}", key, found, started)


def train_alone(
    space: NetworkSpace, due: Mapping[str, str], data: DataSet, effort: Effort, stored: StoredRows
) -> None:
    """Train networks for themselves, from every seed."""
    for name, key in due.items():
        started = time.process_time()
        genotype = space.from_json(name)
        found: list[float] = []
        for own in range(effort.alone_seeds):
            network = seeded(lambda: space.build(genotype), own)  # noqa: B023 -- called at once
            train(network, data, replace(effort.alone, seed=own))
            found.append(top1(network, data.test_images, data.test_labels))
        _keep(stored, f"{ALONE} {name}", key, found, started)


def _keep(
    stored: StoredRows, row: str, key: str, found: float | list[float], started: float
) -> None:
    """Store what was measured at once, with its processor seconds."""
    seconds = round(time.process_time() - started, 1)
    STDERR.print(f"{row}: {np.mean(found):.2f} %, {seconds:.0f} s")
    stored.put(row, key, {"top1": found, "seconds": seconds})


def kendall(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Kendall's tau-b, which allows for ties; 0 where one side is constant."""
    found = float(kendalltau(a, b).statistic)
    return 0.0 if np.isnan(found) else found


if __name__ == "__main__":
    sys.exit(main())
