"""`.keras` files are described by their configuration alone."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from tfspark_cnn.cli.keras_file import described
from tfspark_cnn.errors import ConfigError, CorruptFileError


def keras_file(network: Any) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("config.json", json.dumps(network))
    return body.getvalue()


def entry(*shape: int | None, name: str = "image") -> dict[str, Any]:
    return {"class_name": "InputLayer", "config": {"name": name, "batch_shape": [None, *shape]}}


DENSE = {"class_name": "Dense", "config": {"name": "scores", "units": 10}}


@pytest.mark.parametrize(
    ("network", "shape", "layers"),
    [
        ({"config": {"layers": [entry(8, 8, 1), DENSE]}}, (8, 8, 1), ("image", "scores")),
        ({"config": {"layers": [DENSE]}, "build_config": {"input_shape": [None, 4, 4, 3]}}, (4, 4, 3), ("scores",)),
        ({"config": {"layers": [entry(None, None, 3), DENSE]}}, None, ("image", "scores")),
        ({"config": {"units": 3}}, None, ()),
    ],
)
def test_it_tells_the_shape_of_images_and_the_layers(network: Any, shape: Any, layers: Any) -> None:
    found = described(keras_file(network), where="model.keras")
    assert (found.image_shape, found.layers) == (shape, layers)


def test_a_network_with_two_inputs_is_refused() -> None:
    two = {"config": {"layers": [entry(8, 8, 1), entry(4, name="more")]}}
    with pytest.raises(ConfigError, match=r"model.keras: expected a network with one input, received 2"):
        described(keras_file(two), where="model.keras")


@pytest.mark.parametrize(
    "saved",
    [b"", b"\x89HDF\r\n", keras_file({})[:-30], keras_file({}).replace(b"config.j", b"kconfig.")],
    ids=["empty", "hdf5", "cut", "renamed"],  # the bytes hold a time, and so would their own names
)
def test_another_file_and_one_that_is_cut_are_refused(saved: bytes) -> None:
    with pytest.raises(CorruptFileError, match=r"model.keras: expected a network as Keras 3 saves it.*\n.*model.save"):
        described(saved, where="model.keras")
