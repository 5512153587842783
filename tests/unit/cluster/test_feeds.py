from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfspark_cnn.cluster.feeds import AHEAD_BYTES, Feed, Feeds
from tfspark_cnn.cluster.messages import (
    Attached,
    Consumed,
    FeedComplete,
    FeedOpened,
    Message,
    QueueClosed,
    ReaderAgreed,
    Received,
    ReceivedSeen,
    StepsReady,
)
from tfspark_cnn.cluster.topology import Node, Role, Topology, plan
from tfspark_cnn.errors import SchemaError
from tfspark_cnn.feed import epochs

# The ps and the evaluator take no part: the shares are those of nodes 1 and 3.
ROLES = (Role.PS, Role.WORKER, Role.EVALUATOR, Role.WORKER)
TOPOLOGY = Topology(tuple(Node(number, role, number // 2) for number, role in enumerate(ROLES)))
SHARES = (1, 3)


def opened(num_epochs: int = 1) -> Feed:
    return Feeds(TOPOLOGY).open("input", "schema", num_epochs)[0]


def attached(node: int, *, reader: int = 0, batch_rows: int = 8, spec: str = "x float32[4]") -> Attached:
    return Attached(node, "input-1", reader, batch_rows, spec)


def received(node: int, ready: int) -> Received:
    return Received(node, "input-1", ready, ready, 8 * ready)


def consumed(node: int, passes: int, *, reader: int = 0) -> Consumed:
    return Consumed(node, "input-1", reader=reader, passes=passes, step=0, rows=0, waited_s=0.0)


def test_a_chief_of_parameter_servers_counts_feeds_and_gets_no_share() -> None:
    feed, news = Feeds(plan(4, num_ps=1, master_node="chief")).open("input", "schema", 3)
    assert feed.shares == (2, 3)
    assert [message.node for message in news] == [1, 2, 3]


def test_workers_of_parameter_servers_do_not_wait_for_each_other() -> None:
    feeds = Feeds(plan(4, num_ps=1, master_node="chief"))
    feed, _ = feeds.open("input", "schema", 1)
    assert feed.attach(attached(2)) == [ReaderAgreed(2, "input-1", 0, [8])]
    assert feed.receive(received(2, 30)) == [StepsReady(2, "input-1", 0, 2)]
    assert feed.receive(received(3, 30)) == []
    assert feed.attach(attached(3, batch_rows=10)) == [
        ReaderAgreed(3, "input-1", 0, [10]), StepsReady(3, "input-1", 0, 2)
    ]  # fmt: skip
    assert feeds.half_attached() == []
    feeds.repeat(2)
    assert feed.attach(attached(2)) == [ReaderAgreed(2, "input-1", 0, [8])]
    assert feed.receive(received(2, 30)) == [StepsReady(2, "input-1", 0, 2)], "its successor is told anew"


def test_who_takes_the_place_of_another_is_told_the_newest_feed_of_each_queue_and_what_is_closed() -> None:
    feeds = Feeds(TOPOLOGY)
    for queue in ("validation", "input", "input"):
        feeds.open(queue, "schema", 3)
    feeds.by_id["input-2"].receive(received(3, 20))
    feeds.close(["output"])
    told = feeds.repeat(3)
    assert [(type(one).__name__, one.node) for one in told] == [("FeedOpened", 3)] * 2 + [("QueueClosed", 3)]
    assert [one.feed for one in told[:2]] == ["validation-1", "input-2"]
    assert feeds.by_id["input-2"].rows_received() == 0


def test_opening_a_feed_tells_chief_and_workers() -> None:
    feed, news = Feeds(TOPOLOGY).open("input", "schema", 3)
    assert feed.shares == SHARES
    assert news == [FeedOpened(number, "input", "input-1", "schema", 3, train_epochs=3) for number in SHARES]


def test_feeds_are_numbered_by_queue() -> None:
    feeds = Feeds(TOPOLOGY)
    names = [feeds.open(queue, "", 1)[0].opened.feed for queue in ("input", "validation", "input", "input")]
    assert names == ["input-1", "validation-1", "input-2", "input-3"]
    assert list(feeds.by_id) == names


def test_what_a_node_tells_of_rows_that_are_read_once_is_answered_after_what_follows_from_it() -> None:
    feed, _ = Feeds(TOPOLOGY).open("input", "", 1, train_epochs=5, once=True)
    assert feed.receive(received(1, 30)) == [ReceivedSeen(1, "input-1", 30, started=False)]
    for node in SHARES:
        feed.attach(attached(node))
    assert feed.receive(received(3, 20)) == [
        *(StepsReady(node, "input-1", 0, 1) for node in SHARES), ReceivedSeen(3, "input-1", 20, started=True)
    ]  # fmt: skip
    assert feed.receive(received(1, 31)) == [ReceivedSeen(1, "input-1", 31, started=True)]


@pytest.mark.parametrize(("window", "steps"), [(1, 2), (16, 1), (32, 0)])
def test_steps_are_allowed_where_whole_windows_have_come(window: int, steps: int) -> None:
    feed = opened()
    for node in SHARES:
        feed.attach(replace(attached(node), window_rows=window))
        feed.receive(received(node, 30))
    assert feed.readers[0].steps_ready == steps


def test_a_queue_is_closed_once() -> None:
    feeds = Feeds(TOPOLOGY)
    assert feeds.close(["input", "validation"]) == [
        QueueClosed(number, queue) for queue in ("input", "validation") for number in SHARES
    ]
    assert feeds.close(["validation", "input"]) == []
    assert feeds.close(["input", "output"]) == [QueueClosed(number, "output") for number in SHARES]


def test_a_node_that_detached_from_a_queue_wants_the_rows_of_others() -> None:
    feeds = Feeds(TOPOLOGY)
    feeds.detach("input", 3)
    wanted = {(queue, number) for queue in ("input", "output") for number in SHARES if feeds.wants_rows(queue, number)}
    assert wanted == {("input", 1), ("output", 1), ("output", 3)}


def test_all_are_told_what_each_takes_when_the_last_has_attached() -> None:
    feed = opened()
    assert feed.attach(attached(3, batch_rows=16)) == []
    assert feed.attach(attached(1, batch_rows=8)) == [ReaderAgreed(number, "input-1", 0, [8, 16]) for number in SHARES]


def test_readers_agree_one_by_one() -> None:
    feed = opened()
    feed.attach(attached(1, reader=0))
    assert feed.attach(attached(3, reader=1)) == []
    assert [m.reader for m in feed.attach(attached(3, reader=0)) if isinstance(m, ReaderAgreed)] == [0, 0]


def test_rows_that_came_before_the_readers_count() -> None:
    feed = opened()
    assert feed.receive(received(1, 40)) == [] and feed.receive(received(3, 33)) == []
    feed.attach(attached(1))
    assert feed.attach(attached(3)) == [
        *[ReaderAgreed(number, "input-1", 0, [8, 8]) for number in SHARES],
        *[StepsReady(number, "input-1", 0, 3) for number in SHARES],
    ]


def test_a_late_reader_gets_the_steps_of_its_own() -> None:
    feed = opened()
    for number in SHARES:
        feed.attach(attached(number, reader=0, batch_rows=4))
        feed.receive(received(number, 32))
    feed.attach(attached(1, reader=1, batch_rows=16))
    out = feed.attach(attached(3, reader=1, batch_rows=8))
    assert [(m.node, m.reader, m.steps) for m in out if isinstance(m, StepsReady)] == [(1, 1, 1), (3, 1, 1)]


@pytest.mark.parametrize("late", [False, True])
def test_nodes_to_which_a_row_does_not_look_the_same_are_refused(late: bool) -> None:
    feed = opened()
    if late:
        feed.finish([5, 5], 1)
    feed.attach(attached(1, spec="x float32[4]; y int64[]"))
    with pytest.raises(
        SchemaError, match=r"not look the same to all nodes: node 1: x float32\[4\]; y int64\[\]; node 3: x uint8\[4\]"
    ) as caught:
        feed.attach(attached(3, spec="x uint8[4]; y int64[]"))
    assert "same columns, shapes and dtypes on every node" in (caught.value.hint or "")


def test_readers_of_one_node_may_read_different_columns() -> None:
    feed = opened()
    for number in SHARES:
        feed.attach(attached(number, reader=0, spec="x float32[4]"))
        feed.attach(attached(number, reader=1, spec="y int64[]"))
    assert sorted(feed.readers) == [0, 1]


def test_the_end_is_told_to_all_and_ends_the_news_of_steps() -> None:
    feed = opened()
    for number in SHARES:
        feed.attach(attached(number))
    feed.receive(received(1, 100))
    assert feed.finish([100, 90], 7) == [FeedComplete(number, "input-1", [100, 90], 7) for number in SHARES]
    assert feed.receive(received(3, 90)) == []
    assert feed.complete is not None and feed.rows_received() == 190


def test_whoever_attaches_after_the_end_is_told_the_agreement_only() -> None:
    feed = opened()
    feed.finish([50, 50], 2)
    feed.receive(received(1, 50))
    feed.receive(received(3, 50))
    feed.attach(attached(1))
    assert [type(message) for message in feed.attach(attached(3))] == [ReaderAgreed, ReaderAgreed]


def test_passes_are_those_of_all_readers_together() -> None:
    feed = opened()
    assert feed.passes(1) == 0
    feed.consume(consumed(1, 1))
    feed.consume(consumed(1, 2))
    feed.consume(consumed(1, 1, reader=1))
    feed.consume(consumed(3, 1))
    assert (feed.passes(1), feed.passes(3)) == (3, 1)


events = st.lists(
    st.tuples(st.sampled_from(["attach", "receive"]), st.integers(0, 2), st.integers(0, 1), st.integers(0, 60)),
    max_size=60,
)


@given(st.lists(st.integers(1, 9), min_size=3, max_size=3), events)
def test_steps_follow_the_node_that_has_least_and_never_fall(batch_rows: list[int], happened: list) -> None:
    feed = Feeds(plan(3)).open("input", "", 1)[0]
    rows, told = [0, 0, 0], {0: [0], 1: [0]}
    for kind, node, reader, more in happened:
        if kind == "receive":
            rows[node] += more
            out = feed.receive(received(node, rows[node]))
        else:
            out = feed.attach(attached(node, reader=reader, batch_rows=batch_rows[node]))
        check_steps(feed, [m for m in out if isinstance(m, StepsReady)], told, rows, batch_rows)


def check_steps(
    feed: Feed, news: list[StepsReady], told: dict[int, list[int]], rows: list[int], batch_rows: list[int]
) -> None:
    for reader in {message.reader for message in news}:
        to = [message for message in news if message.reader == reader]
        assert [message.node for message in to] == [0, 1, 2]
        assert len({message.steps for message in to}) == 1
        told[reader].append(to[0].steps)
    for number, steps in told.items():
        assert steps == sorted(set(steps)), "told once, and never less"
        everybody = number in feed.readers and len(feed.readers[number].attached) == 3
        assert steps[-1] == (epochs.full_steps(rows, batch_rows) if everybody else 0)


@given(st.lists(st.tuples(st.sampled_from(SHARES), st.integers(0, 100)), max_size=30))
def test_news_of_rows_that_overtook_each_other_take_no_steps_back(happened: list[tuple[int, int]]) -> None:
    feed, steps = opened(), [0]
    for number in SHARES:
        feed.attach(attached(number))
    for node, ready in happened:
        out: list[Message] = feed.receive(received(node, ready))
        steps += [message.steps for message in out[:1] if isinstance(message, StepsReady)]
    assert steps == sorted(set(steps))


def stream_of(*passes: dict[int, int], nbytes: int = 8, reader: int = epochs.ROWS_READER, num_epochs: int = 1) -> Feeds:
    """Feeds of one queue, all rows of which are with the nodes, and how often each node has taken each."""
    feeds = Feeds(TOPOLOGY)
    for number, by_node in enumerate(passes, 1):
        feed, name = feeds.open("input", "schema", num_epochs)[0], f"input-{number}"
        for node in SHARES:
            feed.receive(Received(node, name, 8, 8, nbytes))
            feed.consume(Consumed(node, name, reader, by_node[node], step=1, rows=0, waited_s=0.0))
    return feeds


NONE, FIRST, BOTH = {1: 0, 3: 0}, {1: 1, 3: 0}, {1: 1, 3: 1}


@pytest.mark.parametrize(
    ("feeds", "starves"),
    [
        (stream_of(FIRST), True),
        (stream_of(NONE), False),
        (stream_of(BOTH), False),
        (stream_of(FIRST, reader=0), False),  # datasets are read in step
        (stream_of(FIRST, num_epochs=0), False),
        (stream_of(FIRST, num_epochs=2), False),
        (stream_of(FIRST, nbytes=AHEAD_BYTES), True),
        (stream_of(FIRST, nbytes=AHEAD_BYTES + 1), False),
        (stream_of(FIRST, FIRST, nbytes=AHEAD_BYTES // 2), True),
        (stream_of(FIRST, FIRST, nbytes=AHEAD_BYTES // 2 + 1), False),
        (stream_of(BOTH, FIRST, nbytes=AHEAD_BYTES), True),
    ],
)
def test_a_node_without_rows_starves_while_others_have_some_but_not_too_many(feeds: Feeds, starves: bool) -> None:
    assert feeds.starves(f"input-{len(feeds.by_id)}", SHARES) is starves


def test_a_node_that_takes_no_more_lets_nobody_starve() -> None:
    assert not stream_of(FIRST).starves("input-1", [1])
    assert not stream_of(FIRST).starves("input-1", [])


def test_feeds_are_over_when_no_node_that_asks_has_rows_of_them_left() -> None:
    feeds = stream_of(BOTH, FIRST, BOTH, NONE)
    assert feeds.over("input", before=4, askers=SHARES) == ["input-1", "input-3"]
    assert feeds.over("input", before=3, askers=[1]) == ["input-1", "input-2"]
    assert feeds.over("input", before=5, askers=[]) == ["input-1", "input-2", "input-3", "input-4"]
    feeds.retire("input-1")
    assert feeds.over("input", before=4, askers=SHARES) == ["input-3"]
    assert stream_of(FIRST, reader=0).over("input", before=2, askers=SHARES) == ["input-1"]
