"""The accuracy source that a problem names."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from codesign.errors import ConfigError
from codesign.hw.config import VtaConfig
from codesign.nn import (
    AccuracySource,
    CallableAccuracy,
    GivenAccuracy,
    NetworkSpace,
    PredictedAccuracy,
    TableAccuracy,
    load_network_space,
)
from codesign.nn.space import dataset_shape
from codesign.search.problem import AccuracyChoice, NetworkChoice


def accuracy_source(
    network: NetworkChoice, choice: AccuracyChoice, config: VtaConfig | None = None
) -> AccuracySource:
    """The source of ``[accuracy]``; ``config`` is the one that `evaluate` compiles for.

    Raises
    ------
    ConfigError
        the source does not go with the problem's networks, or lacks an entry.
    """
    if choice.source == "table":
        if network.space is None:
            raise ConfigError(
                '[accuracy] source = "table" needs [network] space = "NAME"; '
                'for ONNX files use source = "given" with values = [...]'
            )
        space, dataset = _space(network, choice), choice.dataset or network.dataset or ""
        return _at_resolution(TableAccuracy(network.space, dataset, choice.split or ""), space)
    if choice.source == "given":
        if not network.onnx:
            raise ConfigError(
                '[accuracy] source = "given" needs [network] onnx = ["FILE", ...]; for a space '
                'use "table", "train" or "supernet"'
            )
        if len(choice.values) != len(network.onnx):
            raise ConfigError(
                f"[accuracy] values: {len(choice.values)} given for {len(network.onnx)} "
                f"networks; give one percentage per ONNX file"
            )
        wrong = [value for value in choice.values if not 0 <= value <= 100]
        if wrong:
            raise ConfigError(f"[accuracy] values: {wrong[0]:g}; percentages are allowed, 0 to 100")
        return GivenAccuracy(dict(zip(network.onnx, choice.values, strict=True)))
    if choice.source == "callable":
        return CallableAccuracy(_function(choice.function), choice.dataset or "user's function")
    if choice.source == "predicted":
        if choice.path is None:
            raise ConfigError('[accuracy] source = "predicted" needs path = "FILE"')
        name = choice.dataset or network.dataset or "not stated"
        return PredictedAccuracy(Path(choice.path), name)
    return _measured(network, choice, config)


def _at_resolution(table: TableAccuracy, space: NetworkSpace) -> TableAccuracy:
    """The table for the space's networks; where these by default are of another resolution than
    the table's, it says so.

    Raises
    ------
    ConfigError
        another resolution was asked for.
    """
    trained, built = dataset_shape(table.dataset)[1][1], space.input_shape[1]
    own = load_network_space(table.space, table.dataset).input_shape[1]
    if built == trained:
        return table
    if built == own:
        return replace(table, built_at=built)
    allowed = f"{trained}" if own == trained else f"{trained} or {own}"
    raise ConfigError(
        f"[network] resolution: the networks are built for {built}x{built} pixels, the accuracies "
        f"of the table {table.space} {table.dataset} are of {trained}x{trained}; give resolution = "
        f'{allowed}, or dataset = "{table.dataset}" without a resolution; [accuracy] source = '
        '"train" and "supernet" measure at any'
    )


_SHORT_PRICE = 12 / 200
"""Epochs of the benchmark's short schedule by those of its long one."""


def short_schedule(source: AccuracySource) -> tuple[AccuracySource | None, float | None]:
    """The cheaper fidelity of a source and its price in evaluations, where it has one.

    NAS-Bench-201's 200-epoch test accuracy has the validation accuracy of its 12-epoch schedule.
    """
    if isinstance(source, TableAccuracy) and source.split == "test-200":
        return TableAccuracy(source.space, source.dataset, "val-short"), _SHORT_PRICE
    return None, None


def _measured(
    network: NetworkChoice, choice: AccuracyChoice, config: VtaConfig | None
) -> AccuracySource:
    from codesign.nn.datasets import load_dataset
    from codesign.nn.evaluate import EvaluatedAccuracy
    from codesign.nn.labelled import LabelledAccuracy
    from codesign.nn.supernet import OneShotRecipe
    from codesign.nn.trained import SupernetAccuracy, TrainedAccuracy
    from codesign.nn.training import Recipe

    name = choice.dataset or network.dataset
    labelled = choice.source == "evaluate" and (choice.path or "").endswith(".npz")
    if name is None and not labelled:
        other = ', or path = "LABELLED.npz"' if choice.source == "evaluate" else ""
        raise ConfigError(f'[accuracy] source = "{choice.source}" needs dataset = "NAME"{other}')
    if choice.source == "evaluate":
        if not network.onnx:
            raise ConfigError(
                '[accuracy] source = "evaluate" needs [network] onnx = ["FILE", ...]; for a space '
                'use "train", "supernet" or "table"'
            )
        if config is None:
            raise ConfigError('[accuracy] source = "evaluate" needs a configuration to compile for')
        store = None if choice.store is None else Path(choice.store)
        if choice.path is not None and labelled:
            return LabelledAccuracy(
                Path(choice.path), config, name or "", network.calibration, store=store
            )
        return EvaluatedAccuracy(load_dataset(name or "", choice.path), config, store=store)
    space = _space(network, choice)
    data = load_dataset(name or "", choice.path, size=space.input_shape[1])
    if choice.source == "supernet":
        recipe = OneShotRecipe(epochs=choice.epochs, seed=choice.seeds[0])
        kept = None if choice.checkpoint is None else Path(choice.checkpoint)
        return SupernetAccuracy(space, data.validation(), recipe, kept, final=data)
    return TrainedAccuracy(
        space,
        data.validation(),
        Recipe(epochs=choice.epochs),
        choice.seeds,
        None if choice.store is None else Path(choice.store),
        final=data,
    )


def _space(network: NetworkChoice, choice: AccuracyChoice) -> NetworkSpace:
    if network.space is None:
        raise ConfigError(
            f'[accuracy] source = "{choice.source}" needs [network] space = "NAME"; for '
            'ONNX files use "evaluate" or "given"'
        )
    return load_network_space(network.space, network.dataset, network.resolution)


def _function(text: str | None) -> Any:
    """The function that "module:name" names, of an installed package or of the working folder."""
    module, _, name = (text or "").partition(":")
    if not (module and name):
        raise ConfigError(
            f'[accuracy] function = {text!r}: source = "callable" needs "module:function"'
        )
    try:
        with _working_folder():
            function = getattr(import_module(module), name)
    except (ImportError, AttributeError, TypeError, ValueError, SyntaxError) as error:
        raise ConfigError(
            f"[accuracy] function = {text!r}: {error}; modules of installed packages and of the "
            "working folder are found"
        ) from error
    if not callable(function):
        raise ConfigError(f"[accuracy] function = {text!r} is no function")
    return function


@contextmanager
def _working_folder() -> Generator[None]:
    """Modules beside the user are found last: an installed command has no such place of its own."""
    sys.path.append(str(Path.cwd()))
    try:
        yield
    finally:
        sys.path.pop()
