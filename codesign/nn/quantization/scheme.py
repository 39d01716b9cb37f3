"""`Scheme`: which quantiser, and how many bits each block of a network has."""

from __future__ import annotations

from dataclasses import dataclass

from codesign.errors import ModelError
from codesign.nn.quantization.plan import Step
from codesign.nn.quantization.quantizers import QUANTIZERS, levels


@dataclass(frozen=True)
class Scheme:
    """Bits are block-grained, scales layer-grained.

    ``blocks`` are (prefix, bits): a step whose module's or own name starts with the prefix has
    these bits, the longest prefix decides; all others have ``bits``. The first and the last layer
    with weights have ``ends`` bits, and so have the outputs of the last one.
    """

    quantizer: str = "naf"
    bits: int = 8
    blocks: tuple[tuple[str, int], ...] = ()
    ends: int = 8

    def __post_init__(self) -> None:
        if self.quantizer not in QUANTIZERS:
            raise ModelError(
                f"unknown quantiser {self.quantizer!r}; allowed: {', '.join(QUANTIZERS)}"
            )
        for bits in (self.bits, self.ends, *(bits for _, bits in self.blocks)):
            levels(bits)

    def bits_of(self, steps: tuple[Step, ...]) -> dict[str, tuple[int, int]]:
        """Bits of the weights and of the output of every step, by its name.

        Raises
        ------
        ModelError
            a prefix that no step has.
        """
        unused = [p for p, _ in self.blocks if not any(_starts(step, p) for step in steps)]
        if unused:
            raise ModelError(f"bits are given for {', '.join(unused)}; no step starts so")
        weighted = [step.name for step in steps if step.layer]
        found: dict[str, tuple[int, int]] = {}
        for step in steps:
            matching = [(len(p), bits) for p, bits in self.blocks if _starts(step, p)]
            bits = max(matching)[1] if matching else self.bits
            end = step.name in (*weighted[:1], *weighted[-1:])
            last = step.name == weighted[-1] if weighted else False
            found[step.name] = (self.ends if end else bits, self.ends if last else bits)
        return found


def _starts(step: Step, prefix: str) -> bool:
    return any(name.startswith(prefix) for name in (step.layer, step.name) if name)
