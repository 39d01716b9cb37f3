"""Every point of the `neuhardco` space compiles one NAS-Bench-201 network and runs it exactly.

The network is drawn by the seed, its weights are random; truth level T2, with each region's
outputs compared with the package's integer reference.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from claims import STDERR, Claim, Results, parser
from rich.progress import track

import codesign
from codesign.hw.space import load_space
from codesign.nn import NasBench201

QUICK_STEP = 16


def main() -> int:
    options = parser(__doc__ or "").parse_args()
    rng = np.random.default_rng(options.seed)
    space = NasBench201()
    genotype = space.sample(rng)
    images = rng.normal(size=(8, 3, 32, 32)).astype(np.float32)
    configs = load_space("neuhardco").configs()[:: QUICK_STEP if options.quick else 1]
    results = Results(f"{genotype} on every point of neuhardco (T2)")
    exact = on_host = 0
    cycles: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        space.to_onnx(genotype, path, seed=options.seed)
        for cfg in track(configs, "compiling", console=STDERR, disable=not STDERR.is_terminal):
            package = codesign.compile(path, cfg, calibration=images)
            result = package.run(images[:1])
            exact += result.outputs_match
            on_host += result.macs - result.offloaded_macs
            cycles.append(result.cycles)
    share = exact / len(configs)
    results.claims += [
        Claim("points whose outputs equal the integer reference", share, "share", "1", share == 1),
        Claim("multiply-accumulates on the host", on_host, "MACs", "0", on_host == 0, cycles),
    ]
    results.figures |= {
        "points": len(configs),
        "cycles, fewest": min(cycles),
        "cycles, most": max(cycles),
    }
    results.show(options.json)
    return results.exit_code


if __name__ == "__main__":
    sys.exit(main())
