# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# torch is only partly annotated.
"""Training a network on a data set, and its top-1; the same arguments give the same weights."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from codesign.errors import DataError
from codesign.nn.datasets import DataSet, real
from codesign.nn.datasets.dataset import Images, Labels

_EVALUATION_BATCH = 500


@dataclass(frozen=True)
class Recipe:
    """AdamW with a one-cycle learning rate whose peak is ``learning_rate``.

    ``move_pixels`` shifts every batch by up to so many pixels in each direction.
    """

    epochs: int = 10
    batch: int = 64
    learning_rate: float = 1e-2
    weight_decay: float = 1e-2
    move_pixels: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        wrong = self.epochs < 1 or self.batch < 2  # batch norm needs two images
        if wrong or self.learning_rate <= 0 or self.move_pixels < 0:
            raise DataError(
                f"{self}: epochs from 1, batch from 2, learning_rate > 0, move_pixels >= 0"
            )


def seeded(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """A module with the initial weights of ``seed``; torch's own generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def train(
    network: nn.Module,
    data: DataSet,
    recipe: Recipe = Recipe(),
    *,
    progress: Callable[[int, float], None] | None = None,
) -> nn.Module:
    """Train in place, on the GPU when there is one; the network comes back in evaluation mode.

    Parameters
    ----------
    progress : called after each epoch with its number (from 1) and its mean loss
    """
    device = best_device()
    network = _laid_out(network.to(device), torch.channels_last)
    steps = steps_per_epoch(data, recipe) * recipe.epochs
    optimiser = torch.optim.AdamW(
        network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=steps + 1
    )
    order = torch.Generator().manual_seed(recipe.seed)
    with one_thread():
        for epoch in range(recipe.epochs):
            network.train()
            total, seen = 0.0, 0
            for images, labels in batches(data, recipe, order):
                logits = network(to_device(images, device))
                loss = functional.cross_entropy(logits, labels.to(device))
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                rate.step()
                total, seen = total + loss.item() * len(labels), seen + len(labels)
            if progress is not None:
                progress(epoch + 1, total / seen)
    return _laid_out(network.cpu(), torch.contiguous_format).eval()


def batches(
    data: DataSet, recipe: Recipe, order: torch.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """One epoch of shuffled batches; one image alone at the end is left out (batch norm)."""
    labels = torch.from_numpy(data.train_labels)
    for rows in torch.randperm(len(labels), generator=order).split(recipe.batch):
        if len(rows) > 1 or len(labels) == 1:
            images = torch.from_numpy(real(data.train_images[rows.numpy()]))
            yield _moved(images, recipe.move_pixels, order), labels[rows]


def steps_per_epoch(data: DataSet, recipe: Recipe) -> int:
    """The number of batches that `batches` gives."""
    images = len(data.train_labels)
    whole, rest = divmod(images, recipe.batch)
    return whole + (rest > 1 or images == 1)


@torch.no_grad()
def predictions(network: nn.Module, images: Images) -> torch.Tensor:
    """Outputs [N, classes] in evaluation mode, on the device of the network."""
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    network.eval()
    with one_thread():
        parts = [
            network(to_device(torch.from_numpy(real(part)), device))
            for part in np.split(images, range(_EVALUATION_BATCH, len(images), _EVALUATION_BATCH))
        ]
    return torch.cat(parts).cpu()


def top1(network: nn.Module, images: Images, labels: Labels) -> float:
    """Share of images whose largest output is their label, percent."""
    right = predictions(network, images).argmax(dim=1) == torch.from_numpy(labels)
    return 100.0 * float(right.double().mean())


def best_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def to_device(images: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Images on ``device``, channels last: convolutions on the CPU are up to twice as fast."""
    return images.to(device, memory_format=torch.channels_last)


@contextlib.contextmanager
def one_thread() -> Generator[None]:
    """Sums in one order on every machine; small networks are no slower."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _laid_out(network: nn.Module, layout: torch.memory_format) -> nn.Module:
    # Module.to has no annotated overload for a layout alone.
    return network.to(memory_format=layout)  # pyright: ignore[reportCallIssue]


def _moved(images: torch.Tensor, most: int, rng: torch.Generator) -> torch.Tensor:
    if most == 0:
        return images
    height, width = images.shape[2:]
    dy, dx = torch.randint(0, 2 * most + 1, (2,), generator=rng).tolist()
    edge = float(images.min())
    padded = functional.pad(images, (most,) * 4, value=edge)
    return padded[:, :, dy : dy + height, dx : dx + width]
