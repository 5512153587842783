"""scikit-learn's bundled handwritten digits: 1,797 real images of 8x8, nothing to download.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (its test set).

Example:
    >>> train, test = digits(spark, test_fraction=0.2)
    >>> train.count(), test.count()
    (1437, 360)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tfspark_cnn.errors import SourceError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Pixels: TypeAlias = npt.NDArray[np.float32]
Labels: TypeAlias = npt.NDArray[np.int64]

DARKEST = 16.0  # the images count the set pixels of 4x4 blocks


@dataclass(frozen=True)
class LabelledRows:
    """Images and their labels, row by row.

    Attributes:
        images: `float32[rows, 64]` between 0 and 1, each an 8x8 image in row-major order.
        labels: `int64[rows]`, 0 to 9.
    """

    images: Pixels
    labels: Labels


def digits(
    spark: SparkSession, *, test_fraction: float = 0.2, seed: int = 0, partitions: int = 4
) -> tuple[DataFrame, DataFrame]:
    """Gives the training rows and the held-out rows as DataFrames.

    Both have `image array<float>` (64 values of 0 to 1: the 8x8x1 image in row-major order, for
    `Column("image", shape=(8, 8, 1))`; flat, because Arrow hands a flat list to TensorFlow as one view) and
    `label bigint`.

    Args:
        spark: the session that the DataFrames belong to.
        test_fraction: the part held out, with each digit in the same proportion as in all rows.
        seed: of the split and of the order of rows.
        partitions: of the training rows.
    """
    train, test = split(test_fraction=test_fraction, seed=seed)
    return _frame(spark, train, partitions=partitions), _frame(spark, test, partitions=1)


def split(*, test_fraction: float = 0.2, seed: int = 0) -> tuple[LabelledRows, LabelledRows]:
    """Gives the training and the held-out rows as arrays; the same arguments give the same rows in the same order.

    Args:
        test_fraction: the part held out, stratified by digit.
        seed: of the shuffle before the cut.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    scaled = (images / DARKEST).astype(np.float32)
    parts: list[Any] = train_test_split(
        scaled, labels.astype(np.int64), test_size=test_fraction, random_state=seed, stratify=labels
    )
    return LabelledRows(parts[0], parts[2]), LabelledRows(parts[1], parts[3])


def table(rows: LabelledRows) -> pa.Table:
    """Gives rows as an Arrow table with columns `image list<float>` and `label int64`, without a copy of the pixels."""
    count, width = rows.images.shape
    offsets = np.arange(0, (count + 1) * width, width, dtype=np.int32)
    flat = np.ascontiguousarray(rows.images).reshape(-1)
    return pa.table({"image": pa.ListArray.from_arrays(offsets, pa.array(flat)), "label": pa.array(rows.labels)})


def write_held_out(folder: str | Path) -> Path:
    """Writes the rows that `digits` holds out unless told otherwise as a Parquet file, for scoring; without Spark.

    Args:
        folder: for the file; it is made.

    Returns:
        The path of the file, `held_out.parquet`, with columns `image array<float>` and `label bigint`.

    Raises:
        SourceError: it cannot be written.

    Example:
        >>> write_held_out("data/digits").name
        'held_out.parquet'
    """
    import pyarrow.parquet as pq

    path = Path(folder) / "held_out.parquet"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table(split()[1]), path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SourceError(f"{path} cannot be written: {reason}", hint="name a folder that you may write to") from error
    return path


def _frame(spark: SparkSession, rows: LabelledRows, *, partitions: int) -> DataFrame:
    frame = spark.createDataFrame(table(rows))
    slices = frame.rdd.getNumPartitions()
    # Merging neighbours keeps the order without a shuffle; only splitting further needs one.
    return frame.coalesce(partitions) if partitions <= slices else frame.repartition(partitions)
