"""IDX files, read in parts and whole, and what is wrong with bad ones; no Spark here."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import made_files
import numpy as np
import pytest

from tfspark_cnn.data import idx
from tfspark_cnn.data.idx import IdxFile, IdxPiece, described, pair_in, read_piece
from tfspark_cnn.errors import CorruptFileError, SourceError

IMAGES = made_files.images(50, 5, 3)
LABELS = np.arange(50) % 10
NO_SPARK: Any = None  # what is refused before any task starts


def files(folder: Path, *, zipped: bool) -> tuple[IdxFile, IdxFile]:
    made_files.write_mnist(folder, IMAGES, LABELS, zipped=zipped)
    images, labels = pair_in(folder, train=True)
    return described(images, dimensions=(3, 4)), described(labels, dimensions=(1,))


def rows_of(piece: IdxPiece) -> tuple[list[bytes], list[int]]:
    batches = list(read_piece(piece))
    columns = [[row for batch in batches for row in batch[name].to_pylist()] for name in ("image", "label")]
    return columns[0], columns[1]


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("batch_bytes", [1, 100, 1 << 20])
def test_a_whole_file_gives_its_values_in_batches_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool, batch_bytes: int
) -> None:
    monkeypatch.setattr(idx, "BATCH_BYTES", batch_bytes)
    images, labels = rows_of(IdxPiece(*files(tmp_path, zipped=zipped), range(50), ()))
    assert images == [row.tobytes() for row in IMAGES]
    assert labels == LABELS.tolist()


def test_a_part_gives_its_rows_alone(tmp_path: Path) -> None:
    pair = files(tmp_path, zipped=False)
    images, labels = rows_of(IdxPiece(*pair, range(20, 33), ()))
    assert images == [row.tobytes() for row in IMAGES[20:33]]
    assert labels == LABELS[20:33].tolist()


def test_classes_of_fashion_have_names(tmp_path: Path) -> None:
    (batch,) = read_piece(IdxPiece(*files(tmp_path, zipped=True), range(50), idx.FASHION_NAMES))
    assert batch["name"].to_pylist()[9:11] == ["Ankle boot", "T-shirt/top"]


def test_both_spellings_of_the_names_are_found_and_test_files_are_others(tmp_path: Path) -> None:
    for name in ("t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte.gz"):
        (tmp_path / name).write_bytes(b"")
    assert [Path(one).name for one in pair_in(tmp_path, train=False)] == [
        "t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte.gz"
    ]  # fmt: skip
    with pytest.raises(SourceError, match=r"expected train-images-idx3-ubyte or .*\.gz in .*, received t10k-images"):
        pair_in(tmp_path, train=True)


@pytest.mark.parametrize("cut", [-7, 3])
def test_a_plain_file_of_another_length_is_refused_with_both_lengths(tmp_path: Path, cut: int) -> None:
    whole = made_files.idx_bytes(IMAGES)
    path = made_files.write(tmp_path / "images", whole[:cut] if cut < 0 else whole + bytes(cut))
    with pytest.raises(CorruptFileError, match=rf"images: expected 766 bytes, .*received {766 + cut}\n.*again"):
        described(path, dimensions=(3, 4))


@pytest.mark.parametrize(("cut", "received"), [(-7, "759"), (3, "at least 767")])
def test_a_zipped_file_of_another_length_is_refused_where_it_is_read(tmp_path: Path, cut: int, received: str) -> None:
    images, labels = files(tmp_path, zipped=True)
    whole = made_files.idx_bytes(IMAGES)
    made_files.write(Path(images.uri), whole[:cut] if cut < 0 else whole + bytes(cut), zipped=True)
    with pytest.raises(CorruptFileError, match=rf"expected 766 bytes, decompressed.*received {received}\n"):
        rows_of(IdxPiece(images, labels, range(50), ()))


def test_a_zipped_file_that_is_cut_or_changed_is_refused(tmp_path: Path) -> None:
    images, labels = files(tmp_path, zipped=True)
    whole = bytearray(Path(images.uri).read_bytes())
    for bad in (whole[:-20], whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:]):
        Path(images.uri).write_bytes(bad)
        with pytest.raises(CorruptFileError, match="images-idx3-ubyte.gz: expected a whole gzip file"):
            rows_of(IdxPiece(images, labels, range(50), ()))


@pytest.mark.parametrize(
    ("head", "received"),
    [(b"", "an empty file"), (b"PK\3\4 zip", "504b0304"), (made_files.idx_bytes(np.zeros(3, np.uint8)), "00000801")],
)
def test_another_magic_number_is_refused(tmp_path: Path, head: bytes, received: str) -> None:
    path = made_files.write(tmp_path / "images", head)
    expected = rf"images: expected the magic number 00000803 or 0804, received {received}\n.*exchanged"
    with pytest.raises(CorruptFileError, match=expected):
        described(path, dimensions=(3, 4))


def test_a_header_that_is_cut_is_refused(tmp_path: Path) -> None:
    path = made_files.write(tmp_path / "images", made_files.idx_bytes(IMAGES)[:9], zipped=True)
    with pytest.raises(CorruptFileError, match="expected a header of 16 bytes, received 9"):
        described(path, dimensions=(3,))


def test_labels_that_are_not_as_many_as_images_are_refused(tmp_path: Path) -> None:
    made_files.write_mnist(tmp_path, IMAGES, LABELS[:40], zipped=True)
    with pytest.raises(SourceError, match=r"50 images in .*images-idx3-ubyte\.gz and 40 labels in .*\n.*belong"):
        idx.mnist(NO_SPARK, tmp_path)


def test_a_folder_where_a_file_belongs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="expected an IDX file at .*, received a folder"):
        idx.idx(NO_SPARK, tmp_path, labels=tmp_path)


def test_a_file_knows_where_its_rows_are_in_a_zipped_file_too(tmp_path: Path) -> None:
    images, labels = files(tmp_path, zipped=True)
    assert (images.shape, images.compressed, images.row_bytes, images.start_of(2)) == ((50, 5, 3), True, 15, 46)
    assert (labels.shape, labels.row_bytes) == ((50,), 1)
    assert len(gzip.decompress(Path(images.uri).read_bytes())) == images.size_bytes
