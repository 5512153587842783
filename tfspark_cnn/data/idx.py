"""MNIST, Fashion-MNIST and whatever else is in pairs of IDX files, plain or gzip.

The format: two zero bytes, the type (8: unsigned bytes), the number of dimensions, each dimension as 4 bytes, most
significant first, then the values, row-major (Y. LeCun, C. Cortes and C. Burges, The MNIST database, 1998).

Rows are `image binary` (`height * width` bytes, row-major), `label bigint`, and `name string` where classes have names.
Plain files are read in parts by several tasks, gzip files by one. A header that is wrong, a plain file of another
length than its header says, and labels that are not as many as images are found before.

Example:
    >>> train = mnist(spark, "/data/mnist")
    >>> train.count()
    60000
    >>> column = Column("image", shape=(28, 28, 1), scale=1 / 255)
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from tfspark_cnn.data import storage
from tfspark_cnn.data.pieces import BATCH_BYTES, PIECE_BYTES, frame_of, image_batch, image_schema, ranges
from tfspark_cnn.errors import CorruptFileError, SourceError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Path = str | os.PathLike[str]

FASHION_NAMES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
"""Of the classes of Fashion-MNIST (Xiao, Rasul and Vollgraf, arXiv:1708.07747)."""

_UNSIGNED_BYTES = 8


@dataclass(frozen=True)
class IdxFile:
    """An IDX file of unsigned bytes, as its header has it.

    Attributes:
        uri: where it is.
        shape: of all its values; the first is the number of rows.
        compressed: whether it is a gzip file, and can only be read from its beginning.
    """

    uri: str
    shape: tuple[int, ...]
    compressed: bool

    @property
    def row_bytes(self) -> int:
        """Of one image, or one label."""
        return math.prod(self.shape[1:])

    @property
    def size_bytes(self) -> int:
        """What the header and the values take, decompressed."""
        return self.start_of(self.shape[0])

    def start_of(self, row: int) -> int:
        """Gives the offset of a row in bytes."""
        return 4 + 4 * len(self.shape) + row * self.row_bytes


@dataclass(frozen=True)
class IdxPiece:
    """Rows of two files that one task reads."""

    images: IdxFile
    labels: IdxFile
    rows: range
    names: tuple[str, ...]


def mnist(spark: SparkSession, folder: Path, *, train: bool = True, partitions: int | None = None) -> DataFrame:
    """Gives MNIST, 28x28 grey images of handwritten digits, from the four files as they are distributed.

    Args:
        spark: the session that the DataFrame belongs to.
        folder: with `train-images-idx3-ubyte` and so on, each plain or with `.gz`.
        train: whether the training rows, or the test rows.
        partitions: of the DataFrame, where the files are plain; None: by their size.

    Raises:
        SourceError: files are missing, or do not belong together.
        CorruptFileError: one is cut, changed, or no IDX file.
    """
    images, labels = pair_in(folder, train=train)
    return idx(spark, images, labels=labels, partitions=partitions)


def fashion_mnist(spark: SparkSession, folder: Path, *, train: bool = True, partitions: int | None = None) -> DataFrame:
    """Gives Fashion-MNIST, 28x28 grey images of clothes, with `name` of each class; otherwise as `mnist`."""
    images, labels = pair_in(folder, train=train)
    return idx(spark, images, labels=labels, partitions=partitions, names=FASHION_NAMES)


def idx(
    spark: SparkSession, images: Path, *, labels: Path, partitions: int | None = None, names: Sequence[str] = ()
) -> DataFrame:
    """Gives the images and labels of two IDX files.

    Args:
        spark: the session that the DataFrame belongs to.
        images: unsigned bytes of 3 dimensions (rows, height, width), or 4 with channels last.
        labels: unsigned bytes of one dimension.
        partitions: of the DataFrame, where both are plain; None: by their size.
        names: of the classes, for column `name`; it is left out without.

    Raises:
        SourceError: one cannot be read, or they do not belong together.
        CorruptFileError: one is cut, changed, or no such IDX file.
    """
    pixels, classes = described(images, dimensions=(3, 4)), described(labels, dimensions=(1,))
    rows = pixels.shape[0]
    if rows != classes.shape[0]:
        raise SourceError(
            f"expected a label for each image, received {rows} images in {pixels.uri} and {classes.shape[0]} labels in "
            f"{classes.uri}",
            hint="pass the labels that belong to these images, both of training or both of test",
        )
    wanted = partitions or math.ceil(pixels.size_bytes / PIECE_BYTES)
    divided = ranges(rows, 1 if pixels.compressed or classes.compressed else wanted)
    parts = [IdxPiece(pixels, classes, part, tuple(names)) for part in divided]
    return frame_of(spark, read_piece, parts, image_schema(["label"], names))


def pair_in(folder: Path, *, train: bool) -> tuple[str, str]:
    """Gives the paths of the images and the labels in a folder.

    Raises:
        SourceError: one of them is not there.
    """
    there = {one.name: one.uri for one in storage.files_at(folder)}
    prefix = "train" if train else "t10k"
    found = []
    for kind in ("images-idx3", "labels-idx1"):
        names = [f"{prefix}-{each}-ubyte{end}" for each in (kind, kind.replace("-", ".")) for end in ("", ".gz")]
        at = next((there[name] for name in names if name in there), None)
        if at is None:
            received = ", ".join(sorted(there)) or "no file"
            raise SourceError(
                f"expected {names[0]} or {names[1]} in {folder}, received {received}",
                hint="put the files there as they were downloaded, or pass their paths to idx(...)",
            )
        found.append(at)
    return found[0], found[1]


def described(uri: Path, *, dimensions: tuple[int, ...]) -> IdxFile:
    """Reads the header of a file, and checks the length of a plain one.

    Args:
        uri: of the file.
        dimensions: how many there may be.

    Raises:
        CorruptFileError: the header is no such one, or the length another.
        SourceError: it cannot be read.
    """
    file = _one_file(os.fspath(uri))
    with storage.opened(file.uri) as stream:
        shape = shape_of(stream.read(4 + 4 * max(dimensions)), dimensions=dimensions, where=file.uri)
    found = IdxFile(file.uri, shape, stream.compressed)
    if not found.compressed and file.size_bytes != found.size_bytes:
        raise _cut(found, file.size_bytes)
    return found


def shape_of(head: bytes, *, dimensions: tuple[int, ...], where: str) -> tuple[int, ...]:
    """Gives the dimensions in the first bytes of an IDX file.

    Raises:
        CorruptFileError: they are none of such a file.
    """
    count = head[3] if len(head) > 3 else 0
    if head[:3] != bytes([0, 0, _UNSIGNED_BYTES]) or count not in dimensions:
        expected = " or ".join(f"{_UNSIGNED_BYTES:02d}{number:02d}" for number in dimensions)
        hint = "see that images and labels are not exchanged, and that the file is IDX of unsigned bytes"
        received = f"{head[:4].hex() or 'an empty file'}"
        raise CorruptFileError(f"{where}: expected the magic number 0000{expected}, received {received}", hint=hint)
    if len(head) < 4 + 4 * count:
        raise CorruptFileError(
            f"{where}: expected a header of {4 + 4 * count} bytes, received {len(head)}", hint=storage.COPY_AGAIN
        )
    return tuple(np.frombuffer(head, ">u4", count=count, offset=4).tolist())


def read_piece(piece: IdxPiece) -> Iterator[pa.RecordBatch]:
    """Gives the rows of a piece; in a Spark task.

    Raises:
        CorruptFileError: a file is cut or changed.
    """
    images, labels, rows = piece.images, piece.labels, piece.rows
    step = max(1, BATCH_BYTES // max(1, images.row_bytes))
    with storage.opened(images.uri) as pixels, storage.opened(labels.uri) as classes:
        for stream, file in ((pixels, images), (classes, labels)):
            stream.seek(file.start_of(rows.start))
        for start in range(rows.start, rows.stop, step):
            count = min(step, rows.stop - start)
            batch = np.frombuffer(_exactly(pixels, images, start, count), np.uint8).reshape(count, images.row_bytes)
            label = np.frombuffer(_exactly(classes, labels, start, count), np.uint8)
            yield image_batch(batch, {"label": label}, names=piece.names, where=labels.uri)
        if rows.stop == images.shape[0]:
            _check_end(pixels, images)
            _check_end(classes, labels)


def _one_file(uri: str) -> storage.DataFile:
    for file in storage.files_at(uri):
        if file.uri == uri:
            return file
    raise SourceError(f"expected an IDX file at {uri}, received a folder", hint="pass the file, or use mnist(...)")


def _exactly(stream: storage.Readable, file: IdxFile, start: int, rows: int) -> bytes:
    wanted = rows * file.row_bytes
    received = stream.read(wanted)
    if len(received) != wanted:
        raise _cut(file, file.start_of(start) + len(received))
    return received


def _check_end(stream: storage.Readable, file: IdxFile) -> None:
    """Reads on to the end, where gzip has its checksum."""
    more = len(stream.read(1))
    if more:
        raise _cut(file, file.size_bytes + more, more="at least ")


def _cut(file: IdxFile, received_bytes: int, *, more: str = "") -> CorruptFileError:
    unit = "bytes, decompressed" if file.compressed else "bytes"
    return CorruptFileError(
        f"{file.uri}: expected {file.size_bytes} {unit}, for shape {file.shape}, received {more}{received_bytes}",
        hint=storage.COPY_AGAIN,
    )
