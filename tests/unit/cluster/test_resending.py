from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pyarrow as pa
import pytest

from tfspark_cnn.cluster.feed_job import FeedJob
from tfspark_cnn.cluster.messages import Abort, Entered, FeedComplete, Message, Restarting
from tfspark_cnn.cluster.resending import Resending
from tfspark_cnn.cluster.state import ClusterState
from tfspark_cnn.cluster.topology import Topology, plan
from tfspark_cnn.feed.source import Feeder, Sent

SERVERS = plan(4, num_ps=1, master_node="chief")  # 2 and 3 are workers
STARTED: list[FakeJob] = []


@dataclass
class FakeCoordinator:
    """A state that nobody changes from elsewhere."""

    topology: Topology = SERVERS
    sent: list[Message] = field(default_factory=list)
    succeeded: Callable[[int], None] = print

    def __post_init__(self) -> None:
        self.state = ClusterState(self.topology)
        for node in self.topology:
            self.enter(node.number, f"inbox-{node.number}")

    def enter(self, number: int, inbox: str) -> None:
        self.sent += self.state.handle(Entered(number, pid=1, inbox=inbox))

    def die(self, number: int) -> None:
        self.state.handle(Restarting(number, "h", "was ended by SIGKILL"))

    def act(self, action: Callable[[ClusterState], Iterable[Message]]) -> None:
        self.sent += action(self.state)

    def wait(self, condition: Callable[[ClusterState], bool], *, timeout_s: float | None) -> bool:
        return condition(self.state)


class FakeJob(FeedJob):
    """A job that Spark does not run."""

    def start(self) -> None:
        STARTED.append(self)

    def end(self, totals: list[int]) -> None:
        self.totals, self.sent, self.done = totals, [Sent(0, totals)], True
        self.ended(self)


@pytest.fixture
def coordinator():
    STARTED.clear()
    return FakeCoordinator()


def fed(coordinator: FakeCoordinator, resending: Resending) -> FakeJob:
    """A job under way to both workers."""
    coordinator.act(lambda state: state.feeds.open("input", "schema", 2)[1])
    feeder = Feeder("input-1", resending.inboxes(), "secret", pa.schema([("x", pa.int64())]))
    job = FakeJob(None, "data", feeder, "group", "a feed", resending.finish)
    resending.keep(job)
    coordinator.sent.clear()
    return job


def completed(coordinator: FakeCoordinator) -> list[int]:
    return [message.node for message in coordinator.sent if isinstance(message, FeedComplete)]


def test_where_nobody_died_all_are_told_the_end_and_nothing_is_sent_again(coordinator) -> None:
    job = fed(coordinator, Resending(coordinator))
    job.end([5, 4])
    assert (completed(coordinator), STARTED) == ([2, 3], [])


def test_the_share_of_a_worker_that_died_later_goes_to_its_successor_alone(coordinator) -> None:
    resending = Resending(coordinator)
    job = fed(coordinator, resending)
    job.end([5, 4])
    coordinator.die(3)
    coordinator.enter(3, "inbox-new")
    coordinator.sent.clear()
    coordinator.succeeded(3)
    (again,) = STARTED
    assert again.feeder.inboxes == (None, "inbox-new")
    again.end([5, 4])
    assert completed(coordinator) == [3]


def test_rows_that_went_to_a_worker_which_died_meanwhile_are_sent_again_once(coordinator) -> None:
    resending = Resending(coordinator)
    job = fed(coordinator, resending)
    coordinator.die(3)
    coordinator.enter(3, "inbox-new")
    coordinator.succeeded(3)
    assert STARTED == [], "its job is still under way"
    job.end([5, 4])
    coordinator.succeeded(3)
    assert completed(coordinator) == [2]
    assert [again.feeder.inboxes for again in STARTED] == [(None, "inbox-new")]


def test_a_successor_that_dies_too_ends_what_was_sent_to_it(coordinator) -> None:
    resending = Resending(coordinator)
    job = fed(coordinator, resending)
    job.end([5, 4])
    for inbox in ("second", "third"):
        coordinator.die(3)
        coordinator.enter(3, inbox)
        coordinator.succeeded(3)
    coordinator.sent.clear()
    for again in STARTED:
        again.end([5, 4])
    assert [again.feeder.inboxes[1] for again in STARTED] == ["second", "third"]
    assert completed(coordinator) == [3], "the third alone"


def test_data_that_is_another_the_second_time_stops_the_cluster(coordinator) -> None:
    resending = Resending(coordinator)
    fed(coordinator, resending).end([5, 4])
    coordinator.die(3)
    coordinator.enter(3, "new")
    coordinator.succeeded(3)
    STARTED[0].end([6, 3])
    assert any(isinstance(message, Abort) for message in coordinator.sent)
    assert "the data of input-1 is another than it was" in coordinator.state.failures[0].message


def test_a_job_is_tried_again_only_where_a_worker_was_replaced(coordinator) -> None:
    resending = Resending(coordinator)
    job = fed(coordinator, resending)
    assert resending.again(job.feeder) is None, "it failed for a reason of its own"
    coordinator.die(2)
    coordinator.enter(2, "new")
    assert resending.again(job.feeder).inboxes == ("new", "inbox-3")


def test_a_synchronous_cluster_never_tries_again() -> None:
    coordinator = FakeCoordinator(plan(2, master_node="chief"))
    feeder = Feeder("input-1", ("elsewhere", "inbox-1"), "secret", pa.schema([]))
    assert Resending(coordinator).again(feeder) is None
