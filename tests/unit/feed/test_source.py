from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfspark_cnn.errors import FeedError, TFSparkError
from tfspark_cnn.feed.cache import FeedStore
from tfspark_cnn.feed.dealing import Dealer
from tfspark_cnn.feed.inbox import Inbox
from tfspark_cnn.feed.source import Feeder, _cut, pieces_of

SCHEMA = pa.schema({"row": pa.int64(), "many": pa.list_(pa.float32()), "name": pa.string()})


def batch_of(start: int, stop: int) -> pa.RecordBatch:
    columns: list[Any] = [
        list(range(start, stop)),
        [[float(row)] * (row % 4) for row in range(start, stop)],
        [f"row {row}" if row % 3 else None for row in range(start, stop)],
    ]
    return pa.record_batch([pa.array(c, t) for c, t in zip(columns, SCHEMA.types, strict=True)], schema=SCHEMA)


@given(st.integers(0, 1000), st.integers(1, 7), st.integers(0, 500), st.integers(0, 200))
@settings(deadline=None)
def test_a_cut_batch_is_what_take_gives_of_the_dealt_rows(
    partition: int, workers: int, first_row: int, rows: int
) -> None:
    dealer, batch = Dealer(partition, workers), batch_of(first_row, first_row + rows)
    pieces = _cut(batch, dealer, first_row)
    assert len(pieces) == workers
    for piece, dealt in zip(pieces, dealer.deal(first_row, rows), strict=True):
        assert piece.schema == SCHEMA
        assert piece.equals(batch.take(pa.array(dealt)))


def test_a_batch_for_one_node_is_not_copied() -> None:
    batch = batch_of(0, 50)
    assert _cut(batch, Dealer(3, 1), 0)[0] is batch


@dataclass
class Node:
    """A node as a feeder sees it."""

    store: FeedStore = field(default_factory=lambda: FeedStore(lambda *_: None))
    broken: list[TFSparkError] = field(default_factory=list)
    inbox: Inbox = field(init=False)

    def __post_init__(self) -> None:
        self.inbox = Inbox("127.0.0.1", "secret", broken=self.broken.append)
        self.inbox.add("input-1", self.store)

    def rows(self) -> list[int]:
        return [row for chunk in self.store.chunks() for row in chunk.column("row").to_pylist()]


@pytest.fixture
def nodes() -> Iterator[list[Node]]:
    three = [Node() for _ in range(3)]
    yield three
    for node in three:
        node.inbox.close()


def feeder(nodes: list[Node], **changes: Any) -> Feeder:
    fields = {
        "feed": "input-1", "inboxes": tuple(node.inbox.location for node in nodes), "secret": "secret",
        "schema": SCHEMA, **changes,
    }  # fmt: skip
    return Feeder(**fields)


def partition_of(number: int, rows: int, size: int) -> Iterator[pa.RecordBatch]:
    base = 10_000 * number
    return (batch_of(base + start, base + min(rows, start + size)) for start in range(0, rows, size))


def test_each_row_reaches_one_node_once_and_in_order(nodes: list[Node]) -> None:
    sizes = [0, 700, 1, 64, 333]
    shares = [feeder(nodes).send(number, partition_of(number, rows, 90)).share for number, rows in enumerate(sizes)]
    totals = [sum(share) for share in zip(*shares, strict=True)]
    for node, total in zip(nodes, totals, strict=True):
        node.store.close(len(sizes), total)
        assert node.rows() == sorted(node.rows())
        assert node.broken == []
    everything = [10_000 * number + row for number, rows in enumerate(sizes) for row in range(rows)]
    assert sorted(row for node in nodes for row in node.rows()) == everything
    assert shares == [list(Dealer(number, 3).share_rows(rows)) for number, rows in enumerate(sizes)]


def test_the_batches_that_arrive_hold_what_was_sent(nodes: list[Node]) -> None:
    feeder(nodes).send(0, [batch_of(0, 100)])
    for node, dealt in zip(nodes, Dealer(0, 3).deal(0, 100), strict=True):
        assert pa.Table.from_batches(node.store.chunks()).equals(
            pa.Table.from_batches([batch_of(0, 100).take(pa.array(dealt))])
        )


def test_a_share_without_an_inbox_stays_where_it_is_and_is_counted(nodes: list[Node]) -> None:
    every = feeder(nodes).inboxes
    shares = feeder(nodes, inboxes=(None, every[1], None)).send(0, partition_of(0, 320, 37)).share
    assert shares == list(Dealer(0, 3).share_rows(320))
    assert [len(node.rows()) for node in nodes] == [0, shares[1], 0]


def test_a_partition_without_rows_is_committed_on_every_node(nodes: list[Node]) -> None:
    assert feeder(nodes).send(0, []).share == [0, 0, 0]
    assert feeder(nodes).send(1, [batch_of(0, 0)]).share == [0, 0, 0]
    for node in nodes:
        node.store.close(2, 0)


