"""The feed of a DataFrame against what Spark can hand to Python: `mapInArrow` into nothing, on the same slots."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from bench.rounds import Ratio, interleaved, table, timed, write
from tfspark_cnn import Column, InputMode, TFCluster
from tfspark_cnn.feed.reader import ReaderOptions

NODES = 2
FEEDERS = 2


@dataclass(frozen=True)
class Rows:
    """What is fed.

    Attributes:
        name: as it stands in the table.
        count: rows.
        shape: of a row.
        dtype: of its values; uint8 travels as bytes.
    """

    name: str
    count: int
    shape: tuple[int, ...]
    dtype: str

    def table(self) -> pa.Table:
        """Rows of noise: `image`, `label`."""
        draw = np.random.default_rng(0)
        size = int(np.prod(self.shape))
        if self.dtype == "uint8":
            flat = draw.integers(0, 256, self.count * size, dtype=np.uint8)
            offsets = pa.py_buffer(np.arange(0, self.count * size + 1, size, dtype=np.int32))
            image = pa.BinaryArray.from_buffers(pa.binary(), self.count, [None, offsets, pa.py_buffer(flat)])
        else:
            flat = draw.random(self.count * size, dtype=np.float32)
            image = pa.ListArray.from_arrays(np.arange(0, self.count * size + 1, size, dtype=np.int32), flat)
        return pa.table({"image": image, "label": np.arange(self.count) % 10})

    def column(self) -> Column:
        """The image as nodes ask for it."""
        return Column("image", shape=self.shape, dtype=self.dtype)


SIZES = (
    Rows("28x28 float32", 40_000, (28, 28), "float32"),
    Rows("32x32x3 bytes", 60_000, (32, 32, 3), "uint8"),
    Rows("224x224x3 bytes", 1_000, (224, 224, 3), "uint8"),
)


@dataclass(frozen=True)
class Count:
    """What `mapInArrow` into nothing does."""

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Takes all record batches, and gives their number of rows."""
        yield pa.record_batch([[sum(batch.num_rows for batch in batches)]], names=["rows"])


def take_all(column: Column, ctx: Any) -> int:
    """On a node: takes every feed to its end, without TensorFlow."""
    from tfspark_cnn.errors import FeedError

    reader = ctx._feeds.reader("train", ReaderOptions((column, Column("label")), 64, seed=0))
    rows = 0
    while True:
        try:
            rows += sum(len(batch[0]) for batch in reader.epoch())
        except FeedError:  # the cluster is shut down: no more feeds
            ctx._feeds.failure = None
            return rows


def measure(spark: Any, rows: Rows, rounds: int) -> Ratio:
    """Feeds the same persisted DataFrame to the nodes and into nothing, in turn."""
    data = spark.createDataFrame(rows.table()).repartition(8).persist()
    data.count()
    with TFCluster.run(spark, take_all, rows.column(), NODES, input_mode=InputMode.SPARK) as cluster:
        contenders = {
            "feed": lambda: rows.count / timed(lambda: cluster.train(data)),
            "nothing": lambda: rows.count / timed(lambda: data.mapInArrow(Count(), "rows long").collect()),
        }
        figures = interleaved(contenders, rounds=rounds)
        taken = sum(cluster.shutdown())
    data.unpersist()
    assert taken == rows.count * (rounds + 1), f"{taken} rows taken"
    return Ratio(
        f"DataFrame feed, first epoch, {rows.name}", "`mapInArrow` into nothing", "rows/s",
        figures["feed"], figures["nothing"], 0.9,
    )  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """Runs the benchmark and writes `bench/results/feed.*`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count, 3 or more")
    parser.add_argument("--scale", type=float, default=1.0, help="rows, times this")
    parser.add_argument("--dry", action="store_true", help="print, and write nothing")
    given = parser.parse_args(arguments)
    from pyspark.sql import SparkSession

    spark = (
        SparkSession.builder.master(f"local[{NODES + FEEDERS}]")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.memory", "4g")
        .config("spark.driver.host", "127.0.0.1")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    sizes = [Rows(r.name, int(r.count * given.scale), r.shape, r.dtype) for r in SIZES]
    ratios = [measure(spark, rows, given.rounds) for rows in sizes]
    spark.stop()
    sys.stdout.write(table(ratios, "make bench"))
    if not given.dry:
        write("feed", ratios, "make bench")


if __name__ == "__main__":
    main()
