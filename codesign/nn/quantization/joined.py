"""Steps whose outputs one concatenation joins: they share a clip, and so a scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from codesign.errors import ModelError
from codesign.nn.quantization.plan import INPUT, Step


def clip_owners(steps: Sequence[Step], bits: Mapping[str, tuple[int, int]]) -> dict[str, str]:
    """For every step with a scale of its own the step that holds its clip, by name.

    That is the step itself, or the first of those that concatenations join with it: the
    accelerator then moves the parts and computes nothing.

    Raises
    ------
    ModelError
        a concatenation of the network's input, whose scale is fixed, or of outputs whose ``bits``
        (`Scheme.bits_of`) differ.
    """
    made = {step.name: step for step in steps}
    owner = {step.name: step.name for step in steps if not step.keeps_scale}
    for step in steps:
        if step.kind != "concat":
            continue
        parts = [_producer(made, name) for name in step.inputs]
        if INPUT in parts:
            raise ModelError(
                f"quantisation: {step.name} joins the network's input, whose scale is fixed, with "
                "other tensors; put a convolution between"
            )
        widths = {part: bits[part][1] for part in parts}
        if len(set(widths.values())) > 1:
            listed = ", ".join(f"{part} has {width}" for part, width in widths.items())
            raise ModelError(
                f"quantisation: {step.name} joins outputs of different bits ({listed}); "
                "give their blocks the same bits"
            )
        joined = {owner[part] for part in parts}
        first = next(name for name in owner if name in joined)
        owner = {name: first if held in joined else held for name, held in owner.items()}
    return owner


def _producer(made: Mapping[str, Step], name: str) -> str:
    """The step that gave a tensor its scale; a concatenation's parts have the same."""
    while name != INPUT and made[name].keeps_scale:
        name = made[name].inputs[0]
    return name
