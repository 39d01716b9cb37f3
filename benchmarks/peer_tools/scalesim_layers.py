"""Runs inside SCALE-Sim's environment: times it for every layer of a JSON list on stdin."""

from __future__ import annotations

import contextlib
import csv
import json
import sys
import tempfile
from pathlib import Path

from seconds import cpu_seconds

CONFIGURATION = """
[general]
run_name = layer
[architecture_presets]
ArrayHeight = 16
ArrayWidth = 16
IfmapSramSzkB = 32
FilterSramSzkB = 256
OfmapSramSzkB = 128
IfmapOffset = 0
FilterOffset = 10000000
OfmapOffset = 20000000
Dataflow = ws
ReadRequestBuffer = 64
WriteRequestBuffer = 64
[layout]
IfmapCustomLayout = False
IfmapSRAMBankBandwidth = 10
IfmapSRAMBankNum = 10
IfmapSRAMBankPort = 2
FilterCustomLayout = False
FilterSRAMBankBandwidth = 10
FilterSRAMBankNum = 10
FilterSRAMBankPort = 2
[sparsity]
SparsitySupport = False
[run_presets]
InterfaceBandwidth = CALC
UseRamulatorTrace = False
"""


def topology(layer: dict[str, int]) -> str:
    """A header and the layer; SCALE-Sim knows no padding, so that the input carries it."""
    reach = [
        (layer[size] - 1) * layer["stride"] + layer["kernel"]
        for size in ("out_height", "out_width")
    ]
    row = ("layer", *reach, layer["kernel"], layer["kernel"], layer["in_channels"])
    return f"header,\n{','.join(map(str, (*row, layer['out_channels'], layer['stride'])))},\n"


def main() -> None:
    from scalesim.scale_sim import scalesim

    found: list[dict[str, float]] = []
    for layer in json.load(sys.stdin):
        with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(sys.stderr):
            folder = Path(name)
            (folder / "layer.cfg").write_text(CONFIGURATION)
            (folder / "layer.csv").write_text(topology(layer))
            (folder / "layout.csv").write_text("header,\nlayer," + "1," * 20 + "\n")
            start = cpu_seconds()
            simulator = scalesim(
                save_disk_space=True,
                verbose=False,
                config=str(folder / "layer.cfg"),
                topology=str(folder / "layer.csv"),
                layout=str(folder / "layout.csv"),
            )
            simulator.run_scale(top_path=str(folder))
            seconds = cpu_seconds() - start
            with (folder / "layer" / "COMPUTE_REPORT.csv").open() as report:
                row = {key.strip(): value for key, value in next(csv.DictReader(report)).items()}
            found.append({"seconds": seconds, "cycles": float(row["Total Cycles"])})
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
