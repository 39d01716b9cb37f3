"""How well a supernet ranks the networks of a space: Kendall's tau against stand-alone training.

Networks of `mobilenet8` are drawn, each is trained for itself on `shapes32`, and each inherits its
weights from one supernet trained on the same images. Both are judged on the same held-out images.
Accuracies are measured, not predicted.

Prints stored results; ``--rerun`` goes on measuring: the supernet from its checkpoint, then network
by network. It may be killed at any time.
"""

from __future__ import annotations

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
from stored import NOTHING_STORED, ROOT, StoredRows, sources_key

from codesign.nn import load_network_space
from codesign.nn.datasets import shapes32
from codesign.nn.supernet import OneShotRecipe
from codesign.nn.trained import SupernetAccuracy, TrainedAccuracy
from codesign.nn.training import Recipe
from codesign.store.content import content_key

SPACE, DATASET = "mobilenet8", "shapes32"
TAU = 0.6
RESAMPLES = 2000


@dataclass(frozen=True)
class Effort:
    """How many networks and images, and how long is trained."""

    networks: int = 30
    images: int = 2000
    held_out: int = 1000
    supernet_epochs: int = 40
    alone_epochs: int = 5


QUICK = Effort(networks=3, images=64, held_out=40, supernet_epochs=1, alone_epochs=1)


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
    names = [space.to_json(space.sample(rng)) for _ in range(effort.networks)]
    sources = sources_key("codesign/nn/supernet", "codesign/nn/datasets")
    keys = {name: content_key([name, options.seed, vars(effort), sources]) for name in names}
    old = [name for name in names if not stored.is_current(name, keys[name])]
    if options.rerun or options.quick:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) if options.quick else options.checkpoints
            folder.mkdir(parents=True, exist_ok=True)
            measure(space, old, keys, effort, options.seed, folder, stored)
        old = []
    rows = [stored.rows[name] for name in names if name in stored.rows]
    if len(rows) < 2:
        STDERR.print(NOTHING_STORED)
        return 1
    results = Results(f"Ranking of {len(rows)} networks of `{SPACE}` on `{DATASET}`")
    ours = np.array([row["supernet"] for row in rows])
    alone = np.array([row["alone"] for row in rows])
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
        "seconds_of_measuring": round(sum(row["seconds"] for row in rows)),
        "rows": rows,
    }
    results.show(options.json)
    return results.exit_code


def measure(
    space: Any,
    names: Sequence[str],
    keys: dict[str, str],
    effort: Effort,
    seed: int,
    folder: Path,
    stored: StoredRows,
) -> None:
    """Train the supernet or take its checkpoint, then every network; rows are stored at once."""
    data = shapes32(seed, effort.images, effort.held_out)
    recipe = OneShotRecipe(epochs=effort.supernet_epochs, seed=seed)

    def progress(step: int, steps: int, loss: float) -> None:
        if step % 50 == 0 or step == steps:
            STDERR.print(f"supernet: step {step} of {steps}, loss {loss:.3f}")

    checkpoint = folder / f"{content_key([vars(recipe), vars(effort)])[:16]}.safetensors"
    supernet = SupernetAccuracy(space, data, recipe, checkpoint, progress)
    single = TrainedAccuracy(space, data, Recipe(epochs=effort.alone_epochs), (seed,))
    for number, name in enumerate(names, 1):
        started = time.perf_counter()
        inherited = float(supernet.lookup([name])[0])
        alone = float(single.lookup([name])[0])
        seconds = round(time.perf_counter() - started, 1)
        STDERR.print(
            f"{number}/{len(names)} {name}: supernet {inherited:.2f} %, alone {alone:.2f} %, "
            f"{seconds:.0f} s"
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
