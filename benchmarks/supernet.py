"""How well a supernet ranks the networks of a space: Kendall's tau against stand-alone training.

Networks of `mobilenet8` are drawn of every size: their MACs are spread evenly, by logarithm, over
those of the space. (Uniform draws are all of one size and differ in accuracy by little more than
two seeds of one network.) Each is trained for itself on images of `shapes32` (AdamW with a
one-cycle rate) from two seeds, whose mean counts, and each inherits its weights from one supernet
(single-path one-shot, draws that grow from one network to uniform ones) trained on the same images,
with its batch norms measured anew. Both are judged on the same held-out images. Accuracies are
measured, not predicted. The difference between seeds, which bounds what any ranking can reach, is
shown.

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

import numpy as np
from claims import STDERR, Claim, Results, parser
from numpy.typing import NDArray
from stored import NOTHING_STORED, ROOT, StoredRows, sources_key

from codesign.nn import Genotype, NetworkSpace, load_network_space
from codesign.nn.datasets import shapes32
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
_CANDIDATES = 1000
TAU = 0.6
RESAMPLES = 2000


@dataclass(frozen=True)
class Effort:
    """How many networks and images, and how long is trained."""

    networks: int = 30
    images: int = 2400
    held_out: int = 1000
    supernet_batch: int = 32
    supernet_epochs: int = 50
    alone_batch: int = 16
    alone_epochs: int = 6
    alone_seeds: int = 2
    origin: str = "-".join(("e3k3", "skip", "e3k3") * 3)
    """Network from which the draws grow: by the training loss, on images of another seed, it learns
    where uniform draws do not."""
    growth: float = 0.5


QUICK = Effort(networks=3, images=64, held_out=40, supernet_epochs=1, alone_epochs=1, alone_seeds=1)


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
    names = drawn(space, effort.networks, rng)
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
    results = Results(f"Ranking of {len(rows)} networks of `{SPACE}` on `{DATASET}`")
    ours = np.array([row["supernet"] for row in rows])
    alone = np.array([np.mean(row["alone"]) for row in rows])
    tau = kendall(ours, alone)
    draws = np.random.default_rng(options.seed).integers(len(rows), size=(RESAMPLES, len(rows)))
    resampled = [kendall(ours[chosen], alone[chosen]) for chosen in draws]
    enough = len(rows) >= Effort.networks
    if enough:
        results.claims.append(
            Claim("Kendall's tau, supernet to stand-alone", tau, "", f">= {TAU}", tau >= TAU)
        )
    results.figures |= {
        "tau": tau,
        "networks": len(rows),
        "networks_missing_or_of_older_sources": len(old),
        "tau_low_90_percent": float(np.quantile(resampled, 0.05)),
        "tau_high_90_percent": float(np.quantile(resampled, 0.95)),
        "supernet_top1_mean": float(ours.mean()),
        "alone_top1_mean": float(alone.mean()),
        "alone_top1_spread": float(alone.std(ddof=1)),
        "alone_epochs": effort.alone_epochs,
        "alone_seeds": effort.alone_seeds,
        "alone_difference_between_seeds": float(np.mean([np.ptp(row["alone"]) for row in rows])),
        "training_images": effort.images,
        "supernet_epochs": effort.supernet_epochs,
        "processor_seconds_of_measuring": round(sum(row["seconds"] for row in rows)),
        "rows": rows,
    }
    results.show(options.json)
    return results.exit_code


def drawn(space: NetworkSpace, count: int, rng: np.random.Generator) -> list[str]:
    """Networks whose MACs are spread evenly, by logarithm, over those of random ones, each of which
    takes its decisions from its own random part of the options."""
    sizes: dict[str, float] = {}
    options = len(space.decisions[0].options)
    while len(sizes) < _CANDIDATES:
        part = rng.permutation(options)[: rng.integers(1, options + 1)]
        choices = [decision.options[rng.choice(part)] for decision in space.decisions]
        genotype = Genotype(tuple(choices))
        macs = sum(unit.macs * number for unit, number in space.layers(genotype))
        sizes[space.to_json(genotype)] = float(np.log(macs))
    found: list[str] = []
    for size in np.linspace(min(sizes.values()), max(sizes.values()), count):
        found.append(min(sizes, key=lambda name: abs(sizes[name] - size)))
        del sizes[found[-1]]
    return found


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
    upper = np.triu_indices(len(a), 1)
    one, two = (np.sign(x[:, None] - x[None])[upper] for x in (a, b))
    pairs = float(np.sqrt((one != 0).sum() * (two != 0).sum()))
    return float((one * two).sum() / pairs) if pairs else 0.0


if __name__ == "__main__":
    sys.exit(main())
