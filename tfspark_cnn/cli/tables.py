"""The tables of `predict` and `evaluate`.

They are read from Parquet, TFRecord, CSV of pixels or folders of images, and written as Parquet or CSV.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from tfspark_cnn.cli.saved_model import IMAGE, is_local, local
from tfspark_cnn.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import DataType


class TableFormat(StrEnum):
    """What INPUT is."""

    PARQUET = "parquet"
    TFRECORD = "tfrecord"
    CSV = "csv"
    IMAGES = "images"


_SUFFIXES = {
    ".csv": TableFormat.CSV, ".parquet": TableFormat.PARQUET, ".tfrecord": TableFormat.TFRECORD,
    ".tfrecords": TableFormat.TFRECORD,
}  # fmt: skip


class OutputFormat(StrEnum):
    """What OUTPUT becomes."""

    PARQUET = "parquet"
    CSV = "csv"


def check_input(path: str, *, kind: TableFormat) -> None:
    """Refuses a local path at which there is nothing, and a file that says it is of another format.

    Args:
        path: of the table.
        kind: what it is to be read as.

    Raises:
        ConfigError: so it is.
    """
    named = next((of for suffix, of in _SUFFIXES.items() if path.endswith((suffix, f"{suffix}.gz"))), kind)
    if named is not kind:
        raise ConfigError(f"{path} is read as {kind}, and its name says {named}", hint=f"pass --format {named}")
    if is_local(path) and not any(sign in path for sign in "*?{[") and not local(path).exists():
        raise ConfigError(f"expected a table at {path}, received nothing", hint="pass the file or folder to read")


def check_output(path: str, *, overwrite: bool, beside: Sequence[str]) -> None:
    """Refuses a local folder that cannot be written, or that is not to be lost.

    Args:
        path: of the folder.
        overwrite: whether one that is there may go.
        beside: paths of what is read, which must stay.

    Raises:
        ConfigError: it is there, and not to be overwritten or no table; or it is one of those that are read.
        SourceError: it cannot be written.
    """
    if not is_local(path):
        return  # Spark knows such a place, and says it before it computes anything
    folder = local(path).resolve()
    for other in (local(one).resolve() for one in beside if is_local(one)):
        if folder == other or folder in other.parents or other in folder.parents:
            raise ConfigError(f"{path} would be written over {other}, which is read", hint="choose another OUTPUT")
    if folder.exists() and not _is_unfinished(folder):
        _check_old(folder, path, overwrite=overwrite)
    above = next(one for one in folder.parents if one.exists())
    if not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
        raise SourceError(f"could not write {path}: no permission in {above}", hint="choose another OUTPUT")


def _check_old(folder: Path, path: str, *, overwrite: bool) -> None:
    if not overwrite:
        raise ConfigError(f"{path} is there already", hint="choose another OUTPUT, or pass --overwrite")
    if not folder.is_dir():
        raise ConfigError(f"expected a folder to overwrite at {path}, received a file", hint="choose another OUTPUT")
    strange = [one.name for one in folder.iterdir() if not one.name.startswith((".", "_", "part-"))]
    if strange:
        raise ConfigError(
            f"expected a table that Spark wrote at {path}, received a folder with {sorted(strange)[0]} in it",
            hint="choose another OUTPUT; --overwrite would take all of it away",
        )


def _is_unfinished(folder: Path) -> bool:
    """Tells whether a folder holds nothing, but what Spark leaves of a table that it could not finish."""
    return folder.is_dir() and all(one.name.startswith((".", "_temporary")) for one in folder.iterdir())


def read(spark: SparkSession, path: str, *, kind: TableFormat, label: str | None = None) -> DataFrame:
    """Gives the rows of a table.

    Args:
        spark: the session.
        path: of a file or folder that all executors reach.
        kind: what is there. CSV has a line with the names of its columns; folders of images are read whatever lies how
            deep, with columns `image` and `path`.
        label: the column of labels of a CSV file, if it has it; all others are pixels.

    Raises:
        SourceError: there is no such table.
    """
    match kind:
        case TableFormat.PARQUET:
            return spark.read.parquet(path)
        case TableFormat.TFRECORD:
            from tfspark_cnn.data.tfrecord import read_tfrecords

            return read_tfrecords(spark, path)
        case TableFormat.CSV:
            return _pixels(spark, path, label)
    return _images(spark, path)


def labelled_images(spark: SparkSession, path: str, *, classes: Sequence[str] | None) -> DataFrame:
    """Gives the rows of folders of images, a folder for each class; `label`, `name` and `path` beside `image`."""
    from tfspark_cnn.data.image_folder import image_folder

    return image_folder(spark, path, classes=classes)


def _pixels(spark: SparkSession, path: str, label: str | None) -> DataFrame:
    from tfspark_cnn.data.pixels import names_in, pixels

    first = spark.read.text(path).first()
    names = names_in(first.value, header=True) if first is not None else ()
    return pixels(spark, path, label=label if label in names else None)


def _images(spark: SparkSession, path: str) -> DataFrame:
    from pyspark.sql import functions as sf

    from tfspark_cnn.data.image_folder import SUFFIXES, glob_of

    reader = spark.read.format("binaryFile").option("recursiveFileLookup", True)
    files = reader.option("pathGlobFilter", glob_of(SUFFIXES)).load(path)
    return files.select(sf.col("content").alias(IMAGE), "path")


def write(frame: DataFrame, path: str, *, kind: OutputFormat, overwrite: bool) -> int:
    """Writes a table, and gives the number of its rows.

    Vectors become arrays, which every reader of Parquet knows; in CSV these are JSON, and bytes are base64.
    """
    from pyspark.sql import Observation
    from pyspark.sql import functions as sf

    seen = Observation()
    written = frame.select(*(_written(frame, field.name, kind) for field in frame.schema.fields))
    counted = written.observe(seen, sf.count(sf.lit(1)).alias("rows"))
    replaces = overwrite or (is_local(path) and _is_unfinished(local(path)))
    writer = counted.write.mode("overwrite" if replaces else "errorifexists")
    if kind == OutputFormat.CSV:
        # Spark would else cut white space off, and escape quotes as other readers of CSV do not expect.
        kept: dict[str, bool | str] = {
            "ignoreLeadingWhiteSpace": False,
            "ignoreTrailingWhiteSpace": False,
            "escape": '"',
        }
        writer.options(header=True, **kept).csv(path)
    else:
        writer.parquet(path)
    return int(seen.get.get("rows", 0))


def _written(frame: DataFrame, name: str, kind: OutputFormat) -> Column:
    from pyspark.ml.functions import vector_to_array
    from pyspark.ml.linalg import VectorUDT
    from pyspark.sql import functions as sf

    from tfspark_cnn.ml.labels import quoted

    column, of = sf.col(quoted(name)), frame.schema[name].dataType
    if isinstance(of, VectorUDT):
        column = vector_to_array(column)
    return (_as_text(column, of) if kind == OutputFormat.CSV else column).alias(name)


def _as_text(column: Column, of: DataType) -> Column:
    from pyspark.sql import functions as sf
    from pyspark.sql.types import ArrayType, BinaryType, MapType, StructType, UserDefinedType

    if isinstance(of, BinaryType):
        return sf.base64(column)
    return sf.to_json(column) if isinstance(of, ArrayType | MapType | StructType | UserDefinedType) else column
