# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# onnx's protobuf classes carry no usable annotations.
"""Where `trace`, `train` and `predict` get layers and configurations from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codesign.cli.common import notice
from codesign.errors import ModelError

if TYPE_CHECKING:
    from codesign.hw.config import VtaConfig
    from codesign.kernels.workload import Workload

_NETWORKS_SAMPLED = 1000
_CONFIGS_SAMPLED = 10_000

NamedLayers = list[tuple[str, "Workload"]]


def network_layers(
    names: Sequence[str], seed: int, config: VtaConfig, calibration: str | None = None
) -> dict[str, list[Workload]]:
    """Each of ``names``, a space (sampled networks) or an ONNX file -> its layers, each once.

    Layers are as `codesign.costmodel.off_config` has them; ``config`` is what ONNX files are
    compiled for, its unit structure is that of every configuration.
    """
    from codesign.costmodel import off_config
    from codesign.nn import space_names

    found: dict[str, list[Workload]] = {}
    for name in names:
        if name in space_names():
            found[name] = _space_layers(name, seed)
        elif Path(name).suffix == ".onnx" or Path(name).exists():
            units = onnx_units(name, config, calibration)
            found[name] = list(dict.fromkeys(off_config(unit, config) for _, unit in units))
        else:
            raise ModelError(
                f"--network {name}: neither a network space ({', '.join(space_names())}) nor an "
                "ONNX file"
            )
    return found


def _space_layers(name: str, seed: int) -> list[Workload]:
    import numpy as np

    from codesign.nn import load_network_space

    space, rng = load_network_space(name), np.random.default_rng(seed)
    every = space.count() <= _NETWORKS_SAMPLED
    genotypes = (
        list(space.all()) if every else [space.sample(rng) for _ in range(_NETWORKS_SAMPLED)]
    )
    return list(dict.fromkeys(layer for g in genotypes for layer, _ in space.layers(g)))


def hardware_configs(name: str, seed: int) -> list[VtaConfig]:
    """The points of a space; of a space too large to list, `_CONFIGS_SAMPLED` random ones."""
    import numpy as np

    from codesign.hw.space import load_space

    space = load_space(name)
    if space.count() <= _CONFIGS_SAMPLED:
        return list(space.configs())
    return list(space.sample(_CONFIGS_SAMPLED, np.random.default_rng([seed, 1])))


def onnx_units(path: str, config: VtaConfig, calibration: str | None = None) -> NamedLayers:
    """(name, unit) of every unit that the compiler puts on the accelerator.

    Cycles do not depend on values, so a float model without calibration data is quantised with
    random inputs.
    """
    from codesign.compiler import DECISIONS
    from codesign.compiler import compile as compile_network

    data = _random_inputs(path) if calibration is None else calibration
    # Units of their own: fusing and folding depend on the configuration.
    package: Any = compile_network(
        path,
        config,
        calibration=data,
        compose="exact",
        disabled=DECISIONS,
    )
    return [(str(unit.name), unit.workload) for unit in package.units]


def quantized_network(path: str, calibration: str | None = None) -> Any:
    """The network's module in QDQ form; without calibration data as `onnx_units` has it."""
    from codesign.frontend import import_onnx, quantize_module

    data = _random_inputs(path) if calibration is None else calibration
    return quantize_module(import_onnx(path), data)


def _random_inputs(path: str) -> dict[str, Any] | None:
    """Two random samples per input of a float model; None for a quantised one."""
    import numpy as np

    from codesign.frontend.model import graph_inputs, is_quantized, read_model, shape_of

    model = read_model(path)
    if is_quantized(model):
        return None
    notice("cycles do not depend on values: quantising with random inputs")
    rng = np.random.default_rng(0)
    return {
        value.name: rng.standard_normal((2, *shape_of(value)[1:])).astype(np.float32)
        for value in graph_inputs(model)
    }
