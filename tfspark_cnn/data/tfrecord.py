"""TFRecord files of `tf.train.Example`, plain or gzip, as DataFrames and from DataFrames; without TensorFlow or a jar.

Which column is which feature stands in `example_columns`. A file is read by one task, in its order, and every record's
checksums are looked at; a partition is written by one task into one file. Paths are those of `storage`.

Example:
    >>> write_tfrecords(df, "hdfs://host/digits", compression="gzip")
    (WrittenFile(path='hdfs://host/digits/part-00000.tfrecord.gz', rows=1437, bytes=148230),)
    >>> again = read_tfrecords(spark, "hdfs://host/digits", schema="image array<float>, label bigint")

    On nodes of `InputMode.TENSORFLOW`, each its own files:

    >>> files = share_of(files_at("/data/digits", suffixes=SUFFIXES), ctx.worker_num, ctx.num_workers)
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from tfspark_cnn.data import storage
from tfspark_cnn.data.example import Feature, NotAnExample, decoded
from tfspark_cnn.data.example_columns import WrongFeature, batch_of, check_schema, schema_of
from tfspark_cnn.data.pieces import BATCH_BYTES, frame_of
from tfspark_cnn.data.record_file import is_header, records_in
from tfspark_cnn.errors import CorruptFileError, SourceError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

Path = str | os.PathLike[str]

SUFFIXES = (".tfrecord", ".tfrecords", ".tfrecord.gz", ".tfrecords.gz")
"""Of the files that `read_tfrecords` takes from a folder; a file that is named by its path may have any name."""

_BATCH_ROWS = 1000
_INFERRED_ROWS = 100
_FITS = "pass the schema that the records have, or none to have it found out"


@dataclass(frozen=True)
class RecordFile:
    """A file that one task reads, and the columns it has.

    Attributes:
        uri: of the file.
        schema: the columns.
        hint: what to do where a record does not fit them.
    """

    uri: str
    schema: pa.Schema
    hint: str = _FITS


def read_tfrecords(
    spark: SparkSession, path: Path | Sequence[Path], *, schema: StructType | str | None = None
) -> DataFrame:
    """Gives the records of TFRecord files as rows, a partition for each file.

    Args:
        spark: the session that the DataFrame belongs to.
        path: of a file, of a folder with files that end on one of `SUFFIXES`, or several of these.
        schema: the columns, as Spark's type or its DDL; features of other names are left out, and those that a record
            has not are null. None: as the first 100 records of the first file have them.

    Raises:
        SourceError: there are no such files.
        CorruptFileError: without a schema, the first file is cut or changed.
        ConfigError: a column is of a type that no feature can be.
    """
    paths = [path] if isinstance(path, str | os.PathLike) else list(path)
    files = [file for one in paths for file in storage.files_at(one, suffixes=SUFFIXES)]
    if not files:
        folders = ", ".join(os.fspath(one) for one in paths)
        raise SourceError(
            f"expected files ending on {', '.join(SUFFIXES)} in {folders}, received none",
            hint="pass another folder, or the paths of the files themselves",
        )
    columns = inferred(files[0].uri) if schema is None else _arrow(spark, schema)
    check_schema(columns)
    pieces = [RecordFile(file.uri, columns) for file in files]
    return frame_of(spark, read_file, pieces, _spark(columns) if schema is None else schema)


def inferred(uri: str) -> pa.Schema:
    """Gives the columns that the first 100 records of a file have.

    Raises:
        SourceError: it has no records.
        CorruptFileError: it is cut or changed, or holds no Examples of one schema.
    """
    with contextlib.closing(examples_in(uri)) as examples:
        first = [example for _, example in itertools.islice(examples, _INFERRED_ROWS)]
    if not first:
        raise SourceError(f"expected records in {uri}, from which to find the schema, received none", hint=_FITS)
    try:
        return schema_of(first)
    except WrongFeature as error:
        raise CorruptFileError(f"{uri}: {error}", hint=_FITS) from error


def examples_in(uri: str) -> Generator[tuple[int, dict[str, Feature]], None, None]:
    """Gives each record of a file as features by name, with its offset in bytes.

    Raises:
        CorruptFileError: the file is cut or changed, or a record is no Example.
    """
    with storage.opened(uri, zipped=is_zipped) as stream:
        for offset, data in records_in(stream, where=uri):
            yield offset, _example(data, uri, offset)


def read_file(file: RecordFile) -> Iterator[pa.RecordBatch]:
    """Gives the rows of a file; in a Spark task.

    Raises:
        CorruptFileError: it is cut or changed, or a record does not fit the schema; with the file and the offset.
    """
    examples: list[tuple[int, dict[str, Feature]]] = []
    held_bytes = 0
    with storage.opened(file.uri, zipped=is_zipped) as stream:
        for offset, data in records_in(stream, where=file.uri):
            examples.append((offset, _example(data, file.uri, offset)))
            held_bytes += len(data)
            if len(examples) >= _BATCH_ROWS or held_bytes >= BATCH_BYTES:
                yield _batch(examples, file)
                examples, held_bytes = [], 0
    if examples:
        yield _batch(examples, file)


def is_zipped(head: bytes) -> bool:
    """Tells whether a file of records that begins so is a gzip file.

    A plain file may begin with gzip's first bytes, too: they are then part of a length that its checksum confirms.
    """
    return storage.is_gzip(head) and not is_header(head)


def _batch(examples: Sequence[tuple[int, dict[str, Feature]]], file: RecordFile) -> pa.RecordBatch:
    try:
        return batch_of([example for _, example in examples], file.schema)
    except WrongFeature as error:
        if len(examples) == 1:
            raise CorruptFileError(f"{file.uri}, record at byte {examples[0][0]}: {error}", hint=file.hint) from error
    for one in examples:  # only to name the one that does not fit
        _batch([one], file)
    raise AssertionError("rows that fit one by one fit together")


def _example(data: bytes, where: str, offset: int) -> dict[str, Feature]:
    try:
        return decoded(data)
    except NotAnExample as error:
        raise CorruptFileError(
            f"{where}, record at byte {offset}: expected a tf.train.Example, received {error}",
            hint="read files of other messages with tf.data.TFRecordDataset, in InputMode.TENSORFLOW",
        ) from error


def _arrow(spark: SparkSession, schema: StructType | str) -> pa.Schema:
    from pyspark.sql.pandas.types import to_arrow_schema

    return to_arrow_schema(spark.createDataFrame([], schema).schema)


def _spark(schema: pa.Schema) -> StructType:
    from pyspark.sql.pandas.types import from_arrow_schema

    return from_arrow_schema(schema)
