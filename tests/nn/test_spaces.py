"""Laws that every network space keeps."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.errors import DataError, ModelError
from codesign.nn import Genotype, NetworkSpace, TableAccuracy, load_network_space, space_names
from codesign.nn.graph import Window
from codesign.nn.tables import read_table

SIZES = {
    "nasbench201": 5**6,
    "nbmacro": 3**8,
    "mnasnet": (3 * 2 * 3 * 2) ** 6 * (3 * 2 * 4 * 2),
    "mobilenet8": 8**9,
    "nahas-s1": 3 * (3 * 2) ** 16,
    "nahas-s2": 3 * (3 * 2) ** 15,
    "nahas-s3": 3**7 * 3 * (2 * 3 * 2 * 2) ** 15,
    "alphanet": 27**5,
    "darts": (1 * 3 * 6 * 10 * 7**8) ** 2,
    "naf": 9**21,
}

spaces = st.sampled_from(space_names()).map(load_network_space)
seeds = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("name", space_names())
def test_size_is_the_formulas(name: str) -> None:
    assert load_network_space(name).count() == SIZES[name]


@given(spaces, seeds)
def test_genotypes_survive_their_text(space: NetworkSpace, seed: int) -> None:
    genotype = space.sample(np.random.default_rng(seed))
    space.check(genotype)
    again = space.from_json(space.to_json(genotype))
    assert again == genotype and hash(again) == hash(genotype)


@given(spaces, seeds)
def test_mutants_are_neighbours(space: NetworkSpace, seed: int) -> None:
    rng = np.random.default_rng(seed)
    genotype = space.sample(rng)
    neighbours = list(space.neighbours(genotype))
    assert len(set(neighbours)) == len(neighbours)
    assert len(neighbours) == sum(len(d.options) - 1 for d in space.decisions)
    assert all(_distance(genotype, neighbour) == 1 for neighbour in neighbours)
    assert space.mutate(genotype, rng) in neighbours


@given(spaces, seeds)
def test_children_take_every_choice_from_a_parent(space: NetworkSpace, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = space.sample(rng), space.sample(rng)
    child = space.crossover(a, b, rng)
    space.check(child)
    assert all(c in pair for c, *pair in zip(child.choices, a.choices, b.choices, strict=True))
    assert space.crossover(a, a, rng) == a


@given(spaces, seeds)
def test_equal_names_are_weights_of_equal_shape(space: NetworkSpace, seed: int) -> None:
    rng = np.random.default_rng(seed)
    genotype = space.sample(rng)
    shapes: dict[str, object] = {}
    for network in (genotype, space.mutate(genotype, rng)):
        graph = space.graph(network)
        named = [graph.nodes[i] for i in graph.live() if graph.nodes[i].name]
        assert len({node.name for node in named}) == len(named)
        for node in named:
            shape = (node.kind, node.channels, graph.nodes[node.inputs[0]].channels, node.groups)
            assert shapes.setdefault(node.name, (*shape, node.window.kernel)) == (
                *shape,
                node.window.kernel,
            )


@pytest.mark.parametrize("name", space_names())
def test_malformed_genotypes_are_explained(name: str) -> None:
    space = load_network_space(name)
    with pytest.raises(ModelError, match=f"malformed {name} genotype 'x'"):
        space.from_json("x")
    with pytest.raises(ModelError, match=f"{name} genotype .* has 1 choices; "):
        space.graph(Genotype((0,)))
    wrong: list[Any] = list(space.sample(np.random.default_rng(0)).choices)
    wrong[1] = "wrong"
    second = space.decisions[1]
    with pytest.raises(ModelError, match=f"{second.name} = 'wrong' is not allowed; allowed: "):
        space.to_json(Genotype(tuple(wrong)))


def test_a_folder_of_images_has_as_many_classes_as_are_named() -> None:
    space = load_network_space("nbmacro", "folder:37", 64)
    assert (space.num_classes, space.input_shape) == (37, (3, 64, 64))
    for wrong in ("folder", "folder:", "folder:1", "folder:x"):
        with pytest.raises(ModelError, match=f"'{wrong}': .* give folder:CLASSES .at least 2.,"):
            load_network_space("nbmacro", wrong)


def test_macs_of_nas_bench_macro_are_the_published_ones() -> None:
    space = load_network_space("nbmacro")
    for row in read_table("nbmacro_acc.csv.gz")[::81]:
        layers = space.layers(space.from_json(row["arch"]))
        assert sum(layer.macs * count for layer, count in layers) == int(row["macs"])


def test_parameters_of_accel_nasbench_are_the_published_ones() -> None:
    space = load_network_space("mnasnet", resolution=224)
    for row in read_table("accelnasbench_acc.csv.gz")[::100]:
        parameters = sum(
            p.numel() for p in space.build(space.from_json(row["network"])).parameters()
        )
        assert parameters / 1e6 == pytest.approx(float(row["params_million"]), abs=6e-6)


def test_macs_of_darts_are_those_of_nas_bench_301() -> None:
    space = load_network_space("darts")
    network = (
        "sep_conv_5x5-dil_conv_3x3-12-sep_conv_3x3-avg_pool_3x3-01-sep_conv_5x5-max_pool_3x3-24-"
        "dil_conv_3x3-max_pool_3x3-max_pool_3x3-sep_conv_3x3-01-skip_connect-dil_conv_3x3-02-"
        "skip_connect-avg_pool_3x3-13-sep_conv_5x5-avg_pool_3x3"
    )
    layers = space.layers(space.from_json(network))
    assert sum(layer.macs * count for layer, count in layers) == 491_725_440


@pytest.mark.parametrize(
    ("window", "size", "live"),
    [
        (Window(5, 1, 2), 2, (1, 3)),
        (Window(5, 1, 2), 3, (0, 4)),
        (Window(7, 2, 3), 2, (3, 4)),
        (Window(3, 1, 1), 1, (1, 1)),
        (Window(5, 1, 4, 2), 4, (1, 3)),
    ],
)
def test_taps_on_padding_alone_are_no_work(
    window: Window, size: int, live: tuple[int, int]
) -> None:
    assert window.live_taps(size) == live


def test_mobilenet_v2_is_a_network_of_nahas_s1() -> None:
    space = load_network_space("nahas-s1", resolution=224)
    network = space.build(space.from_json("-".join(["3", *["3-6"] * 16])))
    assert sum(p.numel() for p in network.parameters()) == 3_504_872


def test_tables_know_their_networks() -> None:
    space = load_network_space("nbmacro")
    macro = TableAccuracy("nbmacro")
    names = [space.to_json(genotype) for genotype in space.all()]
    values = macro.lookup(names)
    assert (macro.dataset, macro.split) == ("cifar10", "test")
    assert float(values.max()) == pytest.approx(93.13, abs=0.005)
    assert np.isfinite(macro.spread(names)).all()
    mnasnet = TableAccuracy("mnasnet")
    assert len(mnasnet.networks()) == 5125
    assert mnasnet.lookup(mnasnet.networks()).max() < 75
    top5 = TableAccuracy("mnasnet", split="top5").lookup(mnasnet.networks())
    assert (top5 > mnasnet.lookup(mnasnet.networks())).all()
    with pytest.raises(DataError, match="accuracy table mnasnet imagenet top1 has no network 'x'"):
        mnasnet.lookup(["x"])
    with pytest.raises(DataError, match="no accuracy table 'mnasnet cifar10'"):
        TableAccuracy("mnasnet", "cifar10")


def _distance(a: Genotype, b: Genotype) -> int:
    return sum(x != y for x, y in zip(a.choices, b.choices, strict=True))
