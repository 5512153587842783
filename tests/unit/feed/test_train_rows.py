"""Rows for training one after the other: in which order, how often, and what is refused."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pyarrow as pa
import pytest

from tfspark_cnn.errors import ConfigError
from tfspark_cnn.feed.cache import FeedStore
from tfspark_cnn.feed.data_feed import DataFeed
from tfspark_cnn.feed.reader import NodeFeed, Progress
from tfspark_cnn.feed.train_rows import TrainRows


def test_results_of_training_are_refused() -> None:
    source = TrainRows(next_feed=lambda _: None, progress=lambda _: None, detach=lambda: None, attach=lambda *_: None)
    with pytest.raises(ConfigError, match="batch_results was called on a feed for training") as caught:
        DataFeed(source, train_mode=True, input_mapping=None).batch_results([1])
    assert "train_mode=False" in (caught.value.hint or "")


def test_a_feed_without_more_rows_stops_and_says_so_once() -> None:
    told: list[str] = []
    source = TrainRows(next_feed=lambda _: None, progress=lambda _: None, detach=lambda: told.append("detached"),
                       attach=lambda *_: None)
    feed = DataFeed(source, train_mode=True, input_mapping=None)
    feed.terminate()
    feed.terminate()
    assert feed.should_stop() and feed.next_batch(3) == [] and told == ["detached"]


SCHEMA = pa.schema({"row": pa.int64()})


@dataclass
class Queue:
    """The feeds of a queue, as a node has them, and what it has told."""

    feeds: list[NodeFeed] = field(default_factory=list)
    told: list[Progress] = field(default_factory=list)
    detached: int = 0

    def open(self, num_epochs: int) -> NodeFeed:
        name = f"input-{len(self.feeds) + 1}"
        self.feeds.append(NodeFeed(name, SCHEMA, num_epochs, 0, FeedStore(lambda *_: None)))
        return self.feeds[-1]

    def source(self) -> TrainRows:
        def detach() -> None:
            self.detached += 1

        def next_feed(number: int) -> NodeFeed | None:
            return self.feeds[number] if number < len(self.feeds) else None

        return TrainRows(next_feed=next_feed, progress=self.told.append, detach=detach, attach=lambda *_: None)


def send(feed: NodeFeed, *partitions: list[list[int]]) -> None:
    """Fills a feed with partitions of record batches of rows."""
    for number, batches in enumerate(partitions):
        start = 0
        for batch in batches:
            feed.store.accept(number, start, pa.record_batch([batch], schema=SCHEMA))
            start += len(batch)
        feed.store.commit(number, start)
    feed.finish([sum(len(batch) for batches in partitions for batch in batches)], len(partitions))


def as_rows(batch: pa.RecordBatch) -> list[int]:
    rows: list[int] = batch.column(0).to_pylist()
    return rows


def test_batches_run_over_record_batches_epochs_and_feeds() -> None:
    queue = Queue()
    send(queue.open(2), [[0, 1, 2], [3]], [], [[4]])
    send(queue.open(1), [[10, 11]])
    source = queue.source()
    taken = [source.take(4, as_rows) for _ in range(4)]
    assert taken == [[0, 1, 2, 3], [4, 0, 1, 2], [3, 4, 10, 11], []]
    assert source.done and {p.feed: p.rows_in_all for p in queue.told} == {"input-1": 10, "input-2": 2}
    ends = [(told.feed, told.passes) for told in queue.told if told.step == told.rows == 0]
    assert ends == [("input-1", 1), ("input-1", 2), ("input-2", 1)]


def test_rows_are_waited_for() -> None:
    queue, taken = Queue(), []
    feed = queue.open(1)
    source = queue.source()
    taker = threading.Thread(target=lambda: taken.extend(source.take(3, as_rows)), daemon=True)
    taker.start()
    send(feed, [[0], [1, 2]])
    taker.join(10)
    assert taken == [0, 1, 2] and source.waited_s >= 0


def test_a_share_without_rows_is_passed_over() -> None:
    queue = Queue()
    send(queue.open(2), [])
    send(queue.open(1), [[7]])
    assert queue.source().take(5, as_rows) == [7]


def test_a_stop_in_the_middle_takes_no_more() -> None:
    queue = Queue()
    send(queue.open(0), [[0, 1, 2]])
    source = queue.source()
    assert source.take(5, as_rows) == [0, 1, 2, 0, 1], "without an end, until it is stopped"
    source.stop()
    assert (source.take(5, as_rows), queue.detached) == ([], 1)
