# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# safetensors and torch are only partly annotated.
"""Checkpoints of a training: tensors by name in a safetensors file, whole or not at all.

What is random in a step comes from a `stream` of the seed and the step's number, so that a training
goes on from a checkpoint as if it had never stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from codesign.errors import StoreError
from codesign.store.atomic import write_bytes

_VERSION = "1"


def stream(*numbers: int) -> torch.Generator:
    """A generator of its own for each tuple of numbers from 0."""
    drawn = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(drawn[0]) >> 1)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state after ``step`` steps of the training that ``key`` describes."""

    step: int
    key: str
    tensors: Mapping[str, torch.Tensor]

    def save(self, path: Path) -> None:
        from safetensors.torch import save

        tensors = {
            name: tensor.detach().cpu().contiguous() for name, tensor in self.tensors.items()
        }
        facts = {"version": _VERSION, "step": str(self.step), "key": self.key}
        write_bytes(path, save(tensors, facts))

    @staticmethod
    def load(path: Path, key: str) -> Checkpoint | None:
        """What ``path`` holds; None if there is no such file.

        Raises
        ------
        StoreError
            the file is damaged, or belongs to another training than ``key``.
        """
        from safetensors import SafetensorError, safe_open

        if not path.exists():
            return None
        try:
            with safe_open(str(path), "pt") as file:
                facts = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- no mapping
        except (SafetensorError, OSError) as error:
            raise StoreError(f"{path}: not a checkpoint, or damaged ({error})") from error
        if facts.get("version") != _VERSION or not facts.get("step", "").isdigit():
            raise StoreError(
                f"{path}: checkpoint version {facts.get('version')!r}; {_VERSION!r} is read"
            )
        if facts.get("key") != key:
            raise StoreError(
                f"{path}: belongs to another training ({facts.get('key')}); this one is {key}. "
                "Give another file or remove it"
            )
        return Checkpoint(int(facts["step"]), key, tensors)
