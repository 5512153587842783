"""CSV files of pixels, a row for each image, as Kaggle has MNIST: `label,pixel0,pixel1,...`.

Rows are `image binary` (a byte for each column other than the label, in their order) and `label bigint`. Spark reads
the lines, so files may be compressed, several, and on any of Hadoop's file systems; they become numbers in Python,
since hundreds of columns are what Spark is slow with.

Example:
    >>> train = pixels(spark, "hdfs://host/digits/train.csv")
    >>> test = pixels(spark, "hdfs://host/digits/test.csv", label=None)
    >>> column = Column("image", shape=(28, 28, 1), scale=1 / 255)
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pacsv

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
        header: whether the first line of each file, the same in all, has the names of the columns; without they are
            `_c0`, `_c1`, ...

    Raises:
        SourceError: it cannot be read, or is empty.
        ConfigError: there is no column of that name, or none beside it.
    """
    from pyspark.errors import AnalysisException

    place = os.fspath(path)
    try:
        lines = spark.read.text(place)
    except AnalysisException as error:
        raise SourceError(
            f"could not read {place}: {str(error).splitlines()[0]}", hint="pass a file that all executors reach"
        ) from error
    first = lines.first()
    if first is None:
        raise SourceError(f"expected lines in {place}, received none", hint="pass a CSV file of pixels")
    columns = names_in(first.value, header=header)
    check_columns(columns, label, where=place)
    parse = ParsePixels(columns, label, first.value if header else None, place)
    return lines.mapInArrow(parse, image_schema([] if label is None else ["label"], ()))


def names_in(line: str, *, header: bool) -> tuple[str, ...]:
    """Gives the names of the columns by the first line, which has them or is the first row."""
    cells = next(csv.reader([line.removeprefix("\ufeff")]), [])
    return tuple(cells) if header else tuple(f"_c{place}" for place in range(len(cells)))


def check_columns(columns: Sequence[str], label: str | None, *, where: str) -> None:
    """Refuses a file without the column of labels, or with none beside it.

    Raises:
        ConfigError: that is so.
    """
    if label is not None and label not in columns:
        raise ConfigError(
            f"{where}: expected a column {label!r}, received {len(columns)} columns: {', '.join(columns[:3])}, ...",
            hint=suggestion(label, columns) if len(columns) < 10 else "pass label=, or None if there is no such column",
        )
    if not set(columns) - {label}:
        raise ConfigError(f"{where}: expected columns of pixels, received none", hint="pass a CSV file of pixels")


@dataclass(frozen=True)
class ParsePixels:
    """Turns lines of numbers into bytes; what a Spark task runs.

    Attributes:
        columns: their names.
        label: the column of labels, or None.
        header: the line with the names, which is no row, or None.
        where: the file, for errors.
    """

    columns: tuple[str, ...]
    label: str | None
    header: str | None
    where: str

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Gives the rows of batches of lines; lines without anything are none."""
        for batch in batches:
            lines = [line for line in batch.column(0).to_pylist() if line.strip() and line != self.header]
            if lines:
                yield self.parsed(lines)

    def parsed(self, lines: Sequence[str]) -> pa.RecordBatch:
        """Gives `image` and `label` of lines.

        Raises:
            CorruptFileError: a line has more or fewer columns, or other than whole numbers; or a pixel is no byte.
        """
        names = [str(place) for place in range(len(self.columns))]  # those of the file need not differ
        try:
            table = pacsv.read_csv(
                pa.BufferReader("\n".join(lines).encode()),
                read_options=pacsv.ReadOptions(column_names=names, use_threads=False),
                convert_options=pacsv.ConvertOptions(column_types=dict.fromkeys(names, pa.int64())),
            ).combine_chunks()
        except pa.ArrowException as error:
            raise CorruptFileError(
                f"{self.where}: expected rows of {len(names)} whole numbers, received another: {error}", hint=_MEND
            ) from error
        place = None if self.label is None else self.columns.index(self.label)
        image = [self._values(table, number) for number in range(len(names)) if number != place]
        labels = {} if place is None else {"label": self._values(table, place, most=None)}
        return image_batch(np.stack(image, axis=1).astype(np.uint8), labels, names=(), where=self.where)

    def _values(self, table: pa.Table, place: int, *, most: int | None = 255) -> npt.NDArray[np.int64]:
        column = table.column(place)
        values: npt.NDArray[np.int64] = column.fill_null(-1).to_numpy()
        wrong = values < 0 if most is None else (values < 0) | (values > most)
        if wrong.any():
            received = column[int(wrong.argmax())].as_py()
            expected = "a label from 0" if most is None else f"a pixel from 0 to {most}"
            raise CorruptFileError(
                f"{self.where}, column {self.columns[place]!r}: expected {expected}, received "
                f"{'nothing' if received is None else received}",
                hint=_MEND,
            )
        return values
