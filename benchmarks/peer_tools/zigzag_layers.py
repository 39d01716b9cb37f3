"""Runs inside ZigZag's environment: times its search for every layer of a JSON list on stdin."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import tempfile
from importlib import resources
from typing import Any

from seconds import cpu_seconds


def convolution(layer: dict[str, int]) -> dict[str, Any]:
    """A layer in ZigZag's workload format; its input is as large as its windows reach."""
    stride = layer["stride"]
    return {
        "id": 0,
        "name": "layer",
        "operator_type": "Conv",
        "equation": "O[b][k][oy][ox]+=W[k][c][fy][fx]*I[b][c][iy][ix]",
        "dimension_relations": [f"ix={stride}*ox+1*fx", f"iy={stride}*oy+1*fy"],
        "loop_dims": ["B", "K", "C", "OY", "OX", "FY", "FX"],
        "loop_sizes": [
            *(1, layer["out_channels"], layer["in_channels"]),
            *(layer["out_height"], layer["out_width"], layer["kernel"], layer["kernel"]),
        ],
        "operand_precision": {"W": 8, "I": 8, "O": 16, "O_final": 8},
        "operand_source": {"W": 0, "I": 0},
    }


def main() -> None:
    from zigzag.api import get_hardware_performance_zigzag

    inputs = resources.files("zigzag") / "inputs"
    hardware, mapping = inputs / "hardware/tpu_like.yaml", inputs / "mapping/default.yaml"
    logging.disable(logging.CRITICAL)
    found: list[dict[str, float]] = []
    for layer in json.load(sys.stdin):
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
            start = cpu_seconds()
            _, latency, *_ = get_hardware_performance_zigzag(
                *([convolution(layer)], str(hardware), str(mapping)),
                opt="latency",
                dump_folder=folder,
                loma_show_progress_bar=False,
            )
            found.append({"seconds": cpu_seconds() - start, "cycles": float(latency)})
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
