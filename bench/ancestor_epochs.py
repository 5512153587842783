"""Later epochs of a feed against tensorflowonspark's, on rows of lists of Python floats.

`cluster.train(rows, num_epochs=3)` on both sides; what counts are the second and the third epoch, from the moment when
the nodes together have taken all rows once until they have taken them three times. The ancestor sends every epoch
again, through Spark and its queues; our nodes have the rows.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import part
from bench.nodes import reader_of
from bench.part import Options
from bench.peer import Peer, peer
from bench.rdd import COLUMNS, SIZE
from bench.rounds import Ratio, interleaved
from bench.rows import Rows, frame, rdd
from bench.shared_epochs import SLACK_ROWS, Stamps, batches_of, later_rows_per_s
from bench.spark import NODES, application
from tfspark_cnn import InputMode, TFCluster

PARTITIONS = 2
COUNT = 10_000
EPOCHS = 3
NAMED = "tensorflowonspark 2.2.5, `next_batch`"


@dataclass(frozen=True)
class StampBoth:
    """Takes epochs of the training feed as arrays and, at the same time, rows of the queue `rows` as Python objects.

    Attributes:
        arrays: stamps of the first.
        rows: stamps of the second.
        passes: epochs of the training feed.
    """

    arrays: Stamps
    rows: Stamps
    passes: int

    def __call__(self, args: Any, ctx: Any) -> None:
        """Takes both to their ends."""
        feed = ctx.get_data_feed(qname_in="rows")
        thread = threading.Thread(target=lambda: self.rows.leave(ctx.executor_id, batches_of(feed)))
        thread.start()
        self.arrays.leave(ctx.executor_id, self._batches(ctx))
        thread.join()

    def _batches(self, ctx: Any) -> Iterator[int]:
        reader = reader_of(ctx, COLUMNS)
        return (len(batch[0]) for _ in range(self.passes) for batch in reader.epoch())


def measure(spark: Any, ancestor: Peer, options: Options) -> list[Ratio]:
    """Feeds the same rows three times by each of the ways, in turn: to our nodes and to the ancestor's."""
    count = max(4 * SLACK_ROWS, options.rows(COUNT))
    ancestor("cluster", count=count, size=SIZE, partitions=PARTITIONS, program="stamp")
    lists = rdd(spark.sparkContext, count=count, size=SIZE, numpy=False, partitions=PARTITIONS)
    images = frame(spark, Rows("", count, (SIZE,), "float32"), partitions=PARTITIONS).toDF("_1", "_2").persist()
    assert images.count() == count
    with tempfile.TemporaryDirectory(prefix="bench-epochs-") as directory:
        arrays, rows = (Stamps(Path(directory, name)) for name in ("arrays", "rows"))
        both = StampBoth(arrays, rows, passes=EPOCHS * (options.rounds + 1))
        with TFCluster.run(spark, both, None, NODES, input_mode=InputMode.SPARK, queues=("input", "rows")) as cluster:
            figures = interleaved(
                {
                    "ancestor": lambda: float(ancestor("later", epochs=EPOCHS)),
                    "frame": lambda: later(lambda: cluster.train(images, EPOCHS), arrays, count),
                    "rdd, rows": lambda: later(lambda: cluster.train(lists, EPOCHS, qname="rows"), rows, count),
                },
                rounds=options.rounds,
            )
    ancestor("end")
    return ratios(figures)


def later(train: Callable[[], None], stamps: Stamps, count: int) -> float:
    """Gives the rows per second of all epochs but the first of a call of `train`."""
    began = time.time()
    train()
    return later_rows_per_s(stamps.all_since(began, rows=count * EPOCHS), rows=count, epochs=EPOCHS)


def ratios(figures: dict[str, list[float]]) -> list[Ratio]:
    """Sets both of our ways against the ancestor's only one."""
    ways = {
        "frame": "later epochs of a DataFrame feed, 784 float32",
        "rdd, rows": "later epochs by `get_data_feed` of an RDD, lists of 784 Python floats",
    }
    return [Ratio(what, NAMED, "rows/s", figures[way], figures["ancestor"]) for way, what in ways.items()]


def _measure(options: Options) -> list[Ratio]:
    with peer() as ancestor, application() as spark:
        ancestor("start")
        return measure(spark, ancestor, options)


def main() -> None:
    """Runs this part."""
    part.run("ancestor_epochs", __doc__, _measure)


if __name__ == "__main__":
    main()
