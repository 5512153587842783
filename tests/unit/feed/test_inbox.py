"""The inbox as feeders meet it: a real Flight server on loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import flight

from tfspark_cnn.errors import FeedError, TFSparkError
from tfspark_cnn.feed import inbox as inbox_module
from tfspark_cnn.feed import transport
from tfspark_cnn.feed.cache import FeedStore
from tfspark_cnn.feed.inbox import BATCH, COMMIT, Inbox, Mark, Share, descriptor

SCHEMA = pa.schema({"row": pa.int64()})
SOON_S = 10.0
MARK_BYTES = len(Mark(BATCH, 0).pack())


def rows(start: int, stop: int) -> pa.RecordBatch:
    return pa.record_batch([list(range(start, stop))], schema=SCHEMA)


@dataclass
class Node:
    """An inbox with one feed, and clients that are closed with it."""

    store: FeedStore = field(default_factory=lambda: FeedStore(lambda *_: None))
    broken: list[TFSparkError] = field(default_factory=list)
    clients: list[Any] = field(default_factory=list)
    inbox: Inbox = field(init=False)

    def __post_init__(self) -> None:
        self.inbox = Inbox("127.0.0.1", "secret", broken=self.broken.append)
        self.inbox.add("input-1", self.store)

    def client(self, secret: str = "secret") -> Any:
        self.clients.append(transport.connect(self.inbox.location, secret))
        return self.clients[-1]

    def share(self, *, partition: int = 0, feed: str = "input-1") -> Share:
        return Share(self.client(), feed=feed, partition=partition, schema=SCHEMA)

    def held(self) -> list[int]:
        return [row for chunk in self.store.chunks() for row in chunk.column("row").to_pylist()]

    def await_rows(self, partition: int, count: int) -> None:
        with self.store.changed:
            assert self.store.changed.wait_for(lambda: self.store.resume(partition)[0] >= count, SOON_S)


@pytest.fixture
def node() -> Iterator[Node]:
    one = Node()
    yield one
    for client in one.clients:
        client.close()
    one.inbox.close()


def test_a_share_arrives_whole_and_in_order(node: Node) -> None:
    share = node.share()
    for start in (0, 10, 20):
        share.send(rows(start, start + 10))
    share.send(rows(30, 30))
    share.commit()
    node.store.close(1, 30)
    assert (share.rows, node.held(), node.broken) == (30, list(range(30)), [])


def test_a_share_without_rows_is_committed(node: Node) -> None:
    node.share(partition=0).commit()
    node.store.close(1, 0)


def test_shares_of_many_partitions_come_at_once(node: Node) -> None:
    shares = {partition: node.share(partition=partition) for partition in (2, 0, 1)}
    for start in (0, 5):
        for partition, share in shares.items():
            share.send(rows(100 * partition + start, 100 * partition + start + 5))
    for share in shares.values():
        share.commit()
    node.store.close(3, 30)
    assert node.held() == [100 * partition + row for partition in range(3) for row in range(10)]


@pytest.mark.parametrize("how", ["closed", "dropped"])
def test_a_feeder_killed_half_way_is_resumed_where_it_stopped(node: Node, how: str) -> None:
    first = node.share()
    first.send(rows(0, 10))
    node.await_rows(0, 10)
    if how == "closed":
        first._writer.close()
    else:
        del first  # without a word: the call is cancelled
    second = node.share()
    assert second._resume.row == 10
    second.send(rows(0, 7))
    second.send(rows(7, 14))
    second.send(rows(14, 20))
    second.commit()
    node.store.close(1, 20)
    assert (node.held(), node.broken) == (list(range(20)), [])


def test_rows_of_a_killed_feeder_that_come_late_are_left_out(node: Node) -> None:
    slow, quick = node.share(), node.share()
    assert slow._resume.row == quick._resume.row == 0
    quick.send(rows(0, 12))
    node.await_rows(0, 12)
    slow.send(rows(0, 8))
    slow.send(rows(8, 20))
    slow.commit()
    quick.send(rows(12, 20))
    quick.commit()
    node.store.close(1, 20)
    assert (node.held(), node.broken) == (list(range(20)), [])


@pytest.mark.parametrize("sizes", [(1, 7), (5, 5), (3, 40)])
def test_two_speculative_twins_at_once_count_once(node: Node, sizes: tuple[int, int]) -> None:
    start, failures = threading.Barrier(2), []

    def feed(size: int) -> None:
        try:
            share = node.share()
            start.wait(SOON_S)
            for first in range(0, 200, size):
                share.send(rows(first, min(200, first + size)))
            share.commit()
        except Exception as error:
            failures.append(error)

    twins = [threading.Thread(target=feed, args=(size,)) for size in sizes]
    for twin in twins:
        twin.start()
    for twin in twins:
        twin.join(SOON_S)
    assert failures == []
    node.store.close(1, 200)
    assert (node.held(), node.broken) == (list(range(200)), [])


def test_a_twin_that_comes_after_the_commit_sends_nothing(node: Node) -> None:
    for _ in range(2):
        share = node.share()
        share.send(rows(0, 10))
        share.commit()
    node.store.close(1, 10)
    assert node.held() == list(range(10))


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", ["", "Secret", "secret2"])
def test_a_feeder_without_the_secret_is_refused_and_counted(node: Node, secret: str) -> None:
    with pytest.raises(flight.FlightUnauthenticatedError, match="the secret of this cluster is missing or wrong"):
        Share(node.client(secret), feed="input-1", partition=0, schema=SCHEMA).commit()
    assert node.inbox.refused == 1
    assert (node.held(), node.broken) == ([], [])


def test_a_client_that_shows_no_secret_at_all_is_refused(node: Node) -> None:
    with flight.FlightClient(node.inbox.location) as client:
        with pytest.raises(flight.FlightUnauthenticatedError, match="missing or wrong"):
            Share(client, feed="input-1", partition=0, schema=SCHEMA).commit()
        with pytest.raises(flight.FlightUnauthenticatedError, match="missing or wrong"):
            list(client.list_flights())
    assert node.inbox.refused == 2


def test_a_feed_that_was_not_announced_is_refused_by_its_name(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_module, "OPEN_WAIT_S", 0.01)
    with pytest.raises(flight.FlightServerError, match="feed 'input-7' was not announced to this node in 0 s"):
        node.share(feed="input-7").commit()
    assert node.broken == [], "the feeder tells; the node has done nothing wrong"


def test_a_feed_that_is_announced_late_is_waited_for(node: Node) -> None:
    store, opened = FeedStore(lambda *_: None), []
    feeder = threading.Thread(target=lambda: opened.append(node.share(feed="input-2")))
    feeder.start()
    node.inbox.add("input-2", store)
    feeder.join(SOON_S)
    opened[0].send(rows(0, 3))
    opened[0].commit()
    store.close(1, 3)


def test_a_feed_that_was_removed_takes_no_more_rows(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_module, "OPEN_WAIT_S", 0.01)
    node.inbox.remove("input-1")
    node.inbox.remove("input-1")
    with pytest.raises(flight.FlightServerError, match="feed 'input-1' was not announced"):
        node.share().commit()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (b"no json", "does not name its feed and partition: JSONDecodeError"),
        (b'"\xff"', "does not name its feed and partition: UnicodeDecodeError"),
        (b"{}", "does not name its feed and partition: KeyError"),
        (b"[1]", "does not name its feed and partition: TypeError"),
        (b"[" * 60_000, "does not name its feed and partition: RecursionError"),
        (b'{"feed": "input-1"}', "does not name its feed and partition: KeyError"),
        (b'{"feed": "input-1", "partition": "first"}', "by other things than a text and a number"),
        (b'{"feed": "input-1", "partition": true}', "by other things than a text and a number"),
        (b'{"feed": "input-1", "partition": 1e999}', "by other things than a text and a number"),
        (b'{"feed": ["input-1"], "partition": 0}', "by other things than a text and a number"),
        (b" " * 1_000_000, "is named by 1000000 bytes, expected at most 65536"),
        (None, "does not name its feed and partition: JSONDecodeError"),
    ],
)
@pytest.mark.parametrize("exchange", [False, True])
def test_a_stream_that_names_no_share_is_refused_and_counted(
    node: Node, command: bytes | None, words: str, exchange: bool
) -> None:
    if exchange and command:
        command = command.replace(b"feed", b"queue")
    named = flight.FlightDescriptor.for_command(command) if command else flight.FlightDescriptor.for_path("input-1")
    with pytest.raises(flight.FlightServerError, match=words.replace("feed", "queue") if exchange else words):
        if exchange:
            writer, reader = node.client().do_exchange(named)
            writer.done_writing()
            reader.read_chunk()
        else:
            writer, reader = node.client().do_put(named, SCHEMA)
            assert reader.read() is None
            writer.close()
    assert (node.broken, node.inbox.refused) == ([], 1)


def refusal_of(node: Node, share: Share) -> str:
    """Ends a share that must be refused and counted, without harm to the node; gives what the sender hears."""
    with pytest.raises(flight.FlightServerError) as caught:
        share._answer()
        share._writer.close()
    assert (node.broken, node.inbox.refused) == ([], 1)
    rightful = node.share()
    rightful.send(rows(0, 4))
    rightful.commit()
    node.store.close(1, 4)
    assert node.held() == [0, 1, 2, 3], "the feeder of the partition is not concerned"
    return str(caught.value)


@pytest.mark.parametrize("metadata", [b"", b"b", b"x" * MARK_BYTES, b"b" * (MARK_BYTES + 1)])
def test_metadata_of_another_kind_is_refused_and_counted(node: Node, metadata: bytes) -> None:
    share = node.share()
    share._writer.write_with_metadata(rows(0, 4), metadata)
    assert f"carries {len(metadata)} unknown bytes of metadata, expected {MARK_BYTES}" in refusal_of(node, share)


def test_a_batch_without_metadata_is_refused_and_counted(node: Node) -> None:
    share = node.share()
    share._writer.write_batch(rows(0, 4))
    assert "carries 0 unknown bytes of metadata" in refusal_of(node, share)


def test_a_gap_is_refused_and_counted(node: Node) -> None:
    share = node.share(partition=3)
    share._writer.write_with_metadata(rows(0, 4), Mark(BATCH, 2).pack())
    assert "partition 3: expected row 0 next, received row 2" in refusal_of(node, share)


def test_a_commit_of_rows_that_did_not_come_is_refused_and_counted(node: Node) -> None:
    share = node.share()
    share.send(rows(0, 4))
    share._writer.write_metadata(Mark(COMMIT, 9).pack())
    assert "expected the 9 rows it was committed with, received 4" in refusal_of(node, share)


def test_a_commit_of_rows_of_a_partition_nobody_has_is_refused_and_counted(node: Node) -> None:
    share = node.share(partition=77)
    share._writer.write_metadata(Mark(COMMIT, 5).pack())
    assert "partition 77: expected the 5 rows it was committed with, received 0" in refusal_of(node, share)


def test_a_commit_of_no_rows_of_a_partition_nobody_has_changes_nothing(node: Node) -> None:
    for partition in (1, 77):
        node.share(partition=partition).commit()
    share = node.share()
    share.send(rows(0, 4))
    share.commit()
    node.store.close(1, 4)
    assert (node.held(), node.broken) == ([0, 1, 2, 3], [])


def test_the_feeder_hears_why_its_commit_was_refused(node: Node) -> None:
    done = node.share()
    done.send(rows(0, 10))
    done.commit()
    shorter = node.share()
    shorter.send(rows(0, 4))
    with pytest.raises(flight.FlightServerError, match="partition 0 changed between tries"):
        shorter.commit()
    assert "changed between tries" in str(node.broken[0])


@pytest.mark.parametrize("partition", [-1, -(2**40)])
def test_a_partition_that_cannot_be_is_refused_and_counted(node: Node, partition: int) -> None:
    share = node.share(partition=partition)
    share.send(rows(0, 1))
    assert f"received rows of partition {partition}" in refusal_of(node, share)


# --- marks and names -------------------------------------------------------------------------------------------------


@given(st.sampled_from([BATCH, COMMIT]), st.integers(-(2**63), 2**63 - 1))
def test_a_mark_arrives_as_it_was_sent(kind: bytes, row: int) -> None:
    assert Mark.unpack(Mark(kind, row).pack()) == Mark(kind, row)


@given(st.binary(max_size=16).filter(lambda body: len(body) != MARK_BYTES or body[:1] not in (BATCH, COMMIT)))
def test_other_bytes_are_no_mark(body: bytes) -> None:
    words = f"a stream carries {len(body)} unknown bytes of metadata, expected {MARK_BYTES}"
    with pytest.raises(FeedError, match=words):
        Mark.unpack(body)


def test_a_descriptor_names_feed_and_partition() -> None:
    assert descriptor("input-1", 7).command == b'{"feed": "input-1", "partition": 7}'


def test_an_inbox_says_where_it_is(node: Node) -> None:
    assert node.inbox.location == f"grpc://127.0.0.1:{node.inbox.port}"
