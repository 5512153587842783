"""The feed of an RDD against Python going over the same RDD: the rows are unpickled, and nothing else is done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from bench import part
from bench.nodes import Take
from bench.part import Options
from bench.rounds import Ratio, interleaved, timed
from bench.rows import rdd
from bench.spark import NODES, application, workers_of_their_own
from tfspark_cnn import Column, InputMode, TFCluster

SIZE = 784
COLUMNS = (Column("_1", shape=(SIZE,), dtype="float32"), Column("_2"))


@dataclass(frozen=True)
class Kind:
    """What the rows of an RDD are.

    Attributes:
        name: as it stands in the table.
        count: rows.
        numpy: whether images are float32 arrays; else they are lists of Python floats.
    """

    name: str
    count: int
    numpy: bool


KINDS = (
    Kind("784 float32 in a NumPy array", 60_000, numpy=True),
    Kind("lists of 784 Python floats", 60_000, numpy=False),
)


@dataclass(frozen=True)
class CountRows:
    """What going over an RDD into nothing does."""

    def __call__(self, rows: Iterable[Any]) -> Iterator[int]:
        """Takes all rows, and gives their number."""
        yield sum(1 for _ in rows)


def measure_kind(spark: Any, kind: Kind, rounds: int) -> Ratio:
    """Feeds the same persisted RDD to the nodes and into nothing, in turn."""
    data = rdd(spark.sparkContext, count=kind.count, size=SIZE, numpy=kind.numpy)
    take = Take(COLUMNS, passes=rounds + 1)
    with TFCluster.run(spark, take, None, NODES, input_mode=InputMode.SPARK) as cluster:
        contenders = {
            "feed": lambda: kind.count / timed(lambda: cluster.train(data)),
            "nothing": lambda: kind.count / timed(lambda: _into_nothing(data)),
        }
        figures = interleaved(contenders, rounds=rounds)
        taken = sum(cluster.shutdown())
    data.unpersist(blocking=True)
    assert taken == kind.count * (rounds + 1), f"{taken} rows taken"
    return Ratio(
        f"RDD feed, first epoch, {kind.name}", "the RDD iterated into nothing", "rows/s",
        figures["feed"], figures["nothing"], least=0.8, row_bytes=4 * SIZE,
    )  # fmt: skip


def _into_nothing(data: Any) -> None:
    with workers_of_their_own(data.context):
        data.mapPartitions(CountRows()).collect()


def measure(spark: Any, options: Options) -> list[Ratio]:
    """Measures all kinds of rows."""
    kinds = [Kind(kind.name, options.rows(kind.count), kind.numpy) for kind in KINDS]
    return [measure_kind(spark, kind, options.rounds) for kind in kinds]


def _measure(options: Options) -> list[Ratio]:
    with application() as spark:
        return measure(spark, options)


def main() -> None:
    """Runs this part."""
    part.run("rdd", __doc__, _measure)


if __name__ == "__main__":
    main()
