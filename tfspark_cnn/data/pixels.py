"""CSV files of pixels, a row for each image, as Kaggle has MNIST: `label,pixel0,pixel1,...`.

Rows are `image binary` (a byte for each column other than the label, in their order) and `label bigint`. Spark reads
the files, so they may be compressed, several, and on any of Hadoop's file systems.

Example:
    >>> train = pixels(spark, "hdfs://host/digits/train.csv")
    >>> test = pixels(spark, "hdfs://host/digits/test.csv", label=None)
    >>> column = Column("image", shape=(28, 28, 1), scale=1 / 255)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfspark_cnn.config import suggestion
from tfspark_cnn.data.pieces import image_batch, image_schema
from tfspark_cnn.errors import ConfigError, CorruptFileError, SourceError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_MEND = "mend the row, or leave it out of the file"


def pixels(
    spark: SparkSession, path: str | os.PathLike[str], *, label: str | None = "label", header: bool = True
) -> DataFrame:
    """Gives the images and labels of a CSV file, or of several in a folder.

    Args:
        spark: the session that the DataFrame belongs to.
        path: of the file or folder.
        label: the column of whole numbers; all others are pixels from 0 to 255. None: there is no such column.
        header: whether the first line has the names of the columns; without they are `_c0`, `_c1`, ...

    Raises:
        SourceError: it cannot be read.
        ConfigError: there is no column of that name, or none beside it.
    """
    from pyspark.errors import AnalysisException

    place = os.fspath(path)
    try:
        columns = spark.read.csv(place, header=header).columns
    except AnalysisException as error:
        raise SourceError(
            f"could not read {place}: {str(error).splitlines()[0]}", hint="pass a file that all executors reach"
        ) from error
    check_columns(columns, label, where=place)
    kinds = ", ".join(f"`{name.replace('`', '``')}` {'bigint' if name == label else 'int'}" for name in columns)
    # FAILFAST: a row that is too short or no numbers is an error of Spark's that shows it, and no row of nulls.
    # Not enforcing: files of a folder whose headers differ are one, too.
    rows = spark.read.csv(place, header=header, schema=kinds, mode="FAILFAST", enforceSchema=False)
    place_of_label = None if label is None else columns.index(label)
    labels = [] if label is None else ["label"]
    return rows.mapInArrow(PackPixels(place_of_label, place), image_schema(labels, ()))


def check_columns(columns: Iterable[str], label: str | None, *, where: str) -> None:
    """Refuses a file without the column of labels, or with none beside it.

    Raises:
        ConfigError: that is so.
    """
    names = list(columns)
    if label is not None and label not in names:
        raise ConfigError(
            f"{where}: expected a column {label!r}, received {len(names)} columns: {', '.join(names[:3])}, ...",
            hint=suggestion(label, names) if len(names) < 10 else "pass label=, or None if there is no such column",
        )
    if not set(names) - {label}:
        raise ConfigError(f"{where}: expected columns of pixels, received none", hint="pass a CSV file of pixels")


@dataclass(frozen=True)
class PackPixels:
    """Turns columns of numbers into one of bytes; what a Spark task runs.

    Attributes:
        label: the place of the column of labels, or None.
        where: the file, for errors.
    """

    label: int | None
    where: str

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Gives the same rows, packed."""
        return (self.packed(batch) for batch in batches)

    def packed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Gives `image` and `label` of a batch.

        Raises:
            CorruptFileError: a value is missing, or a pixel is no byte.
        """
        places = [place for place in range(batch.num_columns) if place != self.label]
        image = np.empty((batch.num_rows, len(places)), np.uint8)
        for at, place in enumerate(places):
            image[:, at] = self._bytes(batch.column(place), batch.schema.names[place])
        labels = {} if self.label is None else {"label": self._labels(batch.column(self.label))}
        return image_batch(image, labels, names=(), where=self.where)

    def _bytes(self, column: pa.Array, name: str) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
        wrong = pc.fill_null(pc.or_(pc.less(column, 0), pc.greater(column, 255)), True)
        if pc.any(wrong).as_py():
            value = column[pc.index(wrong, True).as_py()].as_py()
            received = "nothing" if value is None else value
            raise CorruptFileError(
                f"{self.where}, column {name!r}: expected a pixel from 0 to 255, received {received}", hint=_MEND
            )
        values: np.ndarray[tuple[int], np.dtype[np.int32]] = column.to_numpy()
        return values

    def _labels(self, column: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        if column.null_count:
            raise CorruptFileError(f"{self.where}: expected a label in each row, received a row without", hint=_MEND)
        values: np.ndarray[tuple[int], np.dtype[np.int64]] = column.to_numpy()
        return values
