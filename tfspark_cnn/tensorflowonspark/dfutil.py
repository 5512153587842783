"""DataFrames to TFRecord files of `tf.train.Example` and back: TensorFlowOnSpark's module, without a jar.

Example:
    >>> saveAsTFRecords(df, "hdfs://host/digits")                                    # doctest: +SKIP
    >>> df = loadTFRecords(sc, "hdfs://host/digits", binary_features=["image"])      # doctest: +SKIP
"""

from __future__ import annotations

import contextlib
import fnmatch
import getpass
import itertools
import re
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tfspark_cnn.cluster.launcher import own_error
from tfspark_cnn.data import storage
from tfspark_cnn.data.example import Feature
from tfspark_cnn.data.example_columns import kind_of
from tfspark_cnn.data.pieces import frame_of
from tfspark_cnn.data.tfrecord import RecordFile, examples_in, read_file
from tfspark_cnn.data.tfrecord_writer import WrittenFile, write_tfrecords
from tfspark_cnn.errors import CorruptFileError, SourceError
from tfspark_cnn.tensorflowonspark.example_rows import ToExamples, parsed, row_of, struct_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row
    from pyspark.sql.types import StructType

__all__ = [
    "fromTFExample", "infer_schema", "isLoadedDF", "loadTFRecords", "loadedDF", "saveAsTFRecords", "toTFExample",
]  # fmt: skip

LOOKED_AT = 100
"""So many records of each file tell its columns."""

loadedDF: MutableMapping[Any, str] = weakref.WeakKeyDictionary()  # noqa: N816  TensorFlowOnSpark's name
"""Path by DataFrame that `loadTFRecords` gave, as long as somebody has the DataFrame."""

_PASS = (
    "name bytes that are no text in binary_features, or pass the columns: "
    "loadTFRecords(sc, path, schema='x array<double>, label bigint')"
)


def isLoadedDF(df: DataFrame) -> bool:  # noqa: N802
    """Tells whether a DataFrame is one that `loadTFRecords` gave."""
    return df in loadedDF


def saveAsTFRecords(df: DataFrame, output_dir: str) -> tuple[WrittenFile, ...]:  # noqa: N802
    """Writes a DataFrame into a folder, a file for each partition, and gives the files.

    Args:
        df: its columns are numbers, booleans, texts, bytes, or arrays of one of these; nulls are left out.
        output_dir: a path on Spark's default file system, or a URI; empty, or made.

    Raises:
        ConfigError: a column cannot be a feature.
        SourceError: the folder has files, or cannot be written to.
    """
    return write_tfrecords(df, _located(df.sparkSession, output_dir))


def loadTFRecords(  # noqa: N802
    sc: Any, input_dir: str, binary_features: Collection[str] = (), *, schema: StructType | str | None = None
) -> DataFrame:
    """Gives the records of TFRecord files, plain or gzip, as a DataFrame with a partition for each file.

    Integers are `bigint`, floats `double`, bytes `string`; an array where a record has not exactly one value. A feature
    that a record has not is null.

    Args:
        sc: a SparkContext or SparkSession.
        input_dir: a folder, a file, or a pattern for names of files in a folder, as `data/part-*`; several with commas
            between. On Spark's default file system, or a URI. Hidden files are left out.
        binary_features: names of those that are bytes, and not text.
        schema: the columns, as Spark's type or its DDL. None: as the first 100 records of each file have them.

    Raises:
        SourceError: there are no such files, or no records to find the columns from.
        CorruptFileError: a file is cut or changed, or its first records do not go together; with file and offset. Of
            what comes later Spark raises it, from the action.
    """
    from pyspark.sql import SparkSession

    spark = sc if isinstance(sc, SparkSession) else SparkSession(sc)
    uris = [uri for path in input_dir.split(",") for uri in _files(_located(spark, path.strip()))]
    if not uris:
        raise SourceError(f"expected TFRecord files in {input_dir}, received none", hint="pass another folder")
    columns = _inferred(spark, uris, binary_features) if schema is None else _struct(spark, schema)
    from pyspark.sql.pandas.types import to_arrow_schema

    pieces = [RecordFile(uri, to_arrow_schema(columns), hint=_PASS) for uri in uris]
    df = frame_of(spark, read_file, pieces, columns)
    loadedDF[df] = input_dir
    return df


