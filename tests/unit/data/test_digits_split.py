"""The digits, split and laid out for Arrow; no Spark here."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tfspark_cnn import data
from tfspark_cnn.data import digits
from tfspark_cnn.errors import ConfigError


def test_a_fifth_is_held_out_and_no_row_is_lost() -> None:
    train, test = digits.split(test_fraction=0.2)
    assert (len(train.labels), len(test.labels)) == (1437, 360)
    assert (train.images.shape, test.images.shape) == ((1437, 64), (360, 64))


def test_pixels_are_floats_from_0_to_1() -> None:
    train, _ = digits.split()
    assert train.images.dtype == np.float32
    assert (train.images.min(), train.images.max()) == (0.0, 1.0)
    assert train.labels.dtype == np.int64


def test_every_digit_is_held_out_in_proportion() -> None:
    train, test = digits.split(test_fraction=0.2)
    held_out = np.bincount(test.labels) / (np.bincount(train.labels) + np.bincount(test.labels))
    assert np.abs(held_out - 0.2).max() < 0.01


def test_the_same_seed_gives_the_same_rows_and_another_gives_others() -> None:
    first, again, other = (digits.split(seed=seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.images, again.images)
    assert not np.array_equal(first.labels, other.labels)


def test_the_arrow_table_holds_the_same_values_flat() -> None:
    _, test = digits.split()
    table = digits.table(test)
    assert table.schema.field("image").type == pa.list_(pa.float32())
    assert table.schema.field("label").type == pa.int64()
    flat = table["image"].combine_chunks().values
    np.testing.assert_array_equal(np.asarray(flat).reshape(-1, 64), test.images)
    np.testing.assert_array_equal(np.asarray(table["label"]), test.labels)


def test_a_source_is_found_by_name_and_loads_its_function() -> None:
    found = data.source("digits")
    assert (found.image_shape, found.classes) == ((8, 8, 1), 10)
    assert found.load() is digits.digits


@pytest.mark.parametrize(
    ("name", "cure"), [("digit", "did you mean 'digits'"), ("zzz", "use one of: cifar10, .*digits")]
)
def test_an_unknown_source_is_refused_with_a_cure(name: str, cure: str) -> None:
    with pytest.raises(ConfigError, match=cure):
        data.source(name)
