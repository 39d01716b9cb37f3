"""Training: determinism, learning, and how hard `shapes32` is."""

from __future__ import annotations

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from codesign.errors import DataError
from codesign.nn.datasets import digits, real, shapes32
from codesign.nn.training import Recipe, predictions, seeded, top1, train


def _linear() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def _small_cnn() -> nn.Module:
    layers: list[nn.Module] = []
    for source, out, stride in ((3, 16, 2), (16, 32, 2), (32, 32, 1), (32, 64, 2), (64, 64, 1)):
        conv = nn.Conv2d(source, out, 3, stride, 1, bias=False)
        layers += [conv, nn.BatchNorm2d(out), nn.ReLU()]
    return nn.Sequential(*layers, nn.AvgPool2d(4), nn.Flatten(), nn.Linear(64, 10))


def test_training_learns_and_repeats_itself() -> None:
    data = digits().first(train=600)
    recipe = Recipe(epochs=4, learning_rate=3e-2, move_pixels=1)
    one, two = (train(seeded(_linear, 1), data, recipe) for _ in range(2))
    images, labels = data.test_images, data.test_labels
    assert torch.equal(predictions(one, images), predictions(two, images))
    assert 60.0 < top1(one, images, labels) <= 100.0
    other = train(seeded(_linear, 2), data, recipe)
    assert not torch.equal(predictions(one, images), predictions(other, images))


def test_training_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    train(seeded(_linear, 1), digits().first(train=100), Recipe(epochs=1))
    assert torch.equal(before, torch.random.get_rng_state())


def test_wrong_recipe() -> None:
    with pytest.raises(DataError, match="epochs from 1, batch from 2"):
        Recipe(epochs=0)


def test_a_linear_model_stays_weak_on_shapes() -> None:
    data = shapes32(train=600, test=300)
    model = LogisticRegression(C=0.01, max_iter=200, tol=1e-2)
    model.fit(real(data.train_images).reshape(600, -1), data.train_labels)
    accuracy = model.score(real(data.test_images).reshape(300, -1), data.test_labels)
    assert accuracy < 0.45


@pytest.mark.long
def test_a_small_network_learns_shapes_and_a_linear_one_does_not() -> None:
    data = shapes32()
    linear = LogisticRegression(C=0.01, max_iter=200, tol=1e-2)
    linear.fit(real(data.train_images).reshape(len(data.train_images), -1), data.train_labels)
    flat = real(data.test_images).reshape(len(data.test_images), -1)
    assert linear.score(flat, data.test_labels) < 0.6
    network = train(seeded(_small_cnn, 0), data, Recipe(epochs=9))
    assert top1(network, data.test_images, data.test_labels) > 90.0
