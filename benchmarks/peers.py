"""CPU seconds a layer of the peers and ours, side by side in one run: ZigZag's search, SCALE-Sim's
simulation, our closed form (T0), cost model (T1), simulator (T2) and best-schedule search.

The peers come from the package index into environments of their own, under .cache/peers. Seconds
are of all threads and processes of a tool; its start and its imports are not counted.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

import numpy as np
from claims import STDERR, Claim, Results, parser
from costmodel_speed import trained
from peer_tools.seconds import cpu_seconds
from resnet18 import units

from codesign import load_config
from codesign.costmodel import CostModel, on_config
from codesign.costmodel.closed_form import bound
from codesign.costmodel.columns import config_columns, grid, workload_columns
from codesign.errors import CodesignError, MissingDependencyError
from codesign.hw.config import VtaConfig
from codesign.hw.space import load_space
from codesign.kernels import ConvWorkload, ScheduleResult, Workload, best_schedule, measure

CACHE = Path(__file__).resolve().parents[1] / ".cache" / "peers"
TOOLS = Path(__file__).resolve().parent / "peer_tools"

_CONFIGS = 2000
"""Random configurations of `portable` on which T0 and T1 are timed."""


@dataclass(frozen=True)
class Peer:
    """A tool of others: what pip installs, and the script that runs layers in its environment."""

    name: str
    requirements: tuple[str, ...]
    script: str


PEERS = (
    Peer("ZigZag", ("zigzag-dse==3.9.1", "six"), "zigzag_layers.py"),
    Peer("SCALE-Sim", ("scalesim==3.0.0", "numpy<2"), "scalesim_layers.py"),
)


def main() -> int:
    try:
        return compare()
    except CodesignError as error:
        STDERR.print(f"peers.py: {error}", style="red", markup=False)
        return error.exit_code


def compare() -> int:
    """Run all tools and show their seconds; the exit code says whether the claims hold."""
    arguments = parser(__doc__ or "")
    arguments.add_argument("--model", help="cost model to time (default: one trained here)")
    options = arguments.parse_args()
    results = Results("CPU seconds a layer, ResNet-18")
    layers = convolutions()
    if options.quick:
        layers = sorted(layers, key=lambda layer: layer.macs)[:2]
    pythons = [installed(peer) for peer in PEERS]
    ours = our_seconds(layers, options.model, options.seed)
    samples, cycles = dict(ours), dict[str, list[float]]()
    for peer, python in zip(PEERS, pythons, strict=True):
        STDERR.print(f"{peer.name}: {len(layers)} layers", markup=False)
        rows = run_peer(peer, python, layers)
        samples[peer.name] = [row["seconds"] for row in rows]
        cycles[peer.name] = [row["cycles"] for row in rows]
    seconds = {name: mean(found) for name, found in samples.items()}
    for peer in PEERS:
        ratio = seconds[peer.name] / seconds["T2 best schedule"]
        each = [a / b for a, b in zip(samples[peer.name], samples["T2 best schedule"], strict=True)]
        name = f"{peer.name} / our best-schedule search"
        results.claims.append(Claim(name, ratio, "x", "> 1", ratio > 1, each))
    for name, value in seconds.items():
        results.figures[f"{name}, seconds a layer"] = value
    for peer in PEERS:
        for name in ours:
            results.figures[f"{peer.name} / {name}"] = seconds[peer.name] / seconds[name]
    results.figures["samples"] = samples
    results.figures["cycles on their own accelerators"] = cycles
    results.figures["layers"] = [str(layer) for layer in layers]
    results.show(options.json)
    return results.exit_code


def convolutions() -> list[ConvWorkload]:
    """The distinct convolutions of ResNet-18."""
    found = [unit for unit in units() if isinstance(unit, ConvWorkload) and unit.op == "conv2d"]
    return list(dict.fromkeys(found))


def installed(peer: Peer) -> Path:
    """The Python of the peer's environment, which is made where it is missing or of old versions.

    Raises
    ------
    MissingDependencyError
        The environment cannot be made, or pip cannot get the packages.
    """
    folder = CACHE / peer.name.lower()
    stamp, python = folder / "installed", folder / "bin" / "python"
    wanted = "\n".join(peer.requirements)
    if stamp.is_file() and stamp.read_text() == wanted:
        return python
    STDERR.print(f"{peer.name}: installing into {folder}", markup=False)
    try:
        venv.create(folder, with_pip=True, clear=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise MissingDependencyError(
            f"{peer.name}: no Python environment can be made in {folder} ({error}); Debian has "
            "what it takes in python3-venv"
        ) from error
    command = [str(python), "-m", "pip", "install", "--quiet", *peer.requirements]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise MissingDependencyError(
            f"{peer.name}: pip cannot install {' '.join(peer.requirements)} ({last[0]}); this "
            "benchmark needs a package index: connect to one, or point pip at a mirror"
        )
    stamp.write_text(wanted)
    return python


def run_peer(peer: Peer, python: Path, layers: Sequence[ConvWorkload]) -> list[dict[str, float]]:
    """CPU seconds and cycles of each layer.

    Raises
    ------
    MissingDependencyError
        the peer fails in its environment.
    """
    shapes = [
        {
            "in_channels": layer.in_channels,
            "out_channels": layer.out_channels,
            "out_height": layer.out_height,
            "out_width": layer.out_width,
            "kernel": layer.kernel[0],
            "stride": layer.stride[0],
        }
        for layer in layers
    ]
    command = [str(python), str(TOOLS / peer.script)]
    done = subprocess.run(command, input=json.dumps(shapes), capture_output=True, text=True)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise MissingDependencyError(
            f"{peer.name}: {peer.script} ends with {done.returncode} ({last[0]}); remove "
            f"{CACHE / peer.name.lower()} to install {' '.join(peer.requirements)} anew"
        )
    return json.loads(done.stdout)


def our_seconds(
    layers: Sequence[ConvWorkload], model: str | None, seed: int
) -> dict[str, list[float]]:
    """CPU seconds of each layer by level; T0 and T1 are shares of one call on many pairs."""
    config = load_config("pynq")
    placed = [on_config(layer, config) for layer in layers]
    best_schedule(on_config(ConvWorkload(16, 16, 4, 4), config), config)  # loads the core
    rng = np.random.default_rng(seed)
    configs = load_space("portable").sample(_CONFIGS, rng)
    if model is None:
        learned = trained(placed, load_space("neuhardco").configs(), seed, rng)
    else:
        learned = CostModel.load(model)
    pairs = len(placed) * len(configs)

    def closed_form() -> object:
        return bound(*grid(workload_columns(placed), config_columns(configs)))

    def cost_model() -> object:
        return learned.predict_units(placed, configs)

    t0, t1 = (median(timed(work) for _ in range(5)) / pairs for work in (closed_form, cost_model))
    best: list[float] = []
    simulated: list[float] = []
    for unit in placed:
        found: list[ScheduleResult] = []
        best.append(timed(lambda unit=unit, found=found: found.append(searched(unit, config))))
        schedule = found[0].schedule
        runs = [timed(lambda unit=unit, s=schedule: measure(unit, config, s)) for _ in range(9)]
        simulated.append(median(runs))
    count = len(placed)
    return {
        "T0 closed form": [t0] * count,
        "T1 cost model": [t1] * count,
        "T2 timing only": simulated,
        "T2 best schedule": best,
    }


def searched(unit: Workload, config: VtaConfig) -> ScheduleResult:
    """The best schedule, which every layer of ResNet-18 has."""
    found = best_schedule(unit, config)
    assert isinstance(found, ScheduleResult)
    return found


def timed(work: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    start = cpu_seconds()
    work()
    return cpu_seconds() - start


if __name__ == "__main__":
    sys.exit(main())
