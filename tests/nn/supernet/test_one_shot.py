"""One-shot training: sharing, learning, and resuming to the same weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_training import Tiny, tiny_data

from codesign.errors import DataError, StoreError
from codesign.nn import Genotype
from codesign.nn.datasets import shapes32
from codesign.nn.supernet import OneShotRecipe, SharedWeights, extreme, train_supernet

SPACE, DATA = Tiny(), tiny_data()
RECIPE = OneShotRecipe(epochs=3, batch=32)


def _weights(shared: SharedWeights) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in shared.state().items()}


def _equal(one: SharedWeights, two: SharedWeights) -> bool:
    a, b = _weights(one), _weights(two)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_networks_share_their_parts() -> None:
    shared = SharedWeights(SPACE)
    one, two = (shared.network(Genotype(c)) for c in ((1, 1, 3), (1, 3, 3)))
    a, b = dict(one.named_parameters()), dict(two.named_parameters())
    common = a.keys() & b.keys()
    assert {name.split(".")[1].rpartition("_")[0] for name in common} == {
        "layer0_1x1",
        "layer2_3x3",
        "classifier",
    }
    assert all(a[name] is b[name] for name in common)


def test_initial_weights_do_not_depend_on_the_order_of_asking() -> None:
    genotypes = [Genotype((1, 1, 1)), Genotype((3, 3, 3))]
    first, second = SharedWeights(SPACE, 1), SharedWeights(SPACE, 1)
    for genotype in genotypes:
        first.network(genotype)
    for genotype in genotypes[::-1]:
        second.network(genotype)
    assert _equal(first, second)
    other = SharedWeights(SPACE, 2)
    for genotype in genotypes:
        other.network(genotype)
    assert not _equal(first, other)


def test_the_extremes_of_a_space() -> None:
    assert extreme(SPACE, 1) == Genotype((3, 3, 3))
    assert extreme(SPACE, -1) == Genotype((1, 1, 1))


class _KilledError(Exception):
    """What stops a training from outside."""


@pytest.mark.parametrize("sandwich", [0, 1])
def test_a_killed_training_ends_with_the_same_weights(sandwich: int, tmp_path: Path) -> None:
    recipe = replace(RECIPE, sandwich=sandwich)
    whole = train_supernet(SPACE, DATA, recipe)
    file = tmp_path / "net.safetensors"

    def killer(step: int, steps: int, loss: float) -> None:
        assert steps == 15
        assert np.isfinite(loss)
        if step == 8:
            raise _KilledError

    with pytest.raises(_KilledError):
        train_supernet(SPACE, DATA, recipe, file, every=3, progress=killer)
    seen: list[int] = []
    resumed = train_supernet(
        SPACE, DATA, recipe, file, every=3, progress=lambda step, *_: seen.append(step)
    )
    assert seen == list(range(7, 16))
    assert _equal(whole, resumed)
    again = train_supernet(SPACE, DATA, recipe, file, progress=killer)
    assert _equal(whole, again)


def test_a_finished_training_is_kept_where_a_lone_image_is_left_out(tmp_path: Path) -> None:
    odd = replace(DATA, train_images=DATA.train_images[:65], train_labels=DATA.train_labels[:65])
    recipe, file, seen = replace(RECIPE, epochs=2), tmp_path / "net.safetensors", list[int]()

    def progress(step: int, steps: int, loss: float) -> None:
        assert steps == 4
        seen.append(step)

    first = train_supernet(SPACE, odd, recipe, file, progress=progress)
    assert seen == [1, 2, 3, 4]
    again = train_supernet(SPACE, odd, recipe, file, progress=progress)
    assert seen == [1, 2, 3, 4]
    assert _equal(first, again)


def test_training_lowers_the_loss_of_every_network() -> None:
    losses: list[float] = []
    shared = train_supernet(
        SPACE,
        DATA,
        replace(RECIPE, epochs=12, batch=16, learning_rate=0.1),
        progress=lambda step, steps, loss: losses.append(loss),
    )
    assert np.mean(losses[-20:]) < 0.97 * np.mean(losses[:20])
    before = _weights(shared)
    accuracies = [shared.accuracy(genotype, DATA) for genotype in SPACE.all()]
    assert max(accuracies) > 15.0
    assert all(torch.equal(before[name], tensor) for name, tensor in _weights(shared).items())


def test_foreign_and_damaged_checkpoints_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "net.safetensors"
    train_supernet(SPACE, DATA, replace(RECIPE, epochs=1), file)
    with pytest.raises(StoreError, match="belongs to another training"):
        train_supernet(SPACE, DATA, replace(RECIPE, seed=1), file)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(StoreError, match="not a checkpoint, or damaged"):
        train_supernet(SPACE, DATA, replace(RECIPE, epochs=1), file)


def test_a_space_and_a_data_set_that_do_not_fit() -> None:
    with pytest.raises(
        DataError, match=r"images \[3, 8, 8\]; data set shapes32 has 10 and \[3, 32"
    ):
        train_supernet(SPACE, shapes32(train=4, test=2), RECIPE)
    with pytest.raises(DataError, match="sandwich >= 0"):
        OneShotRecipe(sandwich=-1)
    with pytest.raises(DataError, match="growth above 0 up to 1"):
        OneShotRecipe(growth=0.0)


def test_draws_grow_from_the_origin(tmp_path: Path) -> None:
    origin, seen = SPACE.to_json(Genotype((3, 1, 3))), list[set[str]]()
    recipe = replace(RECIPE, epochs=20, growth=0.5, origin=origin, learning_rate=1e-3)
    file = tmp_path / "net.safetensors"

    def look(step: int, *_: float) -> None:
        if step in (1, 100):
            seen.append({n.split("/")[0] for n in load_file(file) if not n.startswith("velocity")})

    train_supernet(SPACE, DATA, recipe, file, every=1, progress=look)
    first = {"layer0_3x3_8x3x3", "layer1_1x1_8x8x1", "layer2_3x3_8x8x3", "classifier_10x8"}
    assert seen[0] == first
    assert len(seen[1]) == 7
