"""What `cluster.train` does with rows: a feed for the nodes, a Spark job that sends it, and the wait for both.

There is one for each attempt of the cluster; the next one is fed the same calls.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tfspark_cnn.cluster import feed_data, policy
from tfspark_cnn.cluster.attempts import Attempt
from tfspark_cnn.cluster.feed_job import FeedJob
from tfspark_cnn.cluster.feed_report import FeedReport
from tfspark_cnn.cluster.node_feeds import schema_text
from tfspark_cnn.cluster.node_plan import Cache
from tfspark_cnn.cluster.state import ClusterState
from tfspark_cnn.errors import FeedTimeout
from tfspark_cnn.feed.source import Feeder

log = logging.getLogger(__name__)

STILL_S = 1.0
"""Of a stream: where a node has no rows left and others take none for so long, they may be waiting for it in a step.
Where they only compute that long, no more is lost than that their rows lie on their disks: `feeds.AHEAD_BYTES`."""


@dataclass(frozen=True)
class TrainCall:
    """What `train` was called with.

    Attributes:
        data: a DataFrame or an RDD.
        num_epochs: how often each row is to be taken; 0: until every node has stopped asking.
        feed_timeout: seconds without any progress after which the cluster is given up.
        qname: the queue.
        validation: rows for the queue `validation`, or None.
        streamed: whether more data comes on its own, so that a node that has none left may be waiting for it.
    """

    data: Any
    num_epochs: int
    feed_timeout: float
    qname: str
    validation: Any
    streamed: bool = False


class TrainFeeds:
    """Feeds the nodes of an attempt.

    Args:
        attempt: whose jobs these are.
        reports: takes the figures of each feed that is over.
        timings: seconds by phase; those of `feed` are added to.
    """

    def __init__(self, attempt: Attempt, *, reports: deque[FeedReport], timings: dict[str, float]) -> None:
        self._attempt, self._reports, self._timings = attempt, reports, timings
        self._coordinator = attempt.coordinator

    def asking(self, qname: str) -> list[int]:
        """Gives the data nodes that may still take rows of a queue."""
        return self._askers(self._coordinator.state, qname)

    def send(self, call: TrainCall) -> None:
        """Feeds the rows of a call, and returns when the nodes have taken all epochs of them or have ended.

        Raises:
            FeedError: Spark could not compute the data.
            FeedTimeout: nothing moved for `feed_timeout` seconds.
            NodeError: a node failed.
        """
        if call.validation is not None:
            self._feed(call.validation, "validation", 0)
        if self._attempt.options.cache is Cache.NONE:
            self._train_each_epoch(call)
            return
        with self._feeding(call.data, call.qname, call.num_epochs) as job:
            self._await_job(job, call.qname, call.feed_timeout)
            self._await_taken(job, call)
            self._report(job)

    def _train_each_epoch(self, call: TrainCall) -> None:
        """Feeds each epoch anew, as a feed of its own. The next one arrives while the nodes take the rest of one."""
        for number in itertools.count(1):
            with self._feeding(call.data, call.qname, 1, train_epochs=call.num_epochs, once=True) as job:
                self._await_job(job, call.qname, call.feed_timeout)
                if number == call.num_epochs:
                    self._await_taken(job, call)
                self._report(job)
                if number == call.num_epochs or not self.asking(call.qname):
                    return

    def _report(self, job: FeedJob) -> None:
        """Keeps the figures of a feed, and forgets the feed before the last of its queue."""
        feed = self._coordinator.state.feeds.by_id[job.feeder.feed]
        names = [(number, self._coordinator.state.topology.nodes[number].name) for number in feed.shares]
        nodes = [feed.figures(number, name) for number, name in names]
        self._reports.append(job.report(nodes))
        log.info("%s", self._reports[-1])
        queue, _, number = job.feeder.feed.rpartition("-")
        events = self._coordinator.feed_events
        if events is not None:
            events.feed(queue, self._reports[-1])
        if (recorder := self._attempt.blueprint.recorder) is not None:
            recorder.feed_ended(queue, self._reports[-1])
        state = self._coordinator.state
        for feed_id in state.feeds.over(queue, before=int(number) - 1, askers=self._askers(state, queue)):
            self._coordinator.forget(feed_id)

    @contextlib.contextmanager
    def _feeding(self, data: Any, qname: str, num_epochs: int, **how: Any) -> Iterator[FeedJob]:
        """Feeds data; when the block is left, the Spark job has ended, or is ended."""
        job = self._feed(data, qname, num_epochs, **how)
        try:
            yield job
        finally:
            job.cancel()
            if job.failure is None:
                self._attempt.jobs.remove(job)

    def _feed(self, data: Any, qname: str, num_epochs: int, **how: Any) -> FeedJob:
        """Announces a feed to the nodes and starts the Spark job that sends it."""
        schema = feed_data.schema_of(data)
        opened: list[str] = []

        def open_feed(state: ClusterState) -> Any:
            feed, news = state.feeds.open(qname, schema_text(schema), num_epochs, **how)
            opened.append(feed.opened.feed)
            return news

        self._coordinator.act(open_feed)
        feed, attempt = opened[0], self._attempt
        if attempt.blueprint.recorder is not None:
            attempt.blueprint.recorder.feed_began(feed, qname, how.get("train_epochs", num_epochs))
        feeder = Feeder(feed, attempt.resending.inboxes(), attempt.options.secret, schema)
        group, description = f"{attempt.launch.group}-{feed}", f"feed {feed} of {attempt.options.run_id}"
        job = FeedJob(attempt.blueprint.spark, data, feeder, group, description, self._fed)
        job.again = attempt.resending.again
        attempt.resending.keep(job)
        attempt.jobs.append(job)
        job.start()
        return job

    def _fed(self, job: FeedJob) -> None:
        """Called when a feed job has ended: tells the nodes the totals, so that they can plan the rest."""
        if job.failure is None:
            self._attempt.resending.finish(job)
        self._coordinator.wake()

    def _await_job(self, job: FeedJob, qname: str, feed_timeout: float) -> None:
        """Waits until Spark has sent everything, or nobody wants more.

        Raises:
            FeedError: Spark could not, with this feed or with one beside it.
        """
        began = time.monotonic()
        jobs = [*self._attempt.jobs]
        self._await_progress(lambda _: any(j.failure for j in jobs) or job.done, job.feeder.feed, qname, feed_timeout)
        self._timings["feed"] += time.monotonic() - began
        failure = next((j.failure for j in jobs if j.failure), None)
        if failure is not None and self._coordinator.state.training():
            # Feeders fail too when a node does: wait a moment for what it has to say.
            self._coordinator.wait(lambda state: bool(state.failures), timeout_s=policy.SETTLE_S)
            self._attempt.raise_error()
            raise failure

    def _await_taken(self, job: FeedJob, call: TrainCall) -> None:
        """Waits until every node that asks has taken all epochs of a feed; 0: until nobody asks."""
        name = job.feeder.feed

        def taken(state: ClusterState) -> bool:
            return all(map(state.feeds.by_id[name].is_taken, self._askers(state, call.qname)))

        def starves(state: ClusterState) -> bool:
            return call.streamed and state.feeds.starves(name, self._askers(state, call.qname))

        def taken_or_starves(state: ClusterState) -> bool:
            return taken(state) or starves(state)

        while True:
            self._await_progress(taken_or_starves, name, call.qname, call.feed_timeout)
            if not starves(self._coordinator.state) or self._stands_still(taken):
                return

    def _stands_still(self, taken: Callable[[ClusterState], bool]) -> bool:
        """Gives whether nothing has moved for a while; False as soon as something does, or all is taken."""
        began_s = self._coordinator.last_event_s

        def moves(state: ClusterState) -> bool:
            return taken(state) or self._coordinator.last_event_s > began_s

        if self._coordinator.wait(moves, timeout_s=max(0.0, began_s + STILL_S - time.monotonic())):
            return False
        log.info("a node has no rows of the stream left, and others take none before it has: the next rows are fed")
        return True

    @staticmethod
    def _askers(state: ClusterState, qname: str) -> list[int]:
        """Gives the data nodes that may still take rows of a queue."""
        return [number for number in state.training() if state.feeds.wants_rows(qname, number)]

    def _await_progress(
        self, condition: Callable[[ClusterState], bool], feed: str, qname: str, feed_timeout: float
    ) -> None:
        """Waits for the condition or for all nodes to stop asking, as long as something moves."""

        def met(state: ClusterState) -> bool:
            return condition(state) or not self._askers(state, qname)

        while True:
            quiet_s = time.monotonic() - self._coordinator.last_event_s
            if self._coordinator.wait(met, timeout_s=max(0.01, feed_timeout - quiet_s)):
                self._attempt.raise_error()
                return
            if time.monotonic() - self._coordinator.last_event_s >= feed_timeout:
                raise FeedTimeout(
                    f"nothing has moved for {feed_timeout:g} s: {self._coordinator.who_waits(feed)}",
                    hint="look at the node that has taken nothing: if it asks for a dataset that is not fed, as "
                    'name="validation", feed that too: train(..., validation=...); if its steps are that long, raise '
                    "feed_timeout",
                )
