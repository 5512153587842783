"""Runs the Spark job that feeds the nodes, in a thread of its own: it is cancelled when they need no more."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tfspark_cnn.cluster import feed_data
from tfspark_cnn.cluster.coordinator import INTERRUPT_S
from tfspark_cnn.cluster.feed_report import FeedReport, NodeFigures
from tfspark_cnn.cluster.launcher import brief, cancel_jobs, own_error
from tfspark_cnn.errors import EmptyFeedError, FeedError, TFSparkError
from tfspark_cnn.feed.source import Feeder, Sent

log = logging.getLogger(__name__)


@dataclass
class FeedJob:
    """One pass of Spark over the data of a `train` call.

    Attributes:
        spark: the session.
        frame: the DataFrame or RDD.
        feeder: what each task does.
        group: its job group, that of no other job.
        description: shown in the Spark UI.
        ended: called from the job's thread when it has ended, however.
        totals: rows of each share, when it has ended well.
        sent: what the feeder of each partition has told, when it has ended well.
        failure: what went wrong, or None.
        again: asked when it has failed; gives the feeder to try once more with, or None.
    """

    spark: Any
    frame: Any
    feeder: Feeder
    group: str
    description: str
    ended: Callable[[FeedJob], None]
    totals: list[int] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    failure: TFSparkError | None = None
    done: bool = False
    again: Callable[[Feeder], Feeder | None] = lambda feeder: None
    _cancelled: bool = False
    _thread: Any = None
    _began_s: float = 0.0
    _ended_s: float = 0.0

    def start(self) -> None:
        """Submits the job and returns."""
        self._began_s = time.monotonic()
        from pyspark import InheritableThread

        self._thread = InheritableThread(target=self._run, session=self.spark, name=f"{self.group}-feed")
        self._thread.daemon = True
        self._thread.start()

    def cancel(self) -> None:
        """Ends the job if it still runs, and waits for its thread. That it was ended is no failure of it."""
        ended_by_us = not self.done
        if ended_by_us:
            self._cancelled = True
            cancel_jobs(self.spark, self.group)
        while self._thread.is_alive():
            self._thread.join(INTERRUPT_S)
        if ended_by_us:
            self.failure = None

    def report(self, nodes: Sequence[NodeFigures]) -> FeedReport:
        """Gives the figures of the feed, as they are now."""
        now_s = time.monotonic()
        return FeedReport(
            self.feeder.feed,
            seconds=now_s - self._began_s,
            sent_s=(self._ended_s or now_s) - self._began_s,
            partitions=len(self.sent),
            source_s=sum(one.source_s for one in self.sent),
            deal_s=sum(one.deal_s for one in self.sent),
            send_s=sum(one.send_s for one in self.sent),
            nodes=tuple(nodes),
        )

    def _run(self) -> None:
        failure = self._send()
        while failure is not None and not self._cancelled:
            feeder = self.again(self.feeder)
            if feeder is None:
                break
            self.feeder = feeder
            failure = self._send()
        self.failure = failure
        self._ended_s = time.monotonic()
        self.done = True
        self.ended(self)

    def _send(self) -> TFSparkError | None:
        """Sends everything, and gives what went wrong."""
        try:
            self.spark.sparkContext.setJobGroup(self.group, self.description, interruptOnCancel=True)
            self.sent = feed_data.send(self.frame, self.feeder)
            self.totals = totals(self.sent)
        except TFSparkError as error:
            return error
        except Exception as error:  # py4j and Spark raise of many kinds, and so does the user's own code in the plan
            failed = FeedError(f"Spark failed the feed: {brief(error)}", hint="see the cause below")
            failure = own_error(error) or failed
            failure.__cause__ = error
            return failure
        return None


def totals(sent: Sequence[Sent]) -> list[int]:
    """Gives the rows of each share.

    Raises:
        EmptyFeedError: there are no rows, or fewer than data nodes.
        FeedError: a partition is missing or came twice.

    Example:
        >>> totals([Sent(0, [3, 4]), Sent(1, [2, 1])])
        [5, 5]
    """
    partitions = sorted(one.partition for one in sent)
    if partitions != list(range(len(sent))):
        raise FeedError(f"expected each of {len(sent)} partitions once, received {partitions[:20]}")
    sums = [sum(shares) for shares in zip(*(one.share for one in sent), strict=True)]
    if not sum(sums):
        raise EmptyFeedError("the data has no rows", hint="look at the filters and joins that made it")
    if not all(sums):
        raise EmptyFeedError(
            f"the data has {sum(sums)} rows, too few for each of {len(sums)} nodes to get one: {sums}",
            hint="use fewer workers, or more rows",
        )
    return sums
