# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false
# (torch and scikit-learn are partly annotated)
"""What T1 is compared with: other ways to predict cycles, fitted and tuned on the same rows.

A rival is fitted on rows of a `Design` and predicts log cycles of others. Those with settings have
as many as T1 has (`training.SETTINGS`), and choose among them as T1 does: by the error on an inner
split of the rows that holds new layers and new configurations out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.costmodel.columns import Floats
from codesign.costmodel.design import Design
from codesign.costmodel.inputs import INPUT_NAMES
from codesign.costmodel.training import SETTINGS
from codesign.costmodel.trees import Settings, Task, chosen, fit_rounds, inner_split, predict

Rows = NDArray[np.intp]
Predict = Callable[[Rows], Floats]
"""Rows of the design -> predicted log cycles."""


@dataclass(frozen=True)
class Rival:
    """``fit(design, rows, seed, settings)`` gives the prediction with the best of ``settings``."""

    name: str
    fit: Callable[[Design, Rows, int, Sequence[Settings]], Predict]
    settings: Sequence[Settings] = ({},)


def _best_of(fit: Callable[[Design, Rows, int, Settings], Predict]) -> Any:
    """A rival's ``fit`` from the one for a given setting."""

    def tuned(design: Design, rows: Rows, seed: int, settings: Sequence[Settings]) -> Predict:
        groups = (design.rows.layer_ids[rows], design.rows.config_ids[rows])
        split = inner_split(groups, seed)
        if len(settings) == 1 or split is None:
            return fit(design, rows, seed, settings[0])
        train, check = rows[split[0]], rows[split[1]]
        true = np.log(design.cycles[check])

        def error(setting: Settings) -> float:
            found = fit(design, train, seed, setting)(check)
            return float(np.square(found - true).mean())

        return fit(design, rows, seed, min(settings, key=error))

    return tuned


def _mac_count(design: Design, rows: Rows, seed: int, settings: Sequence[Settings]) -> Predict:
    macs = np.log1p(design.w["macs"] * design.c["batch"])
    columns = np.stack([np.ones_like(macs), macs], axis=1)
    weights = np.linalg.lstsq(columns[rows], np.log(design.cycles[rows]), rcond=None)[0]
    return lambda test: columns[test] @ weights


def _roofline(design: Design, rows: Rows, seed: int, settings: Sequence[Settings]) -> Predict:
    return lambda test: np.log(design.roofline[test])


def _closed_form(design: Design, rows: Rows, seed: int, settings: Sequence[Settings]) -> Predict:
    fits = np.isfinite(design.t0)
    return lambda test: np.log(np.where(fits, design.t0, design.roofline)[test])


def _xgboost(design: Design, rows: Rows, seed: int, settings: Sequence[Settings]) -> Predict:
    """The inputs of T1, but cycles themselves as the target."""
    groups = (design.rows.layer_ids[rows], design.rows.config_ids[rows])
    logs = np.log(design.cycles[rows])
    task = Task(design.values[rows], logs, groups, seed, names=INPUT_NAMES)
    best, rounds = chosen(task, settings)
    trees = fit_rounds(best, None, rounds)
    return lambda test: predict(trees, design.values[test])


def architecture_and_hardware(design: Design) -> NDArray[np.float32]:
    """Sizes of layer and accelerator as they are, in log: what NAHAS' model sees."""
    columns = [*design.w.values(), *design.c.values()]
    varying = [np.log1p(np.maximum(v, 0.0)) for v in columns if np.ptp(v) > 0]
    return np.stack(varying, axis=1).astype(np.float32)


def _standardised(values: NDArray[np.float32], rows: Rows) -> NDArray[np.float32]:
    mean, scale = values[rows].mean(axis=0), values[rows].std(axis=0)
    return np.clip((values - mean) / np.maximum(scale, 1e-3), -8.0, 8.0)


_EPOCHS = 60
_MINIBATCH = 256


def _mlp(design: Design, rows: Rows, seed: int, setting: Settings) -> Predict:
    """Three hidden layers on (architecture, hardware), as in NAHAS (Zhou et al., 2021)."""
    import torch
    from torch import nn

    values = torch.from_numpy(_standardised(architecture_and_hardware(design), rows))
    logs = np.log(design.cycles[rows])
    middle, width = float(logs.mean()), float(logs.std())
    target = torch.from_numpy(((logs - middle) / width).astype(np.float32))
    hidden = int(setting["hidden"])
    epochs = int(setting.get("epochs", _EPOCHS))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        sizes = (values.shape[1], hidden, hidden, hidden)
        parts: list[nn.Module] = []
        for a, b in pairwise(sizes):
            parts += [nn.Linear(a, b), nn.ReLU()]
        network = nn.Sequential(*parts, nn.Linear(hidden, 1))
        optimizer = torch.optim.AdamW(network.parameters(), lr=float(setting["rate"]))
        steps = epochs * -(-len(rows) // _MINIBATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=float(setting["rate"]), total_steps=steps
        )
        known = values[torch.from_numpy(rows)]
        for _ in range(epochs):
            for batch in torch.randperm(len(rows)).split(_MINIBATCH):
                optimizer.zero_grad()
                loss = nn.functional.huber_loss(network(known[batch])[:, 0], target[batch])
                loss.backward()
                optimizer.step()
                schedule.step()

    def found(test: Rows) -> Floats:
        with torch.no_grad():
            out = network(values[torch.from_numpy(test)])[:, 0]
        return out.numpy().astype(np.float64) * width + middle

    return found


def _gaussian_process(design: Design, rows: Rows, seed: int, setting: Settings) -> Predict:
    """On a random subset of the rows, over (architecture, hardware)."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern, WhiteKernel

    rng = np.random.default_rng([seed, 300])
    subset = rng.choice(rows, min(int(setting["points"]), len(rows)), replace=False)
    values = _standardised(architecture_and_hardware(design), rows).astype(np.float64)
    shape = RBF(5.0) if setting["kernel"] == "rbf" else Matern(5.0, nu=1.5)
    noise = WhiteKernel(1e-2, (1e-7, 10.0))  # traces are exact: little noise must be allowed
    kernel = ConstantKernel(1.0) * shape + noise
    process: Any = GaussianProcessRegressor(kernel, normalize_y=True, random_state=seed)
    process.fit(values[subset], np.log(design.cycles[subset]))
    return lambda test: np.asarray(process.predict(values[test]), dtype=np.float64)


RIVALS: Sequence[Rival] = (
    Rival("MAC count", _mac_count),
    Rival("roofline", _roofline),
    Rival("closed form (T0)", _closed_form),
    Rival("XGBoost, no residual", _xgboost, SETTINGS),
    Rival(
        "MLP",
        _best_of(_mlp),
        tuple({"hidden": n, "rate": rate} for n in (128, 256) for rate in (1e-3, 4e-3)),
    ),
    Rival(
        "Gaussian process",
        _best_of(_gaussian_process),
        tuple({"points": n, "kernel": k} for n in (300, 700) for k in ("rbf", "matern")),
    ),
)
"""In the order of the table."""
