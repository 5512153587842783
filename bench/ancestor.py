"""The feed against tensorflowonspark's: of DataFrames, which it takes as `df.rdd`, and of RDDs of lists of floats."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bench import part
from bench.feed import columns
from bench.nodes import TakeBoth
from bench.part import Options
from bench.peer import Peer, peer
from bench.rdd import COLUMNS, SIZE
from bench.rounds import Ratio, interleaved, timed
from bench.rows import Rows, frame, rdd
from bench.spark import NODES, application
from tfspark_cnn import Column, InputMode, TFCluster

FLOATS = Rows("784 float32", 60_000, (SIZE,), "float32")
BYTES = Rows("28x28 bytes", 60_000, (28, 28), "uint8")
"""As many rows as MNIST has to train on."""
PARTITIONS = 2
"""One for each feeder: the ancestor sleeps up to a second at the end of every partition, so more would slow it down."""

NAMED = "tensorflowonspark 2.2.5, `next_batch`"


def measure(spark: Any, ancestor: Peer, options: Options) -> list[Ratio]:
    """Feeds the same rows by each of the ways, in turn: to our nodes and to the ancestor's."""
    floats = FLOATS.with_count(options.rows(FLOATS.count))
    pixels = BYTES.with_count(options.rows(BYTES.count))
    lists = rdd(spark.sparkContext, count=floats.count, size=SIZE, numpy=False, partitions=PARTITIONS)
    of_floats = _figures(spark, ancestor, floats, COLUMNS, options.rounds, lists=lists)
    of_bytes = _figures(spark, ancestor, pixels, _renamed(columns(pixels)), options.rounds)
    return ratios(of_floats, of_bytes)


def _figures(
    spark: Any, ancestor: Peer, rows: Rows, taken: tuple[Column, ...], rounds: int, lists: Any = None
) -> dict[str, list[float]]:
    """Gives the rows per second of each way, by its name: `frame`, `frame, rows`, and with an RDD `rdd`, `rdd, rows`.

    Those of the ancestor are named `ancestor, frame` and `ancestor, rdd`.
    """
    images = frame(spark, rows, partitions=PARTITIONS).toDF("_1", "_2").persist()
    assert images.count() == rows.count
    ancestor("cluster", count=rows.count, size=rows.size, partitions=PARTITIONS)
    ancestor("frame", shape=rows.shape, dtype=rows.dtype)
    feeds = 1 if lists is None else 2
    take = TakeBoth(taken, passes=feeds * (rounds + 1))
    with TFCluster.run(spark, take, None, NODES, input_mode=InputMode.SPARK, queues=("input", "rows")) as cluster:

        def fed(data: Any, qname: str) -> float:
            return rows.count / timed(lambda: cluster.train(data, qname=qname))

        ways = {
            "ancestor, frame": lambda: float(ancestor("feed", what="frame")),
            "frame": lambda: fed(images, "input"),
            "frame, rows": lambda: fed(images, "rows"),
        }
        if lists is not None:
            ways |= {
                "ancestor, rdd": lambda: float(ancestor("feed")),
                "rdd": lambda: fed(lists, "input"),
                "rdd, rows": lambda: fed(lists, "rows"),
            }
        figures = interleaved(ways, rounds=rounds)
        in_all = cluster.shutdown()
    ancestor("end")
    images.unpersist(blocking=True)
    expected = feeds * (rounds + 1) * rows.count
    assert [sum(one) for one in zip(*in_all, strict=True)] == [expected, expected], f"{in_all} rows taken"
    return figures


def _renamed(found: tuple[Column, ...]) -> tuple[Column, ...]:
    """Gives the columns under the names of an RDD's."""
    return tuple(replace(column, name=f"_{number}") for number, column in enumerate(found, 1))


def ratios(floats: dict[str, list[float]], pixels: dict[str, list[float]]) -> list[Ratio]:
    """Sets each of our ways against the ancestor's, which takes DataFrames as `df.rdd`, and floats as lists, too."""
    against = {"frame": f"{NAMED}, `df.rdd`", "rdd": f"{NAMED}, an RDD of lists"}
    ways = (
        (pixels, "frame", "DataFrame feed, first epoch, 28x28 bytes", "frame", 20),
        (floats, "frame", "DataFrame feed, first epoch, 784 float32", "frame", 20),
        (floats, "frame", "DataFrame feed, first epoch, 784 float32", "rdd", 20),
        (floats, "rdd", "RDD feed, first epoch, lists of 784 Python floats", "rdd", 4),
        (pixels, "frame, rows", "`get_data_feed` of a DataFrame, 28x28 bytes", "frame", 10),
        (floats, "frame, rows", "`get_data_feed` of a DataFrame, 784 float32", "frame", 10),
        (floats, "frame, rows", "`get_data_feed` of a DataFrame, 784 float32", "rdd", 10),
        (floats, "rdd, rows", "`get_data_feed` of an RDD, lists of 784 Python floats", "rdd", 4),
    )
    return [
        Ratio(what, against[theirs], "rows/s", figures[way], figures[f"ancestor, {theirs}"], least=least)
        for figures, way, what, theirs, least in ways
    ]


def _measure(options: Options) -> list[Ratio]:
    with peer() as ancestor, application() as spark:
        ancestor("start")
        return measure(spark, ancestor, options)


def main() -> None:
    """Runs this part."""
    part.run("ancestor", __doc__, _measure)


if __name__ == "__main__":
    main()
