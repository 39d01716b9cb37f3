"""How well a supernet ranks the networks of a space: Kendall's tau against stand-alone training.

Networks of `mobilenet8` are drawn with 0, 1, 2 or 3 inverted bottlenecks on their nine edges, as
many of each number, and skips or poolings on the others: their accuracies differ by ten points and
more; what MACs, or the number of bottlenecks alone, would rank is shown. A few of 4 to 9 show what
is left to rank among those, and how tau is with them. Each is trained for itself on images of
`shapes32` (AdamW with a one-cycle rate) from two seeds, whose mean counts, and each inherits its
weights from one supernet of the whole space (single-path one-shot, draws that grow from one network
to uniform ones) trained on the same images, with its batch norms measured anew. Both are judged on
the same held-out images. Accuracies are measured, not predicted. The difference between seeds,
which bounds what any ranking can reach, is shown.

Prints stored results; ``--rerun`` goes on measuring: the supernet from its checkpoint, then network
by network. It may be killed at any time.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from claims import STDERR, Claim, Results, parser
from numpy.typing import NDArray
from scipy.stats import kendalltau
from stored import NOTHING_STORED, ROOT, StoredRows, sources_key

from codesign.nn import Genotype, NetworkSpace, load_network_space
from codesign.nn.datasets import shapes32
from codesign.nn.graph import Graph
from codesign.nn.space import Option
from codesign.nn.supernet import OneShotRecipe, train_supernet
from codesign.nn.training import Recipe, seeded, top1, train
from codesign.store.content import content_key

SPACE, DATASET = "mobilenet8", "shapes32"
SOURCES = (
    *(f"codesign/nn/supernet/{name}.py" for name in ("one_shot", "shared", "checkpoint")),
    *(f"codesign/nn/datasets/{name}.py" for name in ("dataset", "shapes")),
    "codesign/nn/training.py",
)
"""What decides a row, beside the effort and the networks themselves."""
_WORKING = ("e1k3", "e1k5", "e3k3", "e3k5", "e6k3", "e6k5")
"""Options of an edge that are inverted bottlenecks; the others have no weights."""
_MOST_WORKING = 3
TAU = 0.6
RESAMPLES = 2000


@dataclass(frozen=True)
class Effort:
    """How many networks and images, and how long is trained."""

    networks: int = 30
    large: int = 6
    """Networks of more than `_MOST_WORKING` bottlenecks."""
    images: int = 2400
    held_out: int = 3000
    supernet_batch: int = 32
    supernet_epochs: int = 50
    alone_batch: int = 16
    alone_epochs: int = 6
    alone_seeds: int = 2
    origin: str = "-".join(("e3k3", "skip", "e3k3") * 3)
    """Network from which the draws grow: by the training loss, on images of another seed, it learns
    where uniform draws do not."""
    growth: float = 0.5


QUICK = Effort(
    networks=3, large=0, images=64, held_out=40, supernet_epochs=1, alone_epochs=1, alone_seeds=1
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
    made = content_key([options.seed, vars(effort), sources_key(*SOURCES)])[:16]
    keys = {name: content_key([made, name, network_facts(space, name)])[:16] for name in names}
    old = [name for name in names if not stored.is_current(name, keys[name])]
    if options.rerun or options.quick:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) if options.quick else options.checkpoints
            folder.mkdir(parents=True, exist_ok=True)
            checkpoint = folder / f"{made}.safetensors"
            measure(space, old, keys, effort, options.seed, checkpoint, stored)
        old = []
    rows = [stored.rows[name] for name in names if name in stored.rows]
    if len(rows) < 2:
        STDERR.print(NOTHING_STORED)
        return 1
    small = [row for row in rows if working(row["network"]) <= _MOST_WORKING]
    large = [row for row in rows if working(row["network"]) > _MOST_WORKING]
    results = Results(
        f"Ranking of {len(small)} networks of `{SPACE}` with up to {_MOST_WORKING} bottlenecks on "
        f"`{DATASET}`"
    )
    ours, alone = accuracies(small)
    tau = kendall(ours, alone)
    draws = np.random.default_rng(options.seed).integers(len(small), size=(RESAMPLES, len(small)))
    resampled = [kendall(ours[chosen], alone[chosen]) for chosen in draws]
    if len(small) >= Effort.networks:
        results.claims.append(
            Claim("Kendall's tau, supernet to stand-alone", tau, "", f">= {TAU}", tau >= TAU)
        )
    results.figures |= {
        "tau": tau,
        "networks": len(small),
        "networks_missing_or_of_older_sources": len(old),
        "tau_low_90_percent": float(np.quantile(resampled, 0.05)),
        "tau_high_90_percent": float(np.quantile(resampled, 0.95)),
        "tau_of_macs_alone": kendall(
            np.array([macs(space, row["network"]) for row in small]), alone
        ),
        "tau_of_bottlenecks_alone": kendall(
            np.array([float(working(row["network"])) for row in small]), alone
        ),
        "tau_among_as_many_bottlenecks_mean": float(
            np.mean([kendall(*accuracies(part)) for part in by_working(small)])
        ),
        "supernet_top1_mean": float(ours.mean()),
        "alone_top1_mean": float(alone.mean()),
        "alone_top1_spread": float(alone.std(ddof=1)),
        "alone_epochs": effort.alone_epochs,
        "alone_seeds": effort.alone_seeds,
        "alone_difference_between_seeds": float(np.mean([np.ptp(row["alone"]) for row in rows])),
        "training_images": effort.images,
        "supernet_epochs": effort.supernet_epochs,
        "processor_seconds_of_measuring": round(sum(row["seconds"] for row in rows)),
    }
    if large:
        results.figures |= {
            "larger_networks": len(large),
            "alone_top1_mean_of_larger": float(accuracies(large)[1].mean()),
            "alone_top1_range_of_larger": float(np.ptp(accuracies(large)[1])),
            "tau_with_larger": kendall(*accuracies(rows)),
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
    """Top-1 in percent with the supernet's weights, and trained alone (mean over seeds)."""
    return (
        np.array([row["supernet"] for row in rows], np.float64),
        np.array([np.mean(row["alone"]) for row in rows], np.float64),
    )


