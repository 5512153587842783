"""CIFAR-10 and CIFAR-100, 32x32 colour images: the binary version and the Python version, as archive or unpacked.

A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009; https://www.cs.toronto.edu/~kriz/cifar.html
has both versions as .tar.gz. All five files of CIFAR-10's training rows must be there; one file by its own path may be
read alone.

Rows are `image binary` (3,072 bytes: height, width, channels, row-major; the files have channels first), `label bigint`
and `name string`, and for CIFAR-100 `coarse_label bigint` before `label`, its superclass. An archive is read by one
task, an unpacked folder by one a file. Pickles are read without running what they ask for.

Example:
    >>> train = cifar10(spark, "/data/cifar-10-python.tar.gz")
    >>> test = cifar10(spark, "/data/cifar-10-batches-bin", train=False)
    >>> column = Column("image", shape=(32, 32, 3), scale=1 / 255)
"""

from __future__ import annotations

import contextlib
import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import IO, TYPE_CHECKING, cast

import pyarrow as pa

from tfspark_cnn.data import storage
from tfspark_cnn.data.cifar_batches import CIFAR10, CIFAR100, Kind, Rows, binary_rows, pickled_rows
from tfspark_cnn.data.pieces import frame_of, image_batch, image_schema
from tfspark_cnn.errors import CorruptFileError, SourceError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Path = str | os.PathLike[str]

_REST_BYTES = 1 << 20


@dataclass(frozen=True)
class CifarFile:
    """A file that one task reads: an archive, or one of what is in it."""

    uri: str
    kind: Kind
    train: bool


def cifar10(spark: SparkSession, path: Path, *, train: bool = True) -> DataFrame:
    """Gives the rows of CIFAR-10.

    Args:
        spark: the session that the DataFrame belongs to.
        path: an archive, plain or gzip, of the binary or the Python version; a folder with an archive under its own
            name; the folder that was in it; or one file of that folder.
        train: whether the training rows, or the test rows.

    Raises:
        SourceError: nothing of the kind is there, or not all, or it is there twice; of an archive when it is read.
    """
    return _frame(spark, path, CIFAR10, train=train)


def cifar100(spark: SparkSession, path: Path, *, train: bool = True) -> DataFrame:
    """Gives the rows of CIFAR-100, `label` and `name` being the fine ones; otherwise as `cifar10`."""
    return _frame(spark, path, CIFAR100, train=train)


def read_file(file: CifarFile) -> Iterator[pa.RecordBatch]:
    """Gives the rows of a file; in a Spark task.

    Raises:
        CorruptFileError: it is cut, changed, or of another format, or files are missing in an archive.
    """
    to_batch = partial(image_batch, names=file.kind.names, where=file.uri)
    with storage.opened(file.uri) as stream:
        if file.kind.holds(storage.DataFile(file.uri, 0).name, train=file.train):
            yield from (to_batch(*rows) for rows in _rows(stream, file.uri, file.kind))
        else:
            yield from (to_batch(*rows) for rows in _archived(cast(IO[bytes], stream), file))
        while stream.read(_REST_BYTES):  # gzip has its checksum at the end
            pass


def _frame(spark: SparkSession, path: Path, kind: Kind, *, train: bool) -> DataFrame:
    files = [CifarFile(uri, kind, train) for uri in _files(os.fspath(path), kind, train=train)]
    return frame_of(spark, read_file, files, image_schema(kind.labels, kind.names))


def _files(path: str, kind: Kind, *, train: bool) -> list[str]:
    found = storage.files_at(path)
    if [one.uri for one in found] == [path]:
        return [path]
    batches = [one.uri for one in found if kind.holds(one.name, train=train)]
    batches = batches or [one.uri for one in found if kind.is_archive(one.name)][:1]  # both versions have the same rows
    if not batches:
        received = ", ".join(one.name for one in found) or "no file"
        raise SourceError(
            f"expected files of {kind.name} as {kind.example(train=train)} in {path}, received {received}",
            hint="pass the archive itself, its folder, or the folder that was in it",
        )
    faults = kind.faults((one.name for one in found), train=train)
    if faults:
        raise SourceError(
            f"expected each file of {kind.name} once in {path}, received {faults}",
            hint="copy what is missing into the folder, take out other versions, or pass the path of one file",
        )
    return batches


def _archived(stream: IO[bytes], file: CifarFile) -> Iterator[Rows]:
    seen: list[str] = []
    with _translated(file.uri), tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            name = member.name.rpartition("/")[2]
            seen.append(name)
            body = archive.extractfile(member) if file.kind.holds(name, train=file.train) else None
            if body is not None:
                yield from _rows(body, f"{file.uri}, {member.name}", file.kind)
    if not any(file.kind.holds(name, train=file.train) for name in seen):
        raise SourceError(
            f"expected files of {file.kind.name} as {file.kind.example(train=file.train)} in {file.uri}, "
            f"received {', '.join(seen) or 'an empty archive'}",
            hint="see that it is the archive of this data set",
        )
    faults = file.kind.faults(seen, train=file.train)
    if faults:  # tarfile takes an archive that is cut between two of its files for a whole one
        raise CorruptFileError(
            f"{file.uri}: expected each file of {file.kind.name} once, received {faults}", hint=storage.COPY_AGAIN
        )


def _rows(stream: storage.Readable, where: str, kind: Kind) -> Iterator[Rows]:
    is_binary = re.search(r"\.bin(\.gz)?$", where)
    return binary_rows(stream, kind, where=where) if is_binary else pickled_rows(stream.read(), kind, where=where)


@contextlib.contextmanager
def _translated(uri: str) -> Iterator[None]:
    try:
        yield
    except tarfile.TarError as error:
        raise CorruptFileError(
            f"{uri}: expected a whole tar archive, received: {error}", hint=storage.COPY_AGAIN
        ) from error
