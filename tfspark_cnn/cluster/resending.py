"""Brings the rows of a worker that has died to the process that has taken its place.

Dealing depends on the data and the number of workers alone, so Spark can compute a share again: the job of the feed
runs once more, and sends to that one inbox. Where the job was still under way, it is run again as a whole, and the
other inboxes skip what they hold.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable

from tfspark_cnn.cluster import policy
from tfspark_cnn.cluster.coordinator import Coordinator, addresses
from tfspark_cnn.cluster.feed_job import FeedJob
from tfspark_cnn.cluster.messages import Failed, FeedComplete, Message
from tfspark_cnn.cluster.state import ClusterState
from tfspark_cnn.errors import FeedError, TFSparkError
from tfspark_cnn.feed.source import Feeder

log = logging.getLogger(__name__)

Inboxes = tuple[str | None, ...]


class Resending:
    """The newest feed of each queue, and who needs rows of it again. Called from threads of jobs and of the service.

    Args:
        coordinator: knows the nodes; it tells of each process that has taken the place of another.
    """

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        self._newest: dict[str, FeedJob] = {}
        self._lock = threading.Lock()
        self._begun: set[tuple[str, str]] = set()  # feed and inbox
        self._jobs: list[FeedJob] = []
        coordinator.succeeded = self._succeeded

    def keep(self, job: FeedJob) -> None:
        """Takes note of the job of a feed; there is one of a queue at a time."""
        with self._lock:
            self._newest[job.feeder.feed.rpartition("-")[0]] = job

    def inboxes(self) -> tuple[str, ...]:
        """Gives where all data nodes are found, waiting for those that are being started again."""
        self._coordinator.wait(lambda state: None not in addresses(state), timeout_s=None)
        return tuple(inbox for inbox in addresses(self._coordinator.state) if inbox is not None)

    def again(self, feeder: Feeder) -> Feeder | None:
        """Gives what to send once more with when a job has failed as an inbox was gone; None: it has failed."""
        if not self._coordinator.state.topology.asynchronous:
            return None

        def moved(state: ClusterState) -> bool:
            return tuple(addresses(state)) != feeder.inboxes

        if not self._coordinator.wait(moved, timeout_s=policy.SETTLE_S) or self._coordinator.state.abort_reason:
            return None
        inboxes = self.inboxes()
        return None if self._coordinator.state.abort_reason else dataclasses.replace(feeder, inboxes=inboxes)

    def finish(self, job: FeedJob) -> None:
        """Tells the nodes that all rows are with them, and sends the shares again that went to a process that died."""
        name, inboxes = job.feeder.feed, job.feeder.inboxes

        def complete(state: ClusterState) -> list[Message]:
            gone = {share for share, inbox in enumerate(addresses(state)) if inbox != inboxes[share]}
            feed = state.feeds.by_id[name]
            news = feed.finish(job.totals, len(job.sent))
            return [one for one in news if feed.shares.index(one.node) not in gone]

        self._coordinator.act(complete)
        self._resend(job)

    def close(self) -> None:
        """Ends what is under way."""
        with self._lock:
            jobs, self._jobs = self._jobs, []
        for job in jobs:
            job.cancel()

    # --- inner -------------------------------------------------------------------------------------------------------

    def _succeeded(self, number: int) -> None:
        with self._lock:
            done = [job for job in self._newest.values() if job.done and job.failure is None]
        for job in done:
            self._resend(job)

    def _resend(self, job: FeedJob) -> None:
        state = self._coordinator.state
        if job.feeder.feed not in state.feeds.by_id:
            return
        for share, inbox in enumerate(addresses(state)):
            if inbox is not None and inbox != job.feeder.inboxes[share]:
                self._begin(job, share, inbox)

    def _begin(self, job: FeedJob, share: int, inbox: str) -> None:
        feeder = job.feeder
        with self._lock:
            if (feeder.feed, inbox) in self._begun:
                return
            self._begun.add((feeder.feed, inbox))
            only: Inboxes = tuple(inbox if place == share else None for place in range(len(feeder.inboxes)))
            number = self._coordinator.state.topology.data_nodes[share].number
            one = dataclasses.replace(
                job, feeder=dataclasses.replace(feeder, inboxes=only), group=f"{job.group}-again-{len(self._begun)}",
                ended=self._ended(number, inbox), again=lambda _: None, totals=[], sent=[], done=False, _thread=None,
            )  # fmt: skip
            self._jobs.append(one)
        name = self._coordinator.state.topology.nodes[number].name
        log.warning(
            "%s runs again; Spark sends its rows of %s again. Some may be trained twice in an epoch; where Spark gives "
            "them in another order than before, as after a shuffle, it gets other rows: persist or sort the data",
            name,
            feeder.feed,
        )
        one.start()

    def _ended(self, number: int, inbox: str) -> Callable[[FeedJob], None]:
        def ended(job: FeedJob) -> None:
            self._coordinator.act(lambda state: self._outcome(state, job, number, inbox))

        return ended

    def _outcome(self, state: ClusterState, job: FeedJob, number: int, inbox: str) -> list[Message]:
        feed = state.feeds.by_id.get(job.feeder.feed)
        entered = state.nodes[number].entered
        if feed is None or feed.complete is None or entered is None or entered.inbox != inbox:
            return []  # nobody needs it, or another process does by now
        error = job.failure or _changed(job, feed.complete)
        if error is None:
            return [dataclasses.replace(feed.complete, node=number)]
        return state.handle(
            Failed(number, host="driver", message=error.message, error=type(error).__name__, hint=error.hint)
        )


def _changed(job: FeedJob, complete: FeedComplete) -> TFSparkError | None:
    if job.totals == complete.totals and len(job.sent) == complete.partitions:
        return None
    return FeedError(
        f"the data of {complete.feed} is another than it was: {job.totals} rows by worker, before {complete.totals}",
        hint="make the data deterministic, or checkpoint it before train",
    )
