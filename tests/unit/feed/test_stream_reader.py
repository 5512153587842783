"""A reader of one `train` call after the other, on one node whose rows are all there."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pytest

from tfspark_cnn.errors import FeedError
from tfspark_cnn.feed.cache import FeedStore
from tfspark_cnn.feed.reader import Attachment, NodeFeed, Progress, ReaderOptions
from tfspark_cnn.feed.schema import Column
from tfspark_cnn.feed.step_clock import StepClock
from tfspark_cnn.feed.stream_reader import StreamReader

SCHEMA = pa.schema({"row": pa.int64()})


@dataclass
class Node:
    """The feeds of a queue, and what a reader tells."""

    feeds: list[NodeFeed] = field(default_factory=list)
    attached: list[str] = field(default_factory=list)
    told: list[Progress] = field(default_factory=list)

    def call(self, rows: range, epochs: int, *, once: bool = False) -> None:
        """A `train` call; where rows are read once, each epoch of it is a feed."""
        for _ in range(epochs if once else 1):
            store = FeedStore(lambda *_: None, once=once, memory_bytes=1 << 20)
            store.accept(0, 0, pa.record_batch([np.array(rows)], schema=SCHEMA))
            store.commit(0, len(rows))
            name = f"input-{len(self.feeds) + 1}"
            feed = NodeFeed(name, SCHEMA, 1 if once else epochs, 0, store, train_epochs=epochs)
            feed.finish([len(rows)], 1)
            self.feeds.append(feed)

    def reader(self, clock: StepClock | None = None, **options: object) -> StreamReader:
        def attach(feed: NodeFeed, how: Attachment) -> None:
            self.attached.append(feed.name)
            feed.agree(how.reader, [how.batch_rows])

        return StreamReader(
            0,
            ReaderOptions((Column("row"),), 4, **options),  # type: ignore[arg-type]
            next_feed=lambda index: self.feeds[index] if index < len(self.feeds) else None,
            attach=attach,
            progress=self.told.append,
            clock=clock,
        )

    def passes(self) -> dict[str, int]:
        """What the driver knows: the newest of each feed."""
        return {progress.feed: progress.passes for progress in self.told}


def ids(reader: StreamReader) -> list[int]:
    return [row for batch in reader.epoch() for row in batch[0].tolist()]


@pytest.mark.parametrize("once", [False, True])
def test_each_call_is_read_as_often_as_it_says_and_the_end_is_no_error(once: bool) -> None:
    node = Node()
    node.call(range(10), 2, once=once)
    node.call(range(10, 13), 1, once=once)
    reader = node.reader(shuffle=False)
    assert reader.go_on() and [ids(reader), ids(reader)] == [[*range(10)]] * 2
    assert reader.go_on() and ids(reader) == [10, 11, 12]
    assert not reader.go_on() and not reader.go_on()
    assert reader.position == len(node.feeds)
    assert [p.rows_in_all for p in node.told if not p.step] == ([10, 10, 3] if once else [10, 20, 3]), "of each feed"


@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize("taken", [0, 1, 2])
def test_passes_that_are_not_taken_count_as_taken(once: bool, taken: int) -> None:
    node = Node()
    node.call(range(10), 3, once=once)
    node.call(range(10, 15), 1, once=once)
    reader = node.reader(shuffle=False)
    assert reader.go_on()
    for _ in range(taken):
        ids(reader)
    assert reader.go_on() and ids(reader) == [*range(10, 15)]
    wanted = {feed.name: feed.num_epochs for feed in node.feeds}
    assert node.passes() == wanted


def test_a_pass_that_ends_after_its_call_says_nothing() -> None:
    """TensorFlow closes the generator of a pass that was left when it likes: `train` must not hear of fewer passes."""
    node = Node()
    node.call(range(10), 3)
    node.call(range(10, 15), 1)
    reader = node.reader()
    reader.go_on()
    left = reader.epoch()
    next(left)
    reader.go_on()
    left.close()  # type: ignore[attr-defined]
    assert node.passes()["input-1"] == 3


@pytest.mark.parametrize("once", [False, True])
def test_more_passes_than_the_call_gives_are_refused_though_there_is_a_next_call(once: bool) -> None:
    node = Node()
    node.call(range(10), 1, once=once)
    node.call(range(10), 1, once=once)
    reader = node.reader()
    reader.go_on()
    ids(reader)
    with pytest.raises(FeedError, match="one more epoch was asked for than the train call gives") as caught:
        ids(reader)
    assert "ctx.num_epochs" in (caught.value.hint or "")


def test_a_call_without_a_number_of_epochs_is_refused() -> None:
    node = Node()
    node.call(range(10), 0)
    with pytest.raises(FeedError, match="num_epochs=0, expected one that says when it is over") as caught:
        node.reader().go_on()
    assert "ctx.dataset" in (caught.value.hint or "")


def test_rows_of_a_call_may_go_as_soon_as_its_last_pass_has_ended() -> None:
    node = Node()
    node.call(range(10), 2)
    reader = node.reader()
    assert (reader.position, reader.feed_index) == (0, 0)
    reader.go_on()
    ids(reader)
    assert reader.position == 0
    ids(reader)
    assert (reader.position, reader.feed_index) == (1, 0)


def test_the_same_rows_come_in_another_order_in_the_next_call() -> None:
    node = Node()
    for _ in range(2):
        node.call(range(50), 1)
    reader = node.reader(seed=1)
    orders = [ids(reader) for _ in range(2) if reader.go_on()]
    assert orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1]) == [*range(50)]


def test_a_wait_for_rows_that_training_felt_is_noted_by_the_clock() -> None:
    node, clock = Node(), StepClock(steps=100, ended_s=0.0)
    node.call(range(8), 1)
    feed = node.feeds[0]
    node.feeds[0] = late = NodeFeed(
        feed.name, SCHEMA, 1, 0, FeedStore(lambda *_: None, memory_bytes=1 << 20), train_epochs=1
    )

    def arrive() -> None:
        late.store.accept(0, 0, pa.record_batch([np.arange(8)], schema=SCHEMA))
        late.store.commit(0, 8)
        late.finish([8], 1)

    reader = node.reader(clock=clock)
    assert reader.go_on()
    timer = threading.Timer(0.2, arrive)
    timer.start()
    assert sorted(ids(reader)) == [*range(8)]
    timer.join()
    assert 0.1 < clock.starved_s < 10
