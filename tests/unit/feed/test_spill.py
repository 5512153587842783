"""Rows on disk: the same rows, memory given back, nothing left, and an error in words when the disk is full."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tfspark_cnn.errors import FeedError
from tfspark_cnn.feed.cache import ColumnReader, FeedStore
from tfspark_cnn.feed.schema import resolve
from tfspark_cnn.feed.spill import Chunk, Spill

SCHEMA = pa.schema([("row", pa.int64()), ("image", pa.list_(pa.float32()))])


def batch_of(start: int, stop: int) -> pa.RecordBatch:
    images = [[float(row)] * 16 for row in range(start, stop)]
    return pa.record_batch([list(range(start, stop)), pa.array(images, SCHEMA.types[1])], schema=SCHEMA)


def test_moved_batches_are_equal_and_no_longer_in_memory(tmp_path: Path) -> None:
    batches = [batch_of(start, start + 100) for start in range(0, 1000, 100)]
    chunks = [Chunk.of(batch) for batch in batches]
    before = pa.total_allocated_bytes()
    spill = Spill(str(tmp_path), segment_bytes=20_000)
    for chunk in chunks:
        spill.move(chunk)
    assert [chunk.batch.equals(batch) for chunk, batch in zip(chunks, batches, strict=True)] == [True] * 10
    moved = [chunk.on_disk for chunk in chunks]
    assert moved[:6] == [True] * 6, "full segments are mapped"
    del batches
    assert pa.total_allocated_bytes() < before
    spill.close()


def test_its_files_have_no_name(tmp_path: Path) -> None:
    spill = Spill(str(tmp_path), segment_bytes=1000)
    for start in range(0, 100, 10):
        spill.move(Chunk.of(batch_of(start, start + 10)))
    assert spill.written_bytes > 5000
    assert os.listdir(tmp_path) == []
    spill.close()


def test_a_full_disk_names_directory_amount_and_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spill = Spill(str(tmp_path), segment_bytes=1000)
    spill.move(Chunk.of(batch_of(0, 100)))

    def full(self: Spill, message: pa.Buffer) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Spill, "_write", full)
    with pytest.raises(FeedError, match=rf"in {tmp_path}, failed after \d+ MiB: .*No space left") as caught:
        spill.move(Chunk.of(batch_of(0, 100)))
    assert "spark.local.dir" in (caught.value.hint or "") and "cache_bytes" in (caught.value.hint or "")
    spill.close()


def test_a_directory_that_is_gone_is_the_same_error(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="failed after 0 MiB"):
        Spill(str(tmp_path / "gone")).move(Chunk.of(batch_of(0, 1)))


@pytest.mark.parametrize("memory_bytes", [0, 3000, 1 << 30])
def test_a_reader_sees_the_same_rows_wherever_they_are(tmp_path: Path, memory_bytes: int) -> None:
    spill = Spill(str(tmp_path), segment_bytes=4000)
    store = FeedStore(lambda *_: None, spill=spill, memory_bytes=memory_bytes)
    reader = ColumnReader(store, [resolve(SCHEMA, "row")])
    for start in range(0, 500, 50):
        store.accept(0, start, batch_of(start, start + 50))
        assert reader.range(start, start + 50)[0].tolist() == list(range(start, start + 50))
    store.commit(0, 500)
    store.close(1, 500)
    order = np.random.default_rng(0).permutation(500)
    assert reader.take(order)[0].tolist() == order.tolist()
    assert store.spilled == (memory_bytes < 1 << 30)
    spill.close()
