"""Whole networks: cycles against the sum of their units' lower bounds, and time to compile.

Truth level T2. Networks are torchvision's with random weights in onnxruntime's QDQ form, at
224x224. ``de10`` is the pynq configuration with bursts of 16 beats, as in upstream's DE10 build.
Compile times are of all of `codesign.compile`, each in a process of its own: cold, and with the
records that `codesign tune` made.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from claims import STDERR, Claim, Results, parser
from networks.definitions import named
from networks.prepare import export, inputs, quantize

import codesign
from codesign.hw.config import VtaConfig
from codesign.kernels import lower_bound

NETWORKS = ("resnet18", "resnet50", "mobilenet_v2")
CALIBRATION = 4


def qdq(name: str, folder: Path) -> Path:
    """The network's QDQ file."""
    network = named(name)
    path = export(network, folder / f"{name}.onnx")
    return quantize(path, inputs(network, CALIBRATION, 1))


def bounds(package: Any, cfg: VtaConfig) -> int:
    """Sum of the lower bounds of all units."""
    return sum(lower_bound(unit.workload, cfg).cycles for unit in package.units)


def judge(results: Results, files: dict[str, Path]) -> None:
    pynq = codesign.load_config("pynq")
    for name, file in files.items():
        for compose in ("exact", "overlap"):
            package = codesign.compile(file, pynq, compose=compose)
            bound = bounds(package, pynq)
            results.figures[f"{name} {compose}, cycles"] = package.cycles
            if compose == "overlap":
                ratio = package.cycles / bound
                claim = f"{name}, cycles ÷ sum of bounds, pynq, overlap"
                results.claims.append(Claim(claim, ratio, "ratio", "≤ 1.2", ratio <= 1.2))
                share = package.offloaded_macs / package.macs
                results.figures[f"{name}, MACs offloaded"] = share
        STDERR.print(f"{name}: {package.cycles} cycles, {len(package.units)} units")
    if "resnet18" in files:
        de10 = replace(pynq, max_burst_beats=16, name="de10")
        package = codesign.compile(files["resnet18"], de10, compose="overlap")
        cycles = package.cycles / 1e6
        name = "resnet18, first layer, pools, additions and dense included, de10"
        results.claims.append(Claim(name, cycles, "Mcycles", "≤ 10", cycles <= 10.0))


def compile_seconds(results: Results, file: Path) -> None:
    """ResNet-50: cold, and with records."""
    records = file.with_suffix(".records")
    cold = _timed(file)
    tune = ["tune", str(file), "-c", "pynq", "-o", str(records), "--trials", "8"]
    command = [sys.executable, "-m", "codesign.cli", *tune]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    warm = _timed(file, records)
    for what, seconds, limit in (("cold", cold, 45.0), ("with records", warm, 5.0)):
        name = f"{file.stem.split('.')[0]}, seconds to compile, {what}"
        results.claims.append(Claim(name, seconds, "s", f"≤ {limit:g}", seconds <= limit))


_COMPILE = """
import sys, time
import codesign
from codesign.kernels import ConvWorkload, best_schedule
import tvm
records = sys.argv[2] if len(sys.argv) > 2 else None
best_schedule(ConvWorkload(16, 16, 8, 8), codesign.load_config("pynq"))
started = time.perf_counter()
codesign.compile(sys.argv[1], codesign.load_config("pynq"), compose="overlap", records=records)
print(time.perf_counter() - started)
"""


def _timed(file: Path, *records: Path) -> float:
    command = [sys.executable, "-c", _COMPILE, str(file), *map(str, records)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def main() -> int:
    options = parser(__doc__ or "").parse_args()
    results = Results("Whole networks (T2)")
    names = NETWORKS[:1] if options.quick else NETWORKS
    with tempfile.TemporaryDirectory() as folder:
        files = {name: qdq(name, Path(folder)) for name in names}
        judge(results, files)
        compile_seconds(results, files[names[-1] if options.quick else "resnet50"])
    results.show(options.json)
    return results.exit_code


if __name__ == "__main__":
    sys.exit(main())
