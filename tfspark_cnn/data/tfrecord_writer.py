"""Writes DataFrames as TFRecord files: a file for each partition, there whole or not at all.

Example:
    >>> [file.rows for file in write_tfrecords(df.repartition(2), "/data/digits")]
    [719, 718]
"""

from __future__ import annotations

import contextlib
import gzip
import itertools
import os
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.fs as pafs

from tfspark_cnn.data import storage
from tfspark_cnn.data.example_columns import WrongFeature, check_schema, encoded_rows
from tfspark_cnn.data.record_file import framed
from tfspark_cnn.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_WRITTEN = "path string, rows bigint, bytes bigint"
_CURE = "pass a folder that the driver and all executors may write to"


class Compression(StrEnum):
    """How files are compressed as a whole, as `tf.data.TFRecordDataset(compression_type=...)` has it in capitals."""

    NONE = "none"
    GZIP = "gzip"


@dataclass(frozen=True)
class WrittenFile:
    """A file that was written, with its rows, and its size in bytes before compression."""

    path: str
    rows: int
    bytes: int


def write_tfrecords(
    frame: DataFrame,
    folder: str | os.PathLike[str],
    *,
    compression: str = Compression.NONE,
    overwrite: bool = False,
) -> tuple[WrittenFile, ...]:
    """Writes the rows of a DataFrame into a folder, and gives the files; a partition without rows has none.

    Args:
        frame: its columns are those of `example_columns`.
        folder: made if it is not there.
        compression: `none` or `gzip`.
        overwrite: whether files that are in the folder are removed before; else it must be empty.

    Raises:
        ConfigError: a column cannot be a feature, or the compression is unknown.
        SourceError: the folder has files, or cannot be written to.
    """
    from pyspark.sql.pandas.types import to_arrow_schema

    check_schema(to_arrow_schema(frame.schema))
    if compression not in set(Compression):
        raise ConfigError(
            f"expected a compression of {', '.join(Compression)}, received {compression!r}", hint="pass 'gzip'"
        )
    root = os.fspath(folder).rstrip("/")
    make_folder(root, overwrite=overwrite)
    written = frame.mapInArrow(WritePartition(root, Compression(compression)), _WRITTEN).collect()
    return tuple(sorted((WrittenFile(*row) for row in written), key=lambda file: file.path))


def make_folder(root: str, *, overwrite: bool) -> None:
    """Makes the folder, and refuses one with files in it, or removes them.

    Raises:
        SourceError: it has files, or cannot be written to.
    """
    system, path = storage.located(root)
    with storage.translated(root, doing="write to", hint=_CURE):
        if overwrite and system.get_file_info(path).type == pafs.FileType.Directory:
            system.delete_dir_contents(path)
        system.create_dir(path, recursive=True)
        inside = [one.base_name for one in system.get_file_info(pafs.FileSelector(path))]
        if inside:
            raise SourceError(
                f"expected an empty folder at {root}, received {len(inside)} entries, as {min(inside)}",
                hint="pass overwrite=True to remove them, or another folder",
            )
        with system.open_output_stream(f"{path}/.probe") as probe:
            probe.write(b"")
        system.delete_file(f"{path}/.probe")


@dataclass(frozen=True)
class WritePartition:
    """Writes a partition into a file; what a Spark task runs.

    The file appears under its name when it is whole, so a task that is tried again, or runs twice, replaces it.

    Attributes:
        root: the folder.
        compression: of the file.
    """

    root: str
    compression: Compression

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Gives the path, rows and bytes of the file, if there are rows."""
        from pyspark import TaskContext

        task = TaskContext.get()
        number = 0 if task is None else task.partitionId()
        filled = (batch for batch in batches if batch.num_rows)
        if (first := next(filled, None)) is not None:
            path, rows, size = self.write(number, itertools.chain([first], filled))
            yield pa.record_batch({"path": [path], "rows": [rows], "bytes": [size]})

    def write(self, number: int, batches: Iterable[pa.RecordBatch]) -> tuple[str, int, int]:
        """Writes the rows of a partition; gives the path, the rows, and the bytes before compression.

        Raises:
            SourceError: that is not possible.
        """
        name = f"part-{number:05d}.tfrecord{'.gz' if self.compression is Compression.GZIP else ''}"
        hidden = f".{name}.{secrets.token_hex(4)}"
        system, path = storage.located(self.root)
        final = f"{self.root}/{name}"
        with storage.translated(final, doing="write", hint=_CURE):
            try:
                with self._stream(system, f"{path}/{hidden}") as stream:
                    rows, size = _write_all(batches, stream, where=final)
                system.move(f"{path}/{hidden}", f"{path}/{name}")
            except BaseException:
                with contextlib.suppress(OSError):
                    system.delete_file(f"{path}/{hidden}")
                raise
        return final, rows, size

    @contextlib.contextmanager
    def _stream(self, system: Any, path: str) -> Iterator[Any]:
        with system.open_output_stream(path, compression=None) as raw:
            if self.compression is Compression.NONE:
                yield raw
                return
            with gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0, compresslevel=6) as zipped:
                yield zipped


def _write_all(batches: Iterable[pa.RecordBatch], stream: Any, *, where: str) -> tuple[int, int]:
    rows = size = 0
    for batch in batches:
        try:
            encoded = encoded_rows(batch)
        except WrongFeature as error:
            raise SourceError(f"could not write {where}: {error}", hint="leave nulls out of arrays") from error
        whole = b"".join(map(framed, encoded))
        stream.write(whole)
        rows, size = rows + batch.num_rows, size + len(whole)
    return rows, size
