"""Sources of the command line that are in a folder: their shapes, names and places; no Spark here."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tfspark_cnn import data
from tfspark_cnn.data import in_folder, labelled_folder
from tfspark_cnn.data.cifar_batches import CIFAR10, CIFAR100
from tfspark_cnn.data.idx import FASHION_NAMES
from tfspark_cnn.errors import ConfigError


def test_each_source_in_a_folder_has_its_own_function_and_as_many_classes_as_names() -> None:
    names = {
        "mnist": "0123456789",
        "fashion_mnist": FASHION_NAMES,
        "cifar10": CIFAR10.names,
        "cifar100": CIFAR100.names,
    }
    for name, classes in names.items():
        found = data.source(name)
        assert found.load() is getattr(in_folder, name) and found.classes == len(classes)
    assert {*data.names()} == {"digits", "image_folder", *names}


def test_files_of_images_are_brought_to_one_size_and_tell_their_classes_themselves() -> None:
    found = data.source("image_folder")
    assert found.load() is labelled_folder.labelled
    assert (found.sized(96).image_shape, found.classes, found.encoding) == ((96, 96, 3), 0, "jpeg")
    assert data.source("mnist").sized(96).image_shape == (28, 28, 1), "others have their own"


def test_bytes_become_numbers_from_0_to_1() -> None:
    batch = pa.record_batch({"image": [b"\0\xff\x33", b"\1\2\3"], "label": [4, 5]})
    (rows,) = in_folder.ScaleBytes()([batch, batch.slice(2)])
    assert rows.schema == pa.schema({"image": pa.list_(pa.float32()), "label": pa.int64()})
    expected = np.array([[0, 1, 0.2], [1 / 255, 2 / 255, 3 / 255]], np.float32)
    np.testing.assert_array_equal(np.array(rows["image"].to_pylist(), np.float32), expected)
    assert in_folder.ScaleBytes().scaled(batch.slice(1))["image"].to_pylist() == [expected[1].tolist()]


def test_a_source_in_a_folder_needs_one_and_a_bundled_one_has_none() -> None:
    assert data.source("mnist").place("/data") == {"folder": "/data"}
    assert data.source("digits").place("") == {}
    with pytest.raises(ConfigError, match="expected a folder with the files of cifar10, received none\n.*data.dir"):
        data.source("cifar10").place("")
    with pytest.raises(ConfigError, match="expected no data.dir for digits, which is bundled, received '/data'"):
        data.source("digits").place("/data")
