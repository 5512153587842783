"""The sources that the command line reads from a folder: both sets of rows, their values from 0 to 1.

Example:
    >>> train, test = source("mnist").load()(spark, folder="/data/mnist", test_fraction=0.2, seed=0, partitions=4)
    >>> train.columns
    ['image', 'label']
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pyarrow as pa

from tfspark_cnn.data import cifar, idx

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Rows: TypeAlias = "tuple[DataFrame, DataFrame]"

_BRIGHTEST = np.float32(255)


@dataclass(frozen=True)
class ScaleBytes:
    """Turns images of bytes into `float32` from 0 to 1; what a Spark task runs."""

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Gives `image array<float>` and `label` of batches whose images are of one size."""
        return (self.scaled(batch) for batch in batches if batch.num_rows)

    def scaled(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Gives the same rows, scaled."""
        images = np.frombuffer(b"".join(batch.column("image").to_pylist()), np.uint8) / _BRIGHTEST
        width = len(images) // batch.num_rows
        offsets = np.arange(0, len(images) + 1, width, dtype=np.int32)
        return pa.record_batch(
            {"image": pa.ListArray.from_arrays(offsets, pa.array(images)), "label": batch.column("label")}
        )


def mnist(spark: SparkSession, *, folder: str, test_fraction: float, seed: int, partitions: int) -> Rows:
    """Gives MNIST's training rows and test rows; `test_fraction` and `seed` are for sources that have one set alone.

    Args:
        spark: the session that the DataFrames belong to.
        folder: with the files.
        test_fraction: not used.
        seed: not used.
        partitions: of the training rows, where their files are plain.
    """
    return _scaled(idx.mnist(spark, folder, partitions=partitions)), _scaled(idx.mnist(spark, folder, train=False))


def fashion_mnist(spark: SparkSession, *, folder: str, test_fraction: float, seed: int, partitions: int) -> Rows:
    """Gives Fashion-MNIST; otherwise as `mnist`, whose files have the same names."""
    return mnist(spark, folder=folder, test_fraction=test_fraction, seed=seed, partitions=partitions)


def cifar10(spark: SparkSession, *, folder: str, test_fraction: float, seed: int, partitions: int) -> Rows:
    """Gives CIFAR-10, from the archive or the folder that was in it; otherwise as `mnist`, with a partition a file."""
    return _scaled(cifar.cifar10(spark, folder)), _scaled(cifar.cifar10(spark, folder, train=False))


def cifar100(spark: SparkSession, *, folder: str, test_fraction: float, seed: int, partitions: int) -> Rows:
    """Gives CIFAR-100 with its fine labels; otherwise as `cifar10`."""
    return _scaled(cifar.cifar100(spark, folder)), _scaled(cifar.cifar100(spark, folder, train=False))


def _scaled(frame: DataFrame) -> DataFrame:
    return frame.select("image", "label").mapInArrow(ScaleBytes(), "image array<float>, label bigint")