def network_facts(space: NetworkSpace, name: str) -> str:
    """sha256 of the network's ONNX file with seeded weights: its structure and initial weights."""
    with tempfile.TemporaryDirectory() as folder:
        path = space.to_onnx(space.from_json(name), Path(folder) / "network.onnx")
        return hashlib.sha256(path.read_bytes()).hexdigest()


def measure(
    space: NetworkSpace,
    names: Sequence[str],
    keys: dict[str, str],
    effort: Effort,
    seed: int,
    checkpoint: Path,
    stored: StoredRows,
) -> None:
    """Train the supernet or take its checkpoint, then every network; rows are stored at once."""
    if not names:
        return
    data = shapes32(seed, effort.images, effort.held_out)
    recipe = OneShotRecipe(
        effort.supernet_epochs,
        effort.supernet_batch,
        origin=effort.origin,
        growth=effort.growth,
        seed=seed,
    )

    def progress(step: int, steps: int, loss: float) -> None:
        if step % 100 == 0 or step == steps:
            STDERR.print(f"supernet: step {step} of {steps}, loss {loss:.3f}")

    started = time.process_time()
    shared = train_supernet(space, data, recipe, checkpoint, progress=progress)
    STDERR.print(f"supernet: {time.process_time() - started:.0f} s of the processor")
    for number, name in enumerate(names, 1):
        started = time.process_time()
        genotype = space.from_json(name)
        inherited = shared.accuracy(genotype, data)
        alone: list[float] = []
        for own in range(effort.alone_seeds):
            network = seeded(lambda: space.build(genotype), own)  # noqa: B023 -- called at once
            train(network, data, Recipe(effort.alone_epochs, effort.alone_batch, seed=own))
            alone.append(top1(network, data.test_images, data.test_labels))
        seconds = round(time.process_time() - started, 1)
        STDERR.print(
            f"{number}/{len(names)} {name}: supernet {inherited:.2f} %, alone "
            f"{np.mean(alone):.2f} %, {seconds:.0f} s"
        )
        row = {"network": name, "supernet": inherited, "alone": alone, "seconds": seconds}
        stored.put(name, keys[name], row)


def kendall(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Kendall's tau-b, which allows for ties; 0 where one side is constant."""
    found = float(kendalltau(a, b).statistic)
    return 0.0 if np.isnan(found) else found


if __name__ == "__main__":
    sys.exit(main())