@pytest.mark.timeout(30)
def test_tiny_partitions_of_feeders_side_by_side_arrive_once_and_in_order(nodes: list[Node]) -> None:
    sizes, shares = [number % 4 for number in range(300)], {}

    def feed(numbers: list[int]) -> None:
        for number in numbers:
            shares[number] = feeder(nodes).send(number, partition_of(number, sizes[number], 2)).share

    # One from the front and one from the back: rows of later partitions wait for those before.
    feeders = [threading.Thread(target=feed, args=(n,)) for n in (list(range(150)), list(range(299, 149, -1)))]
    for one in feeders:
        one.start()
    for one in feeders:
        one.join()
    for node, total in zip(nodes, np.sum(list(shares.values()), axis=0).tolist(), strict=True):
        node.store.close(300, total)
        assert (node.rows(), node.broken) == (sorted(node.rows()), [])
    assert sum(len(node.rows()) for node in nodes) == sum(sizes)
    assert len({row for node in nodes for row in node.rows()}) == sum(sizes)


def test_a_feeder_that_failed_half_way_is_repeated_in_other_batches(nodes: list[Node]) -> None:
    def breaks_off() -> Iterator[pa.RecordBatch]:
        yield from (batch_of(start, start + 50) for start in range(0, 200, 50))
        raise ZeroDivisionError("the user's own code in the plan")

    with pytest.raises(ZeroDivisionError):
        feeder(nodes).send(0, breaks_off())
    assert sum(feeder(nodes).send(0, partition_of(0, 320, 37)).share) == 320
    assert sorted(row for node in nodes for row in node.rows()) == list(range(320))
    assert [node.broken for node in nodes] == [[], [], []]


def test_an_inbox_that_is_gone_is_an_error_of_the_feed_with_its_partition(nodes: list[Node]) -> None:
    nodes[1].inbox.close()
    with pytest.raises(FeedError, match=r"partition 4 could not be sent: ") as caught:
        feeder(nodes).send(4, [batch_of(0, 10)])
    assert "its node has ended" in (caught.value.hint or "")


def test_a_feeder_without_the_secret_sends_nothing(nodes: list[Node]) -> None:
    with pytest.raises(FeedError, match=r"partition 0 could not be sent: .*secret of this cluster"):
        feeder(nodes, secret="guessed").send(0, [batch_of(0, 10)])
    assert [node.rows() for node in nodes] == [[], [], []]


def test_a_partition_that_changed_between_tries_breaks_the_feed_on_the_node(nodes: list[Node]) -> None:
    feeder(nodes).send(0, [batch_of(0, 100)])
    with pytest.raises(FeedError, match="partition 0 could not be sent: .*changed between tries"):
        feeder(nodes).send(0, [batch_of(0, 50)])
    assert any("changed between tries" in str(error) for node in nodes for error in node.broken)


@given(st.lists(st.integers(0, 300), min_size=1, max_size=30), st.integers(1, 200))
@settings(deadline=None)
def test_pieces_are_small_and_together_the_batch(lengths: list[int], piece_bytes: int) -> None:
    batch = pa.record_batch({"x": [bytes(length) for length in lengths]})
    pieces = list(pieces_of(batch, partition=0, piece_bytes=piece_bytes))
    assert pa.Table.from_batches(pieces).combine_chunks() == pa.Table.from_batches([batch])
    assert all(piece.num_rows == 1 or piece.nbytes <= 2 * piece_bytes for piece in pieces)


def test_a_row_of_500_mb_arrives_among_small_ones(nodes: list[Node]) -> None:
    large = pa.py_buffer(bytes(500 << 20))
    offsets = pa.py_buffer(np.array([0, 0, large.size, large.size], np.int32))
    images = pa.Array.from_buffers(pa.binary(), 3, [None, offsets, large])
    batch = pa.record_batch({"row": [0, 1, 2], "image": images})
    assert sum(feeder(nodes, schema=batch.schema).send(0, [batch]).share) == 3
    arrived = [chunk for node in nodes for chunk in node.store.chunks()]
    assert sorted(chunk.column("row")[0].as_py() for chunk in arrived) == [0, 1, 2]
    assert sum(chunk.nbytes for chunk in arrived) >= 500 << 20
    assert [node.broken for node in nodes] == [[], [], []]


def test_a_row_that_is_too_large_to_be_sent_names_its_partition_and_the_limit(nodes: list[Node]) -> None:
    # Two views of one buffer: a row of 2 GiB that takes 1 GiB.
    half = pa.py_buffer(bytes((1024 << 20) - 8))
    offsets = pa.py_buffer(np.array([0, half.size], np.int32))
    column = pa.Array.from_buffers(pa.binary(), 1, [None, offsets, half])
    batch = pa.record_batch({"left": column, "right": column})
    with pytest.raises(FeedError, match="partition 7 has a row of 2048 MiB, expected at most 2047 MiB") as caught:
        feeder(nodes, schema=batch.schema).send(7, [batch])
    assert "cut the row into several" in (caught.value.hint or "")


def test_the_secret_of_a_feeder_is_not_printed(nodes: list[Node]) -> None:
    assert "secret" not in repr(feeder(nodes)).replace("secret_", "")


