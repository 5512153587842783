"""DataFrames whose tasks read files, or parts of files, by themselves; and raw pixels as Arrow columns.

Example:
    >>> frame_of(spark, read, [first_half, second_half], "image binary, label bigint").rdd.getNumPartitions()
    2
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tfspark_cnn.errors import CorruptFileError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Read: TypeAlias = Callable[[Any], Iterator[pa.RecordBatch]]

BATCH_BYTES = 4 << 20
"""Rows go to Spark in record batches of about so much: small beside a task's memory, large beside the cost of one."""

PIECE_BYTES = 8 << 20
"""A file that can be read in parts is: one task for each so much, as many as MNIST has six of."""


@dataclass(frozen=True)
class ReadPieces:
    """What a task does: reads the piece that its one row has the number of. `read` is a top-level function."""

    read: Read
    pieces: tuple[Any, ...]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Gives the rows of all pieces that the batches number."""
        for batch in batches:
            for number in batch.column(0).to_pylist():
                yield from self.read(self.pieces[number])


def frame_of(spark: SparkSession, read: Read, pieces: Sequence[Any], schema: Any) -> DataFrame:
    """Gives a DataFrame with a partition for each piece, in their order, read whenever Spark computes it.

    Args:
        spark: the session it belongs to.
        read: gives the rows of a piece, as record batches; runs in Spark tasks.
        pieces: picklable values, a file and a range as it were.
        schema: of Spark, or its DDL.
    """
    number = len(pieces)
    return spark.range(0, number, 1, max(1, number)).mapInArrow(ReadPieces(read, tuple(pieces)), schema)


def ranges(rows: int, pieces: int) -> list[range]:
    """Divides rows into at most so many ranges, none of them empty, which differ by at most one row."""
    pieces = max(1, min(rows, pieces))
    bounds = [rows * number // pieces for number in range(pieces + 1)]
    return [range(*pair) for pair in zip(bounds, bounds[1:], strict=False)]


def image_batch(
    images: npt.NDArray[np.uint8], labels: Mapping[str, npt.NDArray[Any]], *, names: Sequence[str], where: str
) -> pa.RecordBatch:
    """Gives rows of `image binary`, a bigint for each column of labels, and `name string` if there are class names.

    Args:
        images: `uint8[rows, bytes]`; the column is a view of it.
        labels: `[rows]` by name of the column; `label` is what `names` counts.
        names: of the classes; none leaves the column out.
        where: the file, for the error.

    Raises:
        CorruptFileError: a label has no name.
    """
    columns: dict[str, Any] = {"image": _binary(images)}
    columns |= {name: pa.array(values.astype(np.int64)) for name, values in labels.items()}
    if names:
        highest = int(labels["label"].max(initial=0))
        if highest >= len(names):
            raise CorruptFileError(
                f"{where}: expected labels from 0 to {len(names) - 1}, received {highest}",
                hint="see that the file belongs to this data set",
            )
        columns["name"] = pa.array(names, pa.string()).take(columns["label"])
    return pa.record_batch(columns)


def image_schema(labels: Iterable[str], names: Sequence[str]) -> str:
    """Gives the DDL of what `image_batch` makes."""
    columns = ["image binary", *(f"{name} bigint" for name in labels), *(["name string"] if names else [])]
    return ", ".join(columns)


def _binary(rows: npt.NDArray[np.uint8]) -> pa.Array:
    count, width = rows.shape
    offsets = np.arange(0, count * width + 1, width, dtype=np.int32) if width else np.zeros(count + 1, np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(rows))]
    return pa.Array.from_buffers(pa.binary(), count, buffers)
