from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from bench.feed import SIZES
from bench.rows import BATCH_BYTES, Generate, Rows, Tuples

KINDS = [pytest.param(rows.with_count(100), id=rows.name) for rows in SIZES]


@pytest.mark.parametrize("rows", KINDS)
def test_every_id_becomes_a_row_with_its_label(rows: Rows):
    ids = [pa.record_batch([list(range(start, start + 40))], names=["id"]) for start in (0, 40)]
    table = pa.Table.from_batches(list(Generate(rows)(ids)))
    assert table.column("label").to_pylist() == [number % 10 for number in range(80)]
    sizes = {len(image) for image in table.column("image").to_pylist()}
    assert rows.jpeg or sizes == {rows.size}


@pytest.mark.parametrize("rows", KINDS)
def test_a_record_batch_has_a_few_mib_at_most(rows: Rows):
    count = 3 * BATCH_BYTES // rows.row_bytes
    batches = list(Generate(rows)([pa.record_batch([list(range(count))], names=["id"])]))
    assert sum(batch.num_rows for batch in batches) == count
    assert max(batch.nbytes for batch in batches) < 2 * BATCH_BYTES


def test_jpeg_files_are_images_of_the_shape():
    rows = next(rows for rows in SIZES if rows.jpeg)
    image = Image.open(io.BytesIO(rows.batch(0, 1).column("image")[0].as_py()))
    assert (image.height, image.width, len(image.getbands())) == rows.shape
    assert 5_000 < rows.row_bytes < 50_000  # as photographs of that size


def test_no_rows_of_no_ids():
    assert list(Generate(SIZES[0])([pa.record_batch([pa.array([], pa.int64())], names=["id"])])) == []


@pytest.mark.parametrize("numpy", [True, False])
def test_rows_of_an_rdd_are_of_the_kind_asked_for(numpy):
    (image, label), _ = Tuples(4, numpy)([3, 14])
    assert label == 3
    assert (image.dtype == np.float32) if numpy else [type(value) for value in image] == [float] * 4
