"""The networks as Keras has them, and what the driver knows of them without importing it."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import network_checks
import numpy as np
import pytest

from tfspark_cnn import TFCluster
from tfspark_cnn.networks import APPLICATIONS, NETWORKS

pytestmark = [pytest.mark.timeout(300), pytest.mark.beside]

# Trained weights. The papers': LeNet-5's 60,000 before the output; 0.27, 0.46 and 0.85 million of table 6 in ResNet's;
# 133 and 138 million of table 2 in VGG's. All to the last one as torchvision, Keras and tf-slim have them.
WEIGHTS = {
    "small_cnn": 1_625_866,
    "lenet5": 60_000 + 850,
    "resnet20": 269_722,
    "resnet32": 464_154,
    "resnet56": 853_018,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "vgg11": 132_863_336,
    "vgg16": 138_357_544,
    "mobilenet_v2": 3_504_872,
    "efficientnet_b0": 5_288_548,
}
EAGER = ("resnet18", "resnet32", "resnet34", "resnet50", "resnet56", "vgg11", "vgg16", "efficientnet_b0")
"""They take their steps without a graph, which alone would take a minute; those of the others have all kinds of blocks
but two: bottlenecks and squeeze-and-excitation."""
DECAYS = {"resnet": 1e-4, "vgg": 5e-4, "mobilenet": 4e-5, "efficientnet": 1e-5}


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """What there is to say of each network, from a process of its own."""
    program = Path(network_checks.__file__)
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    ran = subprocess.run([sys.executable, program], capture_output=True, text=True, check=False, env=environment)
    assert ran.returncode == 0, ran.stderr[-3000:]
    networks: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return networks


def test_the_driver_knows_the_networks_and_parameters_that_there_are(found: dict[str, Any]) -> None:
    assert {name: one["parameters"] for name, one in found.items() if name in WEIGHTS} == {
        name: sorted(parameters) for name, parameters in NETWORKS.items()
    }
    assert sorted(APPLICATIONS) == found["keras"]["applications"]


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_network_has_as_many_weights_as_its_paper_says(found: dict[str, Any], name: str) -> None:
    assert found[name]["weights"] == WEIGHTS[name]
    assert found[name].get("theirs", WEIGHTS[name]) == WEIGHTS[name], "and as keras.applications has it"
    assert found[name]["output"] == [None, network_checks.PAPERS[name][1]]
    assert found[name]["dtype"] == "float32"


@pytest.mark.parametrize("name", [name for name in WEIGHTS if name not in ("small_cnn", "lenet5")])
def test_weight_decay_is_the_papers(found: dict[str, Any], name: str) -> None:
    (decay,) = (one for family, one in DECAYS.items() if name.startswith(family))
    layers, factors = found[name]["decayed"]
    assert layers > 10 and factors == [decay / 2], "Keras adds twice its factor to the gradient"


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_network_that_was_saved_is_read_by_keras_alone(found: dict[str, Any], name: str) -> None:
    assert found[name]["kept"]


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("typo", r"ConfigError: .*received 'resnet21'\n.*did you mean 'resnet"),
        ("parameter", r"ConfigError: unknown parameter 'hiden' of network vgg11\n.*did you mean 'hidden'"),
        (
            "value of a parameter",
            r"ConfigError: network small_cnn cannot be made for .* with filters='abc': .*\n.*mend the parameters",
        ),
        ("registered, with a mistake in it", r"TypeError: object of type 'int' has no len"),
        ("parameter of keras", r"ConfigError: unknown parameter 'alfa' of network MobileNet\n.*alpha"),
        ("shape", r"ConfigError: network vgg11 cannot be made for input_shape=\(8, 8, 3\) and classes=4: .*\n.*resize"),
        ("shape of keras", r"ConfigError: network InceptionV3 cannot be made .*32, 3\) and classes=4: .*at least 75"),
        ("two numbers", r"ConfigError: expected input_shape=\(height, width, channels\).*received \(32, 32\)"),
        ("no classes", r"ConfigError: expected .* classes of 1 or more, received .* 0\n"),
        ("own", r"\(None, 4\)"),
        ("own, misspelt", r"ConfigError: the network network_checks:own_netwrok cannot be imported"),
        ("own, elsewhere", r"ConfigError: the network nowhere.nets:shelves cannot be imported.*\n.*--py-files"),
        ("registered", r"\(None, 4\) True"),
        ("registered twice", r"ConfigError: there is a network 'lenet5' already"),
        ("weights", "True"),
        ("no weights", r"ConfigError: there is no file of weights '/nowhere/a.weights.h5'"),
        ("weights of another", r"ConfigError: the weights in '.*' are not those of mobilenet"),
        ("weights of other classes", r"ConfigError: the weights in '.*' are not those of"),
    ],
)
def test_what_is_asked_of_the_register_is_answered(found: dict[str, Any], case: str, words: str) -> None:
    assert re.match(words, found["asked"][case], re.DOTALL), found["asked"][case]


def test_a_learning_rate_rises_and_falls_as_its_schedule_says(found: dict[str, Any]) -> None:
    rates = {name: np.array(values) for name, values in found["supervised"]["rates"].items()}
    cosine = np.clip(0.4 * (1 + np.cos(np.pi * np.arange(42) / 40)), 0, None)
    cosine[40:] = 0
    np.testing.assert_allclose(rates["none"], 0.8)
    np.testing.assert_allclose(rates["cosine"], cosine, atol=1e-6)
    np.testing.assert_allclose(rates["warm-up"], np.minimum(0.08 * np.arange(42), 0.8), atol=1e-6)
    np.testing.assert_allclose(rates["both"][:6], 0.16 * np.arange(6), atol=1e-6)
    assert (np.diff(rates["both"][5:41]) < 0).all() and rates["both"][40] == pytest.approx(0, abs=1e-6)


def test_biases_and_normalisation_do_not_decay_and_losses_are_those_of_the_labels(found: dict[str, Any]) -> None:
    said = found["supervised"]
    assert said["sgd"] == [0.01, 0.9]
    assert (said["decayed"], said["not decayed"]) == (["kernel"], ["beta", "bias", "gamma"])
    assert said["losses"] == ["sparse_categorical_crossentropy"] + ["categorical_crossentropy"] * 2
    assert said["number"] == ["mean_squared_error", 1, "linear"]


@pytest.mark.parametrize(
    "names",
    [
        pytest.param([name for name in NETWORKS if name not in EAGER], id="small"),
        pytest.param([name for name in NETWORKS if name in EAGER], id="large", marks=pytest.mark.more),
    ],
)
def test_every_network_trains_two_steps_on_two_workers(spark, names: list[str]) -> None:
    asked = {"names": names, "eager": EAGER}
    with TFCluster.run(spark, network_checks.two_steps, asked, 2, master_node="chief") as cluster:
        chief, worker = cluster.shutdown()
    assert list(chief) == names
    for name, one in chief.items():
        assert math.isfinite(one["loss"]) and one["moved"] != 0, name
        assert one["sum"] == pytest.approx(worker[name]["sum"], rel=1e-9), f"{name} is the same on both nodes"
        assert one["loss"] == pytest.approx(worker[name]["loss"], rel=1e-6)
