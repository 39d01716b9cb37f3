"""A search that trains hands its winner over with the weights it was judged by."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from codesign.nn import registry
from codesign.nn.datasets import digits, real
from codesign.nn.graph import GraphBuilder, Tensor
from codesign.nn.space import Decision, NetworkSpace
from codesign.search import AccuracyChoice, HardwareChoice, NetworkChoice, Problem, search


@dataclass(frozen=True)
class Small(NetworkSpace):
    """Two networks of one convolution."""

    dataset: str = "digits"

    @property
    def name(self) -> str:
        return "small"

    @property
    def decisions(self) -> tuple[Decision, ...]:
        return (Decision("channels", (8, 16)),)

    def network(self, builder: GraphBuilder, x: int, choices: tuple[Any, ...]) -> Tensor:
        y = builder.relu(builder.conv(x, choices[0], "layer", kernel=3, stride=2, padding=1))
        return builder.dense(builder.global_pool(y), self.num_classes, "classifier")


@pytest.mark.parametrize(
    ("source", "strategy", "words"),
    [
        ("train", "nahas-ppo", "trained here, 3 epochs, seed 0, on digits"),
        ("supernet", "nahas-reinforce", "inherited from the supernet trained here, 3 epochs"),
    ],
)
def test_the_winner_has_the_weights_that_were_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: Any, strategy: str, words: str
) -> None:
    monkeypatch.setitem(registry._SPACES, "small", Small)
    problem = Problem(
        NetworkChoice("small", "digits"),
        HardwareChoice(configs=("pynq", "neuhardco:16x16_256k_os")),
        AccuracyChoice(source, epochs=3),
        strategy=strategy,
        budget=3,
    )
    study = search(problem, store=tmp_path / "run.db")
    proof = study.certificate["proof"]
    assert proof["weights"].startswith(words)
    assert proof["outputs_match"] and proof["inputs"] == 10
    assert study.certificate["cycles"]["package_equals_t2"]
    # The float network in the file answers on the unseen images as the certificate says.
    data = digits()
    session = onnxruntime.InferenceSession(study.folder / "winner.onnx")
    images = real(data.test_images)
    answers = [session.run(None, {"x": image[None]})[0].argmax() for image in images]
    top1 = 100 * float(np.mean(np.array(answers) == data.test_labels))
    tested = study.certificate["accuracy"]["tested"]
    assert tested["accuracy"] == pytest.approx(top1, abs=0.5)
    assert tested["judged"] == f"test, {len(images)} images"
    assert study.certificate["accuracy"]["split"].startswith("validation")
