"""NAF's differentiable search of a network and its hardware, scaled down, and how often the
hardware must be updated.

Six inverted bottlenecks with kernels of 3, 5 and 7 choose their expansion (2, 4 or 6) while their
weights train on `shapes32`, and one configuration out of all of `neuhardco` with at most 256 DSPs
is chosen by gradient descent on T0 cycles. The target lies halfway between what the smallest and
the largest network need on their best configurations. The hardware is updated every 1, 5, 20 or 40
batches, from three seeds each. What is found is trained for itself, exported, compiled and its
cycles are counted (T2); beside it stand random networks that keep the target by T0, each on its
best configuration. The most probable network of a mixture whose expected cycles keep the target may
miss it, which is promised of the paper's 20 batches only and shown of all.

Prints stored results; ``--rerun`` goes on measuring and may be killed at any time.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from claims import STDERR, Claim, Results, parser
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from stored import APART, NOTHING_STORED, StoredRows, product_key, sources_key
from torch import nn

import codesign
from codesign.compiler import DECISIONS
from codesign.hw.area import area
from codesign.hw.config import VtaConfig
from codesign.hw.space import load_space
from codesign.kernels import Workload
from codesign.nn.blocks import classifier, conv_relu, inverted_bottleneck
from codesign.nn.datasets import DataSet, real, shapes32
from codesign.nn.export import export_onnx
from codesign.nn.graph import GraphBuilder, Tensor
from codesign.nn.graph_module import GraphModule
from codesign.nn.supernet import CoSearchRecipe, Mixed, co_search, table_cost
from codesign.nn.training import Recipe, seeded, top1, train
from codesign.search.scores import closed_form_tables
from codesign.store.content import content_key

IMAGE, CLASSES = (3, 32, 32), 10
STEM = 16
BLOCKS = ((24, 1, 3), (24, 1, 3), (40, 2, 5), (40, 1, 5), (80, 2, 7), (80, 1, 7))
"""(channels, stride, depthwise kernel)."""
EXPANSIONS = (2, 4, 6)
DSP = 256
FREQUENCIES, CHOSEN = (1, 5, 20, 40), 20
"""Batches from one update of the hardware to the next, and the paper's choice."""
SEEDS = (0, 1, 2)
KEPT, LOSS = 1.05, 0.05
"""Cycles (T2) of the target that count as kept, and the loss against the best configuration."""


SEARCH = CoSearchRecipe(
    1.0,
    epochs=12,
    frozen_epochs=3,
    batch=32,
    architecture_rate=0.03,
    hardware_rate=0.5,
    factor=0.01,
)
ALONE = Recipe(6, 16)


@dataclass(frozen=True)
class Effort:
    """How many images, and how long is searched and trained."""

    images: int = 1200
    held_out: int = 2000
    search: CoSearchRecipe = SEARCH
    alone: Recipe = ALONE


QUICK = Effort(
    images=128,
    held_out=40,
    search=replace(SEARCH, epochs=2, frozen_epochs=1),
    alone=replace(ALONE, epochs=1),
)


# The network and what it costs ---------------------------------------------------------------
@dataclass(frozen=True)
class Part:
    """A part of the network with one input: its module, its layers, its output [C, H, W]."""

    module: GraphModule
    layers: tuple[tuple[Workload, int], ...]
    shape: tuple[int, int, int]


def part(shape: tuple[int, int, int], make: Callable[[GraphBuilder, int], Tensor]) -> Part:
    builder = GraphBuilder()
    graph = builder.finish(make(builder, builder.input(*shape)))
    assert graph.output is not None
    return Part(GraphModule(graph, CLASSES), graph.layers(), graph.nodes[graph.output].shape)


def parts() -> list[dict[str, Part]]:
    """The options of every part, in order: the stem and the classifier have one, a block three."""
    found = [{"stem": part(IMAGE, lambda b, x: conv_relu(b, x, STEM, "stem", 3, 2))}]
    for place, block in enumerate(BLOCKS):
        shape = next(iter(found[-1].values())).shape
        made = partial(_block, f"block{place}", *block)
        found.append({f"e{e}": part(shape, partial(made, e)) for e in EXPANSIONS})
    shape = next(iter(found[-1].values())).shape
    found.append({"head": part(shape, lambda b, x: classifier(b, x, CLASSES))})
    return found


