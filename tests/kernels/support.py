"""Random params and inputs of a workload, and one run of its program on a simulator."""

from __future__ import annotations

from math import ceil, prod

import numpy as np
from numpy.typing import NDArray

from codesign.hw.config import VtaConfig
from codesign.kernels import (
    ConvParams,
    ConvWorkload,
    ElementwiseParams,
    ElementwiseWorkload,
    GatherParams,
    GatherWorkload,
    Params,
    PoolParams,
    Schedule,
    Workload,
    build,
    identity_copies,
    input_layouts,
    output_layout,
    pack,
    reference,
    shift_steps,
    unpack,
    valid_counts,
)
from codesign.kernels.layout import ALIGNMENT
from codesign.kernels.unit import Placement
from codesign.sim import Simulator


def random_scaling(channels: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Sums below 2**18, fractions of up to 13 bits, multipliers whose products may wrap."""
    bounds = np.sort(rng.integers(-(2**18), 2**18, (2, channels)), axis=0)
    multiplier = rng.integers(0, 1 << int(rng.integers(1, 31)), channels)
    fraction = rng.integers(-(2**12), 2**12, channels)
    offset = rng.integers(-(2**31), 2**31, channels)
    return np.stack([*bounds, multiplier, fraction, offset]).astype(np.int32)


def random_params(workload: Workload, rng: np.random.Generator) -> Params:
    """Numbers that exercise rounding and both ends of the clip."""
    if isinstance(workload, ConvWorkload):
        per_group = workload.in_channels // workload.groups
        shape = (workload.out_channels, per_group, *workload.kernel)
        weight = rng.integers(-128, 128, shape).astype(np.int8)
        phases = (prod(workload.phases),) if workload.phase_bias else ()
        bias = rng.integers(-20000, 20000, (*phases, workload.out_channels)).astype(np.int32)
        pad = int(rng.integers(-128, 128)) if workload.in_border else 0
        low = int(rng.choice([-128, 0, -3]))
        if workload.multiply:
            return ConvParams(
                weight,
                bias,
                int(rng.integers(2, 31)),
                low,
                pre_shift=int(rng.integers(0, 13)),
                scaling=random_scaling(workload.out_channels, rng),
                pad_value=pad,
            )
        residual = int(rng.integers(0, 128)) if workload.residual_border is not None else 0
        return ConvParams(
            weight,
            bias,
            int(rng.integers(4, 14)),
            low,
            pad_value=pad,
            pre_shift=int(rng.integers(0, 9)) if residual else 0,
            residual_multiplier=residual,
        )
    if isinstance(workload, ElementwiseWorkload):
        multipliers = random_multipliers(workload.operands, workload.digits, rng)
        bias, shift = int(rng.integers(-9000, 9000)), 7
        if workload.digits > 1:
            bias, shift = bias * 256 ** (workload.digits - 1) // 4, 8 * workload.digits - 2
        return ElementwiseParams(multipliers, bias, shift, -128, 100)
    if isinstance(workload, GatherWorkload):
        multipliers = random_multipliers(len(workload.channels), workload.digits, rng, least=1)
        biases = rng.integers(-900, 900, len(workload.picks)).astype(np.int32)
        shift = int(rng.integers(4, 8)) + 7 * (workload.digits - 1)
        return GatherParams(multipliers, biases * 97 ** (workload.digits - 1), shift, -120, 127)
    if workload.kind == "max":
        return None
    scale = 256 ** (workload.digits - 1)
    if workload.digits > 1:
        scale //= max(1, max(valid_counts(workload)) // 2)
    by_count = {
        n: (
            int(rng.integers(1, 127 * identity_copies(workload, n) * scale + 1)),
            int(rng.integers(-99, 99)) * scale,
        )
        for n in valid_counts(workload)
    }
    return PoolParams(by_count, 9 * shift_steps(workload) + (workload.digits > 2))


def random_multipliers(
    count: int, digits: int, rng: np.random.Generator, least: int = -128
) -> tuple[int, ...]:
    """Multipliers whose highest of some digits is from ``least`` on."""
    scale = 256 ** (digits - 1)
    return tuple(int(m) for m in rng.integers(least * scale, 127 * scale + 1, count))


def pad_value(params: Params) -> int:
    return params.pad_value if isinstance(params, ConvParams) else 0


def canonical_placement(workload: Workload, cfg: VtaConfig, constant_bytes: int) -> Placement:
    """Buffers one after the other from the first page on, where `measure` simulates them."""
    position = ALIGNMENT
    addresses: list[int] = []
    sizes = [t.nbytes(cfg) for t in (*input_layouts(workload), output_layout(workload))]
    for size in (*sizes, constant_bytes):
        addresses.append(position)
        position += ceil(size / ALIGNMENT) * ALIGNMENT
    return Placement(tuple(addresses[:-2]), addresses[-2], addresses[-1])


def run_unit(
    workload: Workload,
    cfg: VtaConfig,
    schedule: Schedule,
    params: Params,
    rng: np.random.Generator,
    engine: str = "cpp",
) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """(what the program stored, what the integer reference says), int8 [BATCH, C, OH, OW]."""
    layouts = input_layouts(workload)
    inputs = tuple(
        rng.integers(-128, 128, (cfg.batch, t.channels, t.height, t.width)).astype(np.int8)
        for t in layouts
    )
    program = build(workload, params, cfg, schedule)
    place = canonical_placement(workload, cfg, program.constants.size)
    memory = np.zeros(place.constants + program.constants.size, np.uint8)
    for address, layout, x in zip(place.inputs, layouts, inputs, strict=True):
        data = pack(x, layout, cfg, pad_value(params))
        memory[address : address + data.size] = data
    memory[place.constants :] = program.constants
    Simulator(cfg, engine=engine).run(program.instructions(place), memory, base_address=0)
    out = output_layout(workload)
    stored = unpack(memory[place.output : place.output + out.nbytes(cfg)], out, cfg)
    return stored, reference(workload, params, inputs)
