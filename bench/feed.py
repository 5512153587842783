"""The feed of a DataFrame against what Spark can hand to Python: `mapInArrow` into nothing, on the same slots."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from bench import part
from bench.nodes import Take
from bench.part import Options
from bench.rounds import Ratio, interleaved, timed
from bench.rows import Rows, frame
from bench.spark import NODES, application, workers_of_their_own
from tfspark_cnn import Column, InputMode, TFCluster

SIZES = (
    Rows("28x28 float32", 40_000, (28, 28), "float32"),
    Rows("32x32x3 bytes", 60_000, (32, 32, 3), "uint8"),
    Rows("224x224x3 bytes", 2_000, (224, 224, 3), "uint8"),
    Rows("224x224x3 JPEG files", 20_000, (224, 224, 3), "uint8", jpeg=True),
)


@dataclass(frozen=True)
class Count:
    """What `mapInArrow` into nothing does."""

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Takes all record batches, and gives their number of rows."""
        yield pa.record_batch([[sum(batch.num_rows for batch in batches)]], names=["rows"])


def columns(rows: Rows) -> tuple[Column, ...]:
    """The columns as nodes ask for them. JPEG files stay files: it is TensorFlow that decodes them."""
    if rows.jpeg:
        return Column("image", shape=rows.shape, encoding="jpeg"), Column("label")
    return Column("image", shape=rows.shape, dtype=rows.dtype), Column("label")


def measure_rows(spark: Any, rows: Rows, rounds: int) -> Ratio:
    """Feeds the same persisted DataFrame to the nodes and into nothing, in turn."""
    data = frame(spark, rows).persist()
    assert data.count() == rows.count
    take = Take(columns(rows), passes=rounds + 1)
    with TFCluster.run(spark, take, None, NODES, input_mode=InputMode.SPARK) as cluster:
        with workers_of_their_own(spark.sparkContext):
            nothing = data.mapInArrow(Count(), "rows long")
        contenders = {
            "feed": lambda: rows.count / timed(lambda: cluster.train(data)),
            "nothing": lambda: rows.count / timed(nothing.collect),
        }
        figures = interleaved(contenders, rounds=rounds)
        taken = sum(cluster.shutdown())
    data.unpersist(blocking=True)
    assert taken == rows.count * (rounds + 1), f"{taken} rows taken"
    return Ratio(
        f"DataFrame feed, first epoch, {rows.name}", "`mapInArrow` into nothing", "rows/s",
        figures["feed"], figures["nothing"], least=0.9, row_bytes=rows.row_bytes,
    )  # fmt: skip


def measure(spark: Any, options: Options) -> list[Ratio]:
    """Measures all sizes."""
    return [measure_rows(spark, rows.with_count(options.rows(rows.count)), options.rounds) for rows in SIZES]


def _measure(options: Options) -> list[Ratio]:
    with application() as spark:
        return measure(spark, options)


def main() -> None:
    """Runs this part."""
    part.run("feed", __doc__, _measure)


if __name__ == "__main__":
    main()
