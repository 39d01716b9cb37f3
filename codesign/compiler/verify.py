# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportArgumentType=false
# tvm's annotations are partial and partly wrong.
"""A pipeline callback that executes the module after every phase and compares it with the last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.compiler.compose import ComposedRegion
from codesign.compiler.pipeline import build_executable, host_pipeline
from codesign.compiler.verify_region import verify_region
from codesign.errors import VerificationError
from codesign.frontend import SampleSource, import_onnx
from codesign.frontend.calibration import batches, check_samples, load_samples
from codesign.frontend.importer import signature_of
from codesign.frontend.model import InputShapes

EXACT = frozenset(
    (
        *("merge_identical", "quantize_before_reshape", "split_to_slices", "requantize_apart"),
        *("split_dequantize", "join_moves", "partition", "host"),
    )
)
"""Phases that change no value at all. Of the others, fold_parameters takes the rounding from
weights, fold_batch_norm and lower_leaky_relu sum in another order, so that a quantize behind may
round the other way, and quantize, absorb_requantize and lower change where values are rounded."""


_ROUNDING = 1e-5
"""Largest relative change that float arithmetic in another order may make."""


@dataclass(frozen=True)
class PhaseCheck:
    """Largest difference to the phase before, relative to the largest output, and the cosine."""

    phase: str
    largest: float
    cosine: float


@dataclass
class Verifier:
    """Pass an instance as ``callback=``; ``checks`` tells what each phase changed.

    Every region's program is held against the integer reference too, at the level of instructions
    and as a whole (`verify_region`).

    Parameters
    ----------
    inputs : one declared batch, arrays in the order of the network's inputs
    smallest_cosine : every phase must reach it; those of `EXACT` may change nothing

    Raises
    ------
    VerificationError
        when a phase changes more than it may, or a program computes anything else than its integer
        reference; names the phase, or the region, layer and element.
    """

    inputs: Mapping[str, NDArray[Any]]
    smallest_cosine: float = 0.95
    checks: list[PhaseCheck] = field(default_factory=lambda: [])
    _before: list[NDArray[Any]] | None = None
    _module: Any = None

    def __call__(self, phase: str, module: Any) -> None:
        if isinstance(module, ComposedRegion):
            verify_exactly(module)
            return
        after = self._before if self._unchanged(module) else execute(module, self.inputs)
        assert after is not None
        if self._before is not None:
            self._compare(phase, self._before, after)
        self._before, self._module = after, module

    def _unchanged(self, module: Any) -> bool:
        """Whether the phase left the module as it was, so that nothing need be executed."""
        from tvm_ffi import structural_equal

        if self._module is None or (module.attrs and "external_mods" in module.attrs):
            return False  # compiled modules have no structure to compare
        return bool(structural_equal(module, self._module))

    def _compare(self, phase: str, before: list[NDArray[Any]], after: list[NDArray[Any]]) -> None:
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            check = compare(phase, old, new)
            self.checks.append(check)
            kept = check.largest <= _ROUNDING if phase in EXACT else True
            if not (kept and check.cosine >= self.smallest_cosine):  # NaN fails
                worst = np.unravel_index(int(_changes(old, new).argmax()), old.shape)
                raise VerificationError(
                    f"phase {phase} changed output {index} at {tuple(map(int, worst))}: "
                    f"{old[worst]} before, {new[worst]} after (cosine {check.cosine:.5f}, wanted "
                    f"{self.smallest_cosine:g} or more)"
                )


def one_batch(
    model: Any, inputs: SampleSource | None, shapes: InputShapes | None = None
) -> dict[str, NDArray[Any]]:
    """The first declared batch of ``inputs``; without them seeded random numbers."""
    signature, _ = signature_of(import_onnx(model, shapes))
    if inputs is None:
        rng = np.random.default_rng(0)
        return {n: rng.standard_normal(shape).astype(kind) for n, shape, kind in signature}
    arrays = load_samples(inputs, signature)
    return next(batches(arrays, signature, check_samples(arrays, signature, "verify")))


def verify_exactly(region: ComposedRegion) -> None:
    """Raise `VerificationError` unless the region's program equals the integer reference."""
    found = verify_region(region)
    if found is not None:
        raise VerificationError(str(found))


def compare(phase: str, old: NDArray[Any], new: NDArray[Any]) -> PhaseCheck:
    """Difference of one output before and after a phase.

    Infinities and NaN that stay what they were are no change; any other makes both figures NaN or
    infinite.
    """
    a, b = old.astype(np.float64).ravel(), new.astype(np.float64).ravel()
    kept = ~np.isfinite(a) & (_changes(a, b) == 0)
    a, b = a[~kept], b[~kept]
    with np.errstate(invalid="ignore"):
        norm = float(np.linalg.norm(a) * np.linalg.norm(b))
        cosine = float(a @ b) / norm if norm else float(np.array_equal(a, b))
        scale = float(np.abs(a).max(initial=0.0)) or 1.0
        return PhaseCheck(phase, float(_changes(a, b).max(initial=0.0)) / scale, cosine)


def _changes(old: NDArray[Any], new: NDArray[Any]) -> NDArray[Any]:
    """Absolute differences, 0 where both are the same infinity or both NaN."""
    a, b = old.astype(np.float64), new.astype(np.float64)
    with np.errstate(invalid="ignore"):
        return np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))


def execute(module: Any, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """Outputs of a module at any phase, compiled for the host as it is."""
    import tvm
    from tvm import relax

    passes = tvm.transform.Sequential([relax.transform.LambdaLift(), host_pipeline()])
    executable = build_executable(module, passes)
    machine = relax.VirtualMachine(executable, tvm.cpu())
    result = machine["main"](*(tvm.runtime.tensor(a) for a in inputs.values()))
    listed = [result] if hasattr(result, "numpy") else list(result)
    return [tensor.numpy() for tensor in listed]
