"""`cluster.inference` against tensorflowonspark's, on rows of lists of Python floats.

The map_fun of both sides gives back the label of each row, which costs next to nothing: what is measured is the path
of 784 floats to the nodes and of a number back. The results are added up by Spark, and the sum is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench import part
from bench.part import Options
from bench.peer import Peer, peer
from bench.rdd import SIZE
from bench.rounds import Ratio, interleaved, timed
from bench.rows import Rows, frame, rdd
from bench.shared_inference import checked_rate, give_labels
from bench.spark import NODES, application
from tfspark_cnn import InputMode, TFCluster

COUNT = 16_000
PARTITIONS = 2
NAMED = "tensorflowonspark 2.2.5"


def measure(spark: Any, ancestor: Peer, options: Options) -> list[Ratio]:
    """Has the same rows answered by our nodes, as a DataFrame and as an RDD, and by the ancestor's, in turn."""
    count = options.rows(COUNT)
    ancestor("cluster", count=count, size=SIZE, partitions=PARTITIONS, program="labels")
    lists = rdd(spark.sparkContext, count=count, size=SIZE, numpy=False, partitions=PARTITIONS)
    images = frame(spark, Rows("", count, (SIZE,), "float32"), partitions=PARTITIONS).persist()
    assert images.count() == count
    with TFCluster.run(spark, give_labels, None, NODES, input_mode=InputMode.SPARK) as cluster:
        figures = interleaved(
            {
                "ancestor": lambda: float(ancestor("infer")),
                "frame": lambda: _rate(lambda: _sum(cluster.inference(images, result_type="bigint")), count),
                "rdd": lambda: _rate(lambda: cluster.inference(lists).sum(), count),
            },
            rounds=options.rounds,
        )
    ancestor("end")
    return ratios(figures)


def _sum(answered: Any) -> int:
    from pyspark.sql import functions as sf

    return int(answered.select(sf.sum("prediction")).first()[0])


def _rate(total: Callable[[], float], count: int) -> float:
    totals: list[float] = []
    seconds = timed(lambda: totals.append(total()))
    return checked_rate(totals[0], seconds, count=count)


def ratios(figures: dict[str, list[float]]) -> list[Ratio]:
    """Sets both of our ways against the ancestor's only one."""
    ways = {
        "frame": "`cluster.inference` of a DataFrame, 784 float32, one number back",
        "rdd": "`cluster.inference` of an RDD, lists of 784 Python floats, one number back",
    }
    return [Ratio(what, NAMED, "rows/s", figures[way], figures["ancestor"]) for way, what in ways.items()]


def _measure(options: Options) -> list[Ratio]:
    with peer() as ancestor, application() as spark:
        ancestor("start")
        return measure(spark, ancestor, options)


def main() -> None:
    """Runs this part."""
    part.run("ancestor_inference", __doc__, _measure)


if __name__ == "__main__":
    main()