def toTFExample(dtypes: Iterable[tuple[str, str]]) -> Callable[[Iterable[Any]], Iterator[Any]]:  # noqa: N802
    """Gives a function for `df.rdd.mapPartitions` that turns rows into `(bytes of a tf.train.Example, None)`.

    Args:
        dtypes: `df.dtypes`.

    Raises:
        ConfigError: a column cannot be a feature.
    """
    return ToExamples(tuple((name, dtype) for name, dtype in dtypes))


def fromTFExample(iter: Iterable[Any], binary_features: Collection[str] = ()) -> Iterator[Row]:  # noqa: N802
    """Gives the rows of records: one value alone, several as a list, none as None.

    Args:
        iter: of `(bytes of a tf.train.Example, anything)`, or of the bytes.
        binary_features: names of those that are bytes, and not text.

    Raises:
        CorruptFileError: the bytes are none of an Example.
        SchemaError: bytes are no text, and not said to be binary.
    """
    return (row_of(parsed(record), binary_features) for record in iter)


def infer_schema(example: Any, binary_features: Collection[str] = ()) -> StructType:
    """Gives the columns that an Example has, as Spark's type.

    Args:
        example: a `tf.train.Example`, or its bytes.
        binary_features: names of those that are bytes, and not text.
    """
    kinds = {name: (kind_of(feature), _is_array(feature)) for name, feature in parsed(example).items()}
    return struct_of(kinds, binary_features)


# --- the columns of files --------------------------------------------------------------------------------------------


def _inferred(spark: Any, uris: list[str], binary_features: Collection[str]) -> StructType:
    found = frame_of(spark, _kinds_in, uris, "name string, kind string, several boolean").distinct()
    try:
        rows = found.collect()
    except Exception as error:  # Spark brings what a task raised as text
        own = own_error(error)
        if own is None:
            raise
        raise own from error
    if not rows:
        raise SourceError(f"expected records in {uris[0]}, from which to find the columns, received none", hint=_PASS)
    kinds: dict[str, tuple[str | None, bool]] = {}
    for name, kind, several in rows:
        before, was_several = kinds.get(name, (None, False))
        if before and kind and kind != before:
            raise CorruptFileError(f"feature {name!r}: expected {before} in all files, received {kind}", hint=_PASS)
        kinds[name] = (before or kind, was_several or several)
    return struct_of(kinds, binary_features)


def _kinds_in(uri: str) -> Iterator[pa.RecordBatch]:
    """Gives name and kind of the features in the first records of a file; in a Spark task."""
    found: set[tuple[str, str | None, bool]] = set()
    with contextlib.closing(examples_in(uri)) as examples:
        for _, example in itertools.islice(examples, LOOKED_AT):
            found |= {(name, kind_of(feature), _is_array(feature)) for name, feature in example.items()}
    schema = pa.schema({"name": pa.string(), "kind": pa.string(), "several": pa.bool_()})
    yield pa.RecordBatch.from_pylist([dict(zip(schema.names, one, strict=True)) for one in found], schema)


def _is_array(feature: Feature) -> bool:
    return feature is not None and len(feature) > 1


def _struct(spark: Any, schema: StructType | str) -> StructType:
    found: StructType = spark.createDataFrame([], schema).schema
    return found


# --- paths -----------------------------------------------------------------------------------------------------------


def _located(spark: Any, path: str) -> str:
    """Gives a path without a scheme as one of Spark's default file system, as Hadoop's formats take it."""
    default = spark.sparkContext._jsc.hadoopConfiguration().get("fs.defaultFS") or "file:///"
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", path) or default.startswith("file:"):
        return path
    return default.rstrip("/") + (path if path.startswith("/") else f"/user/{getpass.getuser()}/{path}")


def _files(path: str) -> list[str]:
    folder, _, last = path.rstrip("/").rpartition("/")
    if not re.search(r"[*?\[]", last):
        return [file.uri for file in storage.files_at(path)]
    inside = storage.files_at(folder or ("/" if path.startswith("/") else "."))
    return [file.uri for file in inside if fnmatch.fnmatchcase(file.name, last)]
