"""Where a cost model's errors lie, and how they fall with traces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np
from costmodel_cases import NOUNS, Case, drawn
from costmodel_learners import T1, Job, fit_all
from costmodel_traces import Judged
from numpy.typing import NDArray

from codesign.costmodel.design import Design
from codesign.costmodel.heads import Prediction
from codesign.costmodel.intervals import KINDS
from codesign.kernels import ConvWorkload, Workload

SIZES = (150, 300, 600, 1200, 2500, 5000, 10_000)
_WORST = 10


def learning_curve(
    design: Design, cases: Sequence[Case], pool: Executor
) -> dict[str, dict[int, float]]:
    """Split -> training traces -> mean error in percent, over the cases of each split that have so
    many to draw from; the last size is all of them, those of the smallest case."""
    curve: dict[str, dict[int, float]] = {}
    for name in ("networks", "configs", "block"):
        chosen = [case for case in cases if case.name == name]
        whole = min(len(case.split.train) for case in chosen)
        sizes = [size for size in SIZES if size < whole] + [whole]
        jobs = [
            Job(T1, drawn(case.split.train, size, case.seed), case.split.test, case.seed)
            for size in sizes
            for case in chosen
        ]
        found = [
            float(error_percent(design, job.test, made).mean())
            for job, made in zip(
                jobs, fit_all(design, jobs, pool, f"learning curve, {NOUNS[name]}"), strict=True
            )
        ]
        means = np.array(found).reshape(len(sizes), len(chosen)).mean(axis=1)
        curve[NOUNS[name]] = dict(zip(sizes, map(float, means), strict=True))
    return curve


def error_percent(design: Design, rows: NDArray[np.intp], made: Prediction) -> NDArray[np.float64]:
    """|predicted - simulated| / simulated of each row."""
    true = design.cycles[rows]
    return 100 * np.abs(made.cycles - true) / true


def residuals(
    design: Design, chosen: Judged, of: Sequence[tuple[Case, Prediction]]
) -> dict[str, Any]:
    """Mean error in percent by kind of unit, hardware space, dataflow and size, the share that the
    worst hundredth has, and the pairs that are furthest off."""
    rows = design.rows
    test = np.concatenate([case.split.test for case, _ in of])
    error = np.concatenate([error_percent(design, case.split.test, made) for case, made in of])
    cycles = np.concatenate([made.cycles for _, made in of])
    configs = [rows.configs[c] for c in map(int, rows.config_ids[test])]
    labels = {
        "kind": [KINDS[k] for k in map(int, design.kinds[test])],
        "space": [chosen.space_of[config] for config in configs],
        "dataflow": [str(config.dataflow) for config in configs],
        "cycles": [f"10^{int(p)}" for p in np.log10(design.cycles[test])],
    }
    worst = list(dict.fromkeys(map(int, test[np.argsort(-error, kind="stable")])))[:_WORST]
    ratio = dict(zip(map(int, test), cycles / design.cycles[test], strict=True))
    return {
        "by": {what: _means(error, values) for what, values in labels.items()},
        "share_of_error_in_worst_percent": float(
            np.sort(error)[::-1][: max(1, len(error) // 100)].sum() / error.sum()
        ),
        "worst": [
            {
                "title": title(rows.workloads[int(rows.layer_ids[i])]),
                "layer": str(rows.workloads[int(rows.layer_ids[i])]),
                "config": rows.configs[int(rows.config_ids[i])].name,
                "simulated": float(design.cycles[i]),
                "predicted_to_simulated": float(ratio[i]),
                "t0_to_simulated": float(design.t0[i] / design.cycles[i]),
            }
            for i in worst
        ],
    }


def _means(error: NDArray[np.float64], labels: Sequence[str]) -> Mapping[str, float]:
    names = np.array(labels)
    return {str(name): float(error[names == name].mean()) for name in np.unique(names)}


def title(layer: Workload) -> str:
    """A layer in a few words: channels x rows x columns in, window and step, channels out."""
    if not isinstance(layer, ConvWorkload):
        return f"{layer.op}, {layer.out_height}x{layer.out_width} out"
    window, step = ("x".join(map(str, pair)) for pair in (layer.kernel, layer.stride))
    sizes = f"{layer.in_channels}x{layer.height}x{layer.width}"
    groups = f" in {layer.groups} groups" if layer.groups > 1 else ""
    return f"{layer.op} {sizes}, {window} step {step} to {layer.out_channels}{groups}"
