"""Pixels as Arrow columns, and the pieces that tasks read."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfspark_cnn.data.pieces import ReadPieces, image_batch, image_schema, ranges
from tfspark_cnn.errors import CorruptFileError


@given(st.integers(0, 1000), st.integers(1, 50))
def test_ranges_hold_each_row_once_and_differ_by_one_at_most(rows: int, pieces: int) -> None:
    found = ranges(rows, pieces)
    assert [row for part in found for row in part] == list(range(rows))
    sizes = [len(part) for part in found]
    assert max(sizes) - min(sizes) <= 1 and len(found) <= pieces and (min(sizes) > 0 or rows == 0)


def test_pixels_become_a_binary_column_without_a_copy() -> None:
    images = np.arange(12, dtype=np.uint8).reshape(3, 4)
    batch = image_batch(images, {"label": np.array([2, 0, 1], np.uint8)}, names=("a", "b", "c"), where="x")
    assert batch.schema == pa.schema({"image": pa.binary(), "label": pa.int64(), "name": pa.string()})
    assert batch["image"].to_pylist() == [bytes(row) for row in images]
    assert batch["name"].to_pylist() == ["c", "a", "b"]
    assert batch["image"].buffers()[2].address == images.ctypes.data
    batch.validate(full=True)


def test_images_without_pixels_and_no_images_are_columns_too() -> None:
    for shape in ((3, 0), (0, 4), (0, 0)):
        batch = image_batch(np.empty(shape, np.uint8), {"label": np.zeros(shape[0], np.uint8)}, names=(), where="x")
        batch.validate(full=True)
        assert batch.num_rows == shape[0]


def test_a_label_without_a_name_is_refused() -> None:
    with pytest.raises(CorruptFileError, match="labels.gz: expected labels from 0 to 1, received 2"):
        image_batch(np.zeros((1, 1), np.uint8), {"label": np.array([2])}, names=("a", "b"), where="labels.gz")


def test_the_schema_is_that_of_the_batches() -> None:
    assert image_schema(["coarse_label", "label"], ("a",)) == (
        "image binary, coarse_label bigint, label bigint, name string"
    )


def test_a_task_reads_the_pieces_that_its_rows_number() -> None:
    read = ReadPieces(lambda piece: iter([pa.record_batch({"x": [piece]})]), ("a", "b", "c"))
    batches = [pa.record_batch({"id": [2]}), pa.record_batch({"id": [0, 1]})]
    assert [row for batch in read(batches) for row in batch["x"].to_pylist()] == ["c", "a", "b"]