def _block(
    name: str, width: int, stride: int, kernel: int, expansion: int, b: GraphBuilder, x: int
) -> Tensor:
    return inverted_bottleneck(b, x, width, name, kernel, expansion, stride)


def network(options: Sequence[str] | None, seed: int) -> nn.Module:
    """A network of these options, one a block; of all of them, mixed, where None."""

    def build() -> nn.Module:
        stem, *blocks, head = parts()
        chosen = [
            Mixed({name: p.module for name, p in block.items()})
            if options is None
            else block[options[place]].module
            for place, block in enumerate(blocks)
        ]
        return nn.Sequential(stem["stem"].module, *chosen, head["head"].module)

    return seeded(build, seed)


@cache
def configs() -> tuple[VtaConfig, ...]:
    return tuple(c for c in load_space("neuhardco").configs() if area(c).dsp <= DSP)


@cache
def prices() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """T0 kilocycles: of every block's options [blocks, options, configurations], and of stem and
    classifier [configurations]."""
    made = parts()
    units = list(
        dict.fromkeys(w for options in made for p in options.values() for w, _ in p.layers)
    )
    table = 1e-3 * closed_form_tables(units, configs())[0]
    rows = [
        [sum(count * table[units.index(w)] for w, count in p.layers) for p in options.values()]
        for options in made
    ]
    return np.array(rows[1:-1]), np.asarray(rows[0][0] + rows[-1][0])


def kilocycles(options: Sequence[str]) -> NDArray[np.float64]:
    """T0 kilocycles of a network on every configuration."""
    blocks, fixed = prices()
    places = [EXPANSIONS.index(int(option[1:])) for option in options]
    return fixed + blocks[np.arange(len(places)), places].sum(axis=0)


def target() -> float:
    """Kilocycles halfway between the smallest and the largest network, each on its best
    configuration."""
    ends = [kilocycles([f"e{e}"] * len(BLOCKS)).min() for e in (EXPANSIONS[0], EXPANSIONS[-1])]
    return float(np.mean(ends))


# Rows ----------------------------------------------------------------------------------------
def measured(every: int | None, seed: int, effort: Effort, data_seed: int) -> dict[str, Any]:
    """What a search finds that updates the hardware ``every`` so many batches; None: a random
    network."""
    data = shapes32(data_seed, effort.images, effort.held_out)
    return drawn(seed, effort, data) if every is None else searched(every, seed, effort, data)


def searched(every: int, seed: int, effort: Effort, data: DataSet) -> dict[str, Any]:
    """Search, then judge what was found."""
    started = time.process_time()
    blocks, fixed = prices()
    tables = {
        str(place + 1): torch.tensor(block + fixed / len(blocks), dtype=torch.float32)
        for place, block in enumerate(blocks)
    }
    supernet = network(None, seed)
    recipe = replace(effort.search, target=target(), hardware_every=every, seed=seed)
    found = co_search(supernet, data, table_cost(tables), torch.zeros(len(configs())), recipe)
    options = [found.options[name] for name in tables]
    seconds = time.process_time() - started
    return {**judged(options, int(np.argmax(found.hardware)), seed, effort, data),
            "updates": sum(step.hardware_updated for step in found.steps),
            "search_seconds": round(seconds, 1)}  # fmt: skip


def drawn(seed: int, effort: Effort, data: DataSet) -> dict[str, Any]:
    """A random network that keeps the target on its best configuration, by T0, and that one."""
    rng = np.random.default_rng(seed)
    while True:
        options = [f"e{rng.choice(EXPANSIONS)}" for _ in BLOCKS]
        if kilocycles(options).min() <= target():
            return judged(options, int(kilocycles(options).argmin()), seed, effort, data)


def judged(
    options: Sequence[str], config: int, seed: int, effort: Effort, data: DataSet
) -> dict[str, Any]:
    """Train a network for itself, compile it for a configuration and count its cycles (T2)."""
    alone = train(network(options, seed), data, replace(effort.alone, seed=seed))
    priced = kilocycles(options)
    with tempfile.TemporaryDirectory() as folder:
        path = export_onnx(alone, (1, *IMAGE), Path(folder) / "network.onnx")
        calibration = {"x": real(data.train_images[:128])}
        package = codesign.compile(
            path, configs()[config], calibration=calibration, compose="exact", disabled=DECISIONS
        )
        result = package.run({"x": real(data.test_images[:4])})
    return {
        "options": "-".join(options),
        "config": configs()[config].name,
        "kilocycles": result.cycles / 1e3,
        "t0_kilocycles": float(priced[config]),
        "hardware_loss": float(priced[config] / priced.min() - 1),
        "outputs_match": bool(result.outputs_match),
        "top1": top1(alone, data.test_images, data.test_labels),
    }


