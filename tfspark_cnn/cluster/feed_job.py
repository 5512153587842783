"""Runs the Spark job that feeds the nodes, in a thread of its own: it is cancelled when they need no more."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tfspark_cnn.cluster import feed_data
from tfspark_cnn.cluster.launcher import brief, own_error
from tfspark_cnn.errors import EmptyFeedError, FeedError, TFSparkError
from tfspark_cnn.feed.source import Feeder

log = logging.getLogger(__name__)


@dataclass
class FeedJob:
    """One pass of Spark over the data of a `train` call.

    Attributes:
        spark: the session.
        frame: the DataFrame or RDD.
        feeder: what each task does.
        group: its job group.
        description: shown in the Spark UI.
        ended: called from the job's thread when it has ended, however.
        totals: rows of each share, when it has ended well.
        partitions: of the data, when it has ended well.
        failure: what went wrong, or None.
    """

    spark: Any
    frame: Any
    feeder: Feeder
    group: str
    description: str
    ended: Callable[[FeedJob], None]
    totals: list[int] = field(default_factory=list)
    partitions: int = 0
    failure: TFSparkError | None = None
    done: bool = False
    _thread: Any = None

    def start(self) -> None:
        """Submits the job and returns."""
        from pyspark import InheritableThread

        self._thread = InheritableThread(target=self._run, session=self.spark, name=f"{self.group}-feed")
        self._thread.daemon = True
        self._thread.start()

    def cancel(self) -> None:
        """Ends the job if it still runs, and waits for its thread. That it was ended is no failure of it."""
        ended_by_us = not self.done
        if ended_by_us:
            self.spark.sparkContext.cancelJobGroup(self.group)
        self._thread.join()
        if ended_by_us:
            self.failure = None

    def _run(self) -> None:
        try:
            self.spark.sparkContext.setJobGroup(self.group, self.description, interruptOnCancel=True)
            self.totals, self.partitions = totals(feed_data.send(self.frame, self.feeder))
        except TFSparkError as error:
            self.failure = error
        except Exception as error:  # py4j and Spark raise of many kinds, and so does the user's own code in the plan
            failed = FeedError(f"Spark failed the feed: {brief(error)}", hint="see the cause below")
            self.failure = own_error(error) or failed
            self.failure.__cause__ = error
        self.done = True
        self.ended(self)


def totals(fed: Sequence[tuple[int, Sequence[int]]]) -> tuple[list[int], int]:
    """Gives the rows of each share, and the number of partitions, from what each feeder gave.

    Raises:
        EmptyFeedError: there are no rows, or fewer than data nodes.
        FeedError: a partition is missing or came twice.

    Example:
        >>> totals([(0, [3, 4]), (1, [2, 1])])
        ([5, 5], 2)
    """
    partitions = sorted(partition for partition, _ in fed)
    if partitions != list(range(len(fed))):
        raise FeedError(f"expected each of {len(fed)} partitions once, received {partitions[:20]}")
    sums = [sum(shares) for shares in zip(*(share for _, share in fed), strict=True)]
    if not sum(sums):
        raise EmptyFeedError("the data has no rows", hint="look at the filters and joins that made it")
    if not all(sums):
        raise EmptyFeedError(
            f"the data has {sum(sums)} rows, too few for each of {len(sums)} nodes to get one: {sums}",
            hint="use fewer workers, or more rows",
        )
    return sums, len(partitions)
