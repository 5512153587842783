"""TFRecord files written and read by what Spark tasks run; no Spark here."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tfspark_cnn.data import tfrecord
from tfspark_cnn.data.example import encoded
from tfspark_cnn.data.record_file import framed
from tfspark_cnn.data.tfrecord import RecordFile, inferred, is_zipped, read_file
from tfspark_cnn.data.tfrecord_writer import Compression, WritePartition, make_folder
from tfspark_cnn.errors import CorruptFileError, SourceError

SCHEMA = pa.schema({"id": pa.int64(), "x": pa.list_(pa.float32())})
ROWS = pa.record_batch({"id": list(range(30)), "x": [[0.5] * (n % 4) for n in range(30)]}, schema=SCHEMA)
NO_SPARK: Any = None


def written(folder: Path, compression: Compression = Compression.NONE) -> str:
    return WritePartition(str(folder), compression).write(3, [ROWS.slice(0, 10), ROWS.slice(10)])[0]


@pytest.mark.parametrize("compression", Compression)
@pytest.mark.parametrize("batch_bytes", [1, 300, 1 << 20])
def test_rows_come_back_from_a_file_in_batches_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: Compression, batch_bytes: int
) -> None:
    monkeypatch.setattr(tfrecord, "BATCH_BYTES", batch_bytes)
    path = written(tmp_path, compression)
    assert Path(path).name == ("part-00003.tfrecord" + (".gz" if compression == "gzip" else ""))
    assert pa.Table.from_batches(read_file(RecordFile(path, SCHEMA))).equals(pa.Table.from_batches([ROWS]))
    assert inferred(path) == SCHEMA


def test_the_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    def broken() -> Any:
        yield ROWS
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        WritePartition(str(tmp_path), Compression.GZIP).write(0, broken())
    assert list(tmp_path.iterdir()) == []
    written(tmp_path)
    written(tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["part-00003.tfrecord"]


def test_the_same_rows_make_the_same_file(tmp_path: Path) -> None:
    first, again = (Path(written(tmp_path, Compression.GZIP)).read_bytes() for _ in range(2))
    assert first == again


def test_rows_and_bytes_are_counted(tmp_path: Path) -> None:
    path, rows, size = WritePartition(str(tmp_path), Compression.NONE).write(0, [ROWS])
    assert (rows, size) == (30, Path(path).stat().st_size)


def test_a_plain_file_that_begins_like_gzip_is_read_as_it_is(tmp_path: Path) -> None:
    data = encoded({"id": np.array([1]), "name": [bytes(0x8B1F - 30)]})
    data = encoded({"id": np.array([1]), "name": [bytes(0x8B1F - 30 + 0x8B1F - len(data))]})
    path = tmp_path / "a.tfrecord"
    path.write_bytes(framed(data))
    assert path.read_bytes()[:2] == b"\x1f\x8b" and not is_zipped(path.read_bytes()[:12])
    assert is_zipped(gzip.compress(b"")[:12])
    (batch,) = read_file(RecordFile(str(path), pa.schema({"id": pa.int64()})))
    assert batch["id"].to_pylist() == [1]


@pytest.mark.parametrize("compression", Compression)
def test_a_bad_checksum_is_refused_with_the_file_and_the_offset(tmp_path: Path, compression: Compression) -> None:
    path = Path(written(tmp_path, compression))
    plain = path.read_bytes() if compression == "none" else gzip.decompress(path.read_bytes())
    offset = 12 + int.from_bytes(plain[:8], "little") + 4
    changed = bytearray(plain)
    changed[offset + 15] ^= 1
    path.write_bytes(changed if compression == "none" else gzip.compress(changed))
    words = (
        rf"part-00003.*, record at byte {offset}: expected \d+ bytes of data with their checksum, .*changed\n.*again"
    )
    with pytest.raises(CorruptFileError, match=words):
        list(read_file(RecordFile(str(path), SCHEMA)))


@pytest.mark.parametrize("compression", Compression)
def test_a_file_that_is_cut_is_refused_by_name(tmp_path: Path, compression: Compression) -> None:
    path = Path(written(tmp_path, compression))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(CorruptFileError, match=r"part-00003.*: expected (\d+ more bytes|a whole gzip file), received"):
        list(read_file(RecordFile(str(path), SCHEMA)))


def test_a_record_that_does_not_fit_is_named_by_its_offset(tmp_path: Path) -> None:
    rows = [encoded({"id": np.array([1])}), encoded({"id": np.array([1, 2])})]
    path = tmp_path / "a"
    path.write_bytes(b"".join(map(framed, rows)))
    offset = len(framed(rows[0]))
    with pytest.raises(CorruptFileError, match=rf"a, record at byte {offset}: feature 'id': expected one value.*\n"):
        list(read_file(RecordFile(str(path), SCHEMA)))
    path.write_bytes(framed(b"no example"))
    with pytest.raises(CorruptFileError, match="record at byte 0: expected a tf.train.Example, received "):
        list(read_file(RecordFile(str(path), SCHEMA)))


def test_folders_without_records_are_refused_before_spark_starts(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"")
    with pytest.raises(SourceError, match=r"expected files ending on \.tfrecord, .* in .*, received none"):
        tfrecord.read_tfrecords(NO_SPARK, tmp_path)
    (tmp_path / "a.tfrecord").write_bytes(b"")
    with pytest.raises(SourceError, match=r"expected records in .*a\.tfrecord"):
        tfrecord.read_tfrecords(NO_SPARK, [tmp_path])


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for place in ("file", "file/folder"):
        with pytest.raises(SourceError, match=r"could not write to .*file.*\n.*all executors may write"):
            make_folder(f"{tmp_path}/{place}", overwrite=place == "file")


def test_a_folder_with_files_is_kept_unless_it_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"")
    with pytest.raises(SourceError, match=r"an empty folder at .*, received 1 entries, as mine\n.*overwrite=True"):
        make_folder(str(tmp_path), overwrite=False)
    make_folder(str(tmp_path), overwrite=True)
    assert list(tmp_path.iterdir()) == []
    make_folder(f"{tmp_path}/a/b", overwrite=True)
    assert (tmp_path / "a/b").is_dir()
