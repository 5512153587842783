"""The feed against tensorflowonspark's, on rows of lists of Python floats, which is what its users feed."""

from __future__ import annotations

from typing import Any

from bench import part
from bench.nodes import TakeBoth
from bench.part import Options
from bench.peer import Peer, peer
from bench.rdd import COLUMNS, SIZE
from bench.rounds import Ratio, interleaved, timed
from bench.rows import Rows, frame, rdd
from bench.spark import NODES, application
from tfspark_cnn import InputMode, TFCluster

COUNT = 40_000
PARTITIONS = 2
"""One for each feeder: the ancestor sleeps up to a second at the end of every partition, so more would slow it down."""

NAMED = "tensorflowonspark 2.2.5, `next_batch`"


def measure(spark: Any, ancestor: Peer, options: Options) -> list[Ratio]:
    """Feeds the same rows by each of the ways, in turn: to our nodes and to the ancestor's."""
    count = options.rows(COUNT)
    ancestor("cluster", count=count, size=SIZE, partitions=PARTITIONS)
    lists = rdd(spark.sparkContext, count=count, size=SIZE, numpy=False, partitions=PARTITIONS)
    images = frame(spark, Rows("", count, (SIZE,), "float32"), partitions=PARTITIONS).toDF("_1", "_2").persist()
    assert images.count() == count
    take = TakeBoth(COLUMNS, passes=2 * (options.rounds + 1))
    with TFCluster.run(spark, take, None, NODES, input_mode=InputMode.SPARK, queues=("input", "rows")) as cluster:

        def fed(data: Any, qname: str) -> float:
            return count / timed(lambda: cluster.train(data, qname=qname))

        figures = interleaved(
            {
                "ancestor": lambda: float(ancestor("feed")),
                "frame": lambda: fed(images, "input"),
                "rdd": lambda: fed(lists, "input"),
                "frame, rows": lambda: fed(images, "rows"),
                "rdd, rows": lambda: fed(lists, "rows"),
            },
            rounds=options.rounds,
        )
        taken = cluster.shutdown()
    ancestor("end")
    expected = 2 * (options.rounds + 1) * count
    assert [sum(rows) for rows in zip(*taken, strict=True)] == [expected, expected], f"{taken} rows taken"
    return ratios(figures)


def ratios(figures: dict[str, list[float]]) -> list[Ratio]:
    """Sets each of our ways against the ancestor's only one."""
    ways = (
        ("frame", "DataFrame feed, first epoch, 784 float32", 20),
        ("rdd", "RDD feed, first epoch, lists of 784 Python floats", 4),
        ("frame, rows", "`get_data_feed` of a DataFrame, 784 float32", 10),
        ("rdd, rows", "`get_data_feed` of an RDD, lists of 784 Python floats", 4),
    )
    return [Ratio(what, NAMED, "rows/s", figures[way], figures["ancestor"], least=least) for way, what, least in ways]


def _measure(options: Options) -> list[Ratio]:
    with peer() as ancestor, application() as spark:
        ancestor("start")
        return measure(spark, ancestor, options)


def main() -> None:
    """Runs this part."""
    part.run("ancestor", __doc__, _measure)


if __name__ == "__main__":
    main()
