"""A small space of real NAS-Bench-201 networks, and a search over it that can be killed."""

import json
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from codesign.nn import Genotype, NasBench201, registry
from codesign.search import Constraint, HardwareChoice, NetworkChoice, Problem, Study, search

OPERATIONS = ("none", "nor_conv_1x1", "nor_conv_3x3")
CONFIGS = tuple(
    f"neuhardco:{block}_{size}_{flow}"
    for block in ("8x16", "16x16")
    for size in ("256k", "512k")
    for flow in ("ws", "os")
)


class TinySpace(NasBench201):
    """27 cells: three operations on the first, fourth and last edge."""

    def count(self) -> int:
        return 27

    def all(self) -> Iterator[Genotype]:
        for a, d, f in product(OPERATIONS, repeat=3):
            yield Genotype((a, "skip_connect", "none", d, "none", f))


def register() -> None:
    registry._SPACES["nasbench201"] = TinySpace


def problem(**changes: object) -> Problem:
    fields: dict[str, object] = {
        "network": NetworkChoice("nasbench201"),
        "hardware": HardwareChoice(configs=CONFIGS),
        "constraints": (Constraint("latency_ms", 5.0), Constraint("sram_kib", 256.0)),
        "budget": 20,
    }
    return Problem(**{**fields, **changes})  # type: ignore[arg-type]


def run(store: Path, **options: object) -> Study:
    return search(problem(), store=store, **options)  # type: ignore[arg-type]


if __name__ == "__main__":
    register()

    def told(what: str, done: int, total: int) -> None:
        print(what, done, flush=True)

    study = run(
        Path(sys.argv[1]),
        strategy=sys.argv[2],
        workers=int(sys.argv[3]),
        progress=told,
        exact_regret=True,
    )
    print(json.dumps(study.result, sort_keys=True))