def main() -> int:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--rerun", action="store_true", help="measure what is missing or old")
    arguments.add_argument("--processes", type=int, default=1, help="of --rerun (default 1)")
    options = arguments.parse_args()
    effort = QUICK if options.quick else Effort()
    frequencies, seeds = ((20,), (0,)) if options.quick else (FREQUENCIES, SEEDS)
    stored = StoredRows(None) if options.quick else StoredRows.load("differentiable_search")
    wanted: dict[str, tuple[int | None, int]] = {
        **{f"every {e}, seed {s}": (e, s) for s in seeds for e in frequencies},
        **{f"random, seed {s}": (None, s) for s in seeds},
    }
    key = row_key(effort, options.seed)
    old = [name for name in wanted if not stored.is_current(name, key)]
    if options.rerun or options.quick:
        due = {name: (*wanted[name], effort, options.seed) for name in old}
        stored.measure(measured, due, dict.fromkeys(due, key), options.processes, "networks")
        old = []
    rows = {name: stored.rows[name] for name in wanted if name in stored.rows}
    if len(rows) < len(wanted):
        STDERR.print(NOTHING_STORED)
        return 1
    results = Results("Differentiable search of a network and its hardware (T2), scaled down")
    found = {e: [rows[f"every {e}, seed {s}"] for s in seeds] for e in frequencies}
    random = [rows[f"random, seed {s}"] for s in seeds]
    if not options.quick:
        results.claims += claims(found, [*rows.values()])
    results.figures |= {
        "target_kilocycles": target(),
        "configurations": len(configs()),
        "rows_missing_or_of_older_sources": len(old),
    }
    results.figures["rows"] = rows
    if not options.json:
        show({**{f"every {e} batches": part for e, part in found.items()}, "random": random})
    results.show(options.json)
    return results.exit_code


def row_key(effort: Effort, seed: int) -> str:
    sources = sources_key(
        *(f"codesign/nn/{name}.py" for name in ("blocks", "export", "graph", "graph_module")),
        *("codesign/nn/datasets", "codesign/nn/supernet", "codesign/nn/training.py"),
        without=APART,
    )
    return content_key([asdict(effort), seed, BLOCKS, EXPANSIONS, DSP, sources, product_key()])[:16]


def claims(found: dict[int, list[dict[str, Any]]], rows: Sequence[dict[str, Any]]) -> list[Claim]:
    """The target kept at the chosen frequency, hardware beside the best one, integers compared."""
    made: list[Claim] = []
    for every, part_rows in found.items():
        if every == CHOSEN:
            share = max(row["kilocycles"] for row in part_rows) / target()
            name = f"hardware every {every} batches: most cycles of the target"
            made.append(Claim(name, share, "x", f"<= {KEPT:g}", share <= KEPT))
        loss = max(row["hardware_loss"] for row in part_rows)
        name = f"hardware every {every} batches: largest loss against the best configuration (T0)"
        made.append(Claim(name, 100 * loss, "%", f"<= {100 * LOSS:g}", loss <= LOSS))
    exact = all(row["outputs_match"] for row in rows)
    made.append(Claim("all found networks run bit-exactly", float(exact), "", "1", exact))
    return made


def show(kinds: dict[str, Sequence[dict[str, Any]]]) -> None:
    table = Table("hardware updated", "configurations", "kilocycles", "of the target", "top-1, %",
                  "search, s")  # fmt: skip
    for name, rows in kinds.items():
        top = [row["top1"] for row in rows]
        cycles = [row["kilocycles"] for row in rows]
        seconds = [row.get("search_seconds", 0.0) for row in rows]
        table.add_row(
            name,
            ", ".join(sorted({row["config"] for row in rows})),
            f"{min(cycles):.0f} to {max(cycles):.0f}",
            f"{min(cycles) / target():.2f} to {max(cycles) / target():.2f}",
            f"{np.mean(top):.1f} ({min(top):.1f} to {max(top):.1f})",
            f"{np.mean(seconds):.0f}" if any(seconds) else "",
        )
    Console(highlight=False, width=120).print(table)


if __name__ == "__main__":
    sys.exit(main())
