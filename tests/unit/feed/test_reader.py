"""Readers of several nodes over stores in memory. The coordinator is the real one without its sockets: a thread that
takes what nodes say from a queue, as Flight would bring it, so no node ever waits for another."""

from __future__ import annotations

import contextlib
import queue
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tfspark_cnn.cluster.feeds import Feed, Feeds
from tfspark_cnn.cluster.messages import Attached, FeedComplete, Message, ReaderAgreed, Received, StepsReady
from tfspark_cnn.cluster.topology import plan
from tfspark_cnn.errors import EmptyFeedError, FeedError, SchemaError
from tfspark_cnn.feed import batching, epochs
from tfspark_cnn.feed import reader as reader_module
from tfspark_cnn.feed.cache import FeedStore
from tfspark_cnn.feed.dealing import Dealer
from tfspark_cnn.feed.inbox import Inbox
from tfspark_cnn.feed.reader import Attachment, EpochReader, NodeFeed, Place, Progress, ReaderOptions, no_more_epochs
from tfspark_cnn.feed.schema import Column
from tfspark_cnn.feed.source import Feeder

SCHEMA = pa.schema({"row": pa.int64(), "list": pa.list_(pa.int64())})
WINDOW = 16
SOON_S = 20.0


@pytest.fixture(autouse=True, scope="module")
def small_windows() -> Iterator[None]:
    """Shuffle windows of few rows, so that small feeds have several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batching, "SHUFFLE_WINDOW_ROWS", WINDOW)
        yield


def rows(numbers: np.ndarray) -> pa.RecordBatch:
    lists = pa.ListArray.from_arrays(np.arange(0, 2 * len(numbers) + 1, 2, dtype=np.int32), np.repeat(numbers, 2))
    return pa.record_batch([pa.array(numbers), lists], schema=SCHEMA)


Step = Callable[[], None]


@dataclass
class Node:
    """What one node knows of the feeds."""

    share: int
    feeds: list[NodeFeed] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)
    moved: threading.Condition = field(default_factory=threading.Condition)

    def tell(self, progress: Progress) -> None:
        with self.moved:
            self.progress.append(progress)
            self.moved.notify_all()

    def await_steps(self, steps: int) -> None:
        def taken() -> bool:
            return bool(self.progress) and self.progress[-1].step >= steps

        with self.moved:
            assert self.moved.wait_for(taken, SOON_S), f"expected step {steps}, received {self.progress[-1:]}"


class Cluster:
    """Nodes without processes, fed by `Dealer` without Spark."""

    def __init__(self, workers: int) -> None:
        self.nodes = [Node(share) for share in range(workers)]
        self._feeds = Feeds(plan(workers))
        self._inbox: queue.Queue[Message | Step | None] = queue.Queue()
        self._thread = threading.Thread(target=self._coordinate, daemon=True)
        self._thread.start()

    def open(self, num_epochs: int) -> Feed:
        feed, _ = self._feeds.open("input", "", num_epochs)
        name = feed.opened.feed
        for node in self.nodes:
            store = FeedStore(self._moved(node.share, name), share=node.share, workers=len(self.nodes))
            node.feeds.append(NodeFeed(name, SCHEMA, num_epochs, node.share, store))
        return feed

    def _moved(self, number: int, name: str) -> Callable[[int, int, int], None]:
        return lambda ready, total, nbytes: self._inbox.put(Received(number, name, ready, total, nbytes))

    def reader(self, number: int = 0, *, node: int, batch_rows: int, **options: Any) -> EpochReader:
        mine = self.nodes[node]

        def next_feed(index: int) -> NodeFeed:
            if index >= len(mine.feeds):
                raise no_more_epochs(mine.feeds[-1].num_epochs, "input")
            return mine.feeds[index]

        def attach(feed: NodeFeed, how: Attachment) -> None:
            self._inbox.put(
                Attached(node, feed.name, how.reader, how.batch_rows, how.spec, window_rows=how.window_rows)
            )

        columns = options.pop("columns", (Column("row"),))
        return EpochReader(
            number,
            ReaderOptions(columns, batch_rows, **options),
            next_feed=next_feed,
            attach=attach,
            progress=mine.tell,
        )

    def readers(self, batch_rows: int, **options: Any) -> list[EpochReader]:
        number = options.pop("number", 0)
        return [self.reader(number, node=node.share, batch_rows=batch_rows, **options) for node in self.nodes]

    # --- what feeders do ---------------------------------------------------------------------------------------------

    def feeder(self, feed: Feed, partition: int, total: int, *, size: int, base: int = 0) -> Iterator[Step]:
        """The steps of one feeder: batches of a partition for all nodes, then the commits."""
        dealer, place = Dealer(partition, len(self.nodes)), int(feed.opened.feed.rpartition("-")[2]) - 1
        stores = [node.feeds[place].store for node in self.nodes]
        for first in range(0, total, size):
            count = min(size, total - first)
            for worker, (store, dealt) in enumerate(zip(stores, dealer.deal(first, count), strict=True)):
                at, batch = dealer.share_rows(first)[worker], rows(dealt + base + first)
                yield lambda store=store, at=at, batch=batch: store.accept(partition, at, batch)  # type: ignore[misc]
        for store, share in zip(stores, dealer.share_rows(total), strict=True):
            yield lambda store=store, share=share: store.commit(partition, share)  # type: ignore[misc]

    def feed(self, feed: Feed, partitions: list[int], *, size: int = 7, order: random.Random | None = None) -> None:
        """Sends all of a feed; with an order, in any interleaving of the feeders."""
        self.send(feed, partitions, size=size, order=order)
        self.finish(feed, partitions)

    def send(self, feed: Feed, partitions: list[int], *, size: int = 7, order: random.Random | None = None) -> None:
        bases = np.cumsum([0, *partitions]).tolist()
        running = [
            self.feeder(feed, p, total, size=order.randint(1, 9) if order else size, base=bases[p])
            for p, total in enumerate(partitions)
        ]
        while running:
            one = order.choice(running) if order else running[0]
            step = next(one, None)
            if step is None:
                running.remove(one)
            else:
                step()

    def finish(self, feed: Feed, partitions: list[int]) -> None:
        totals = np.sum([Dealer(p, len(self.nodes)).share_rows(total) for p, total in enumerate(partitions)], axis=0)
        self._inbox.put(lambda: self._deliver(feed.finish(totals.tolist(), len(partitions))))

    # --- what the coordinator does -----------------------------------------------------------------------------------

    def _coordinate(self) -> None:
        while (item := self._inbox.get()) is not None:
            match item:
                case Attached():
                    self._deliver(self._feeds.by_id[item.feed].attach(item))
                case Received():
                    self._deliver(self._feeds.by_id[item.feed].receive(item))
                case _:
                    item()  # type: ignore[operator]

    def _deliver(self, news: list[Message]) -> None:
        for message in news:
            feed = next(one for one in self.nodes[message.node].feeds if one.name == message.feed)  # type: ignore[attr-defined]
            match message:
                case ReaderAgreed():
                    feed.agree(message.reader, message.batch_rows)
                case StepsReady():
                    feed.allow(message.reader, message.steps)
                case FeedComplete():
                    feed.finish(message.totals, message.partitions)

    def close(self) -> None:
        self._inbox.put(None)
        self._thread.join()


@contextlib.contextmanager
def cluster_of(workers: int) -> Iterator[Cluster]:
    cluster = Cluster(workers)
    try:
        yield cluster
    finally:
        cluster.close()


def ids(reader: EpochReader) -> list[list[int]]:
    """One epoch, as the rows of each batch."""
    return [batch[0].tolist() for batch in reader.epoch()]


def flat(batches: list[list[int]]) -> list[int]:
    return [row for batch in batches for row in batch]


Epoch = list[list[int]]


def run_threads(cluster: Cluster, readers: list[EpochReader], epochs: int, feeding: Step) -> list[list[Epoch]]:
    """Reads on all nodes at once while `feeding` runs here; gives epochs of batches by node."""
    found: list[list[Epoch]] = [[] for _ in readers]
    errors: list[BaseException] = []

    def read(node: int) -> None:
        try:
            found[node] = [ids(readers[node]) for _ in range(epochs)]
        except BaseException as error:  # shown by the test, not by the thread
            errors.append(error)

    threads = [threading.Thread(target=read, args=(node,), daemon=True) for node in range(len(readers))]
    for thread in threads:
        thread.start()
    feeding()
    for thread in threads:
        thread.join(SOON_S)
    assert errors == [] and not any(thread.is_alive() for thread in threads)
    return found


def all_there(workers: int, partitions: list[int], batch_rows: int, **options: Any) -> list[list[list[int]]]:
    """The first epoch of each node when all rows are there before anyone asks."""
    with cluster_of(workers) as cluster:
        cluster.feed(cluster.open(1), partitions)
        readers = cluster.readers(batch_rows, **options)
        return [ids(reader) for reader in readers]


workers = st.integers(1, 4)
# The first partition is large enough that every worker has a row.
partitions = st.tuples(st.integers(20, 90), st.lists(st.integers(0, 60), max_size=4)).map(lambda t: [t[0], *t[1]])
sizes = st.integers(1, 20)


@given(workers, partitions, sizes, st.booleans())
@settings(max_examples=40, deadline=None)
def test_each_row_comes_once_per_epoch_in_equally_many_steps(
    count: int, parts: list[int], batch_rows: int, shuffle: bool
) -> None:
    with cluster_of(count) as cluster:
        cluster.feed(cluster.open(3), parts)
        readers = cluster.readers(batch_rows, shuffle=shuffle, seed=5)
        passes = [[ids(reader) for reader in readers] for _ in range(3)]
    for epoch in passes:
        assert sorted(row for node in epoch for row in flat(node)) == list(range(sum(parts)))
        assert len({len(node) for node in epoch}) == 1, "equal steps"
        assert all(batch for node in epoch for batch in node), "no empty batch"
    for node, reader in enumerate(readers):
        assert len({frozenset(flat(epoch[node])) for epoch in passes}) == 1, "the same rows in every epoch"
        assert reader.rows_taken == 3 * len(flat(passes[0][node]))


# A seed, not `st.randoms`: that may end an example in the middle of feeding, and leave the readers waiting.
@given(workers, partitions, sizes, st.booleans(), st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_an_epoch_that_arrives_is_the_one_when_all_is_there(
    count: int, parts: list[int], batch_rows: int, shuffle: bool, seed: int
) -> None:
    with cluster_of(count) as cluster:
        feed = cluster.open(2)
        readers = cluster.readers(batch_rows, shuffle=shuffle, seed=3)
        found = run_threads(cluster, readers, 2, lambda: cluster.feed(feed, parts, order=random.Random(seed)))
    assert [epochs[0] for epochs in found] == all_there(count, parts, batch_rows, shuffle=shuffle, seed=3)
    for first, second in found:
        assert sorted(flat(first)) == sorted(flat(second))


@pytest.mark.parametrize("shuffle", [True, False])
def test_batches_do_not_depend_on_when_rows_and_readers_come(shuffle: bool) -> None:
    assert len({str(arrived(seed, shuffle)) for seed in range(6)}) == 1


def arrived(seed: int, shuffle: bool) -> list[list[Epoch]]:
    """The same feed in an arrival of its own; at odd seeds the readers come when nearly all is there."""
    parts, order = [70, 3, 0, 55, 41], random.Random(seed)
    with cluster_of(3) as cluster:
        feed = cluster.open(1)
        if seed % 2:
            cluster.send(feed, parts, order=order)
            return run_threads(cluster, cluster.readers(8, shuffle=shuffle), 1, lambda: cluster.finish(feed, parts))
        readers = cluster.readers(8, shuffle=shuffle)
        return run_threads(cluster, readers, 1, lambda: cluster.feed(feed, parts, order=order))


def test_training_starts_while_rows_still_arrive() -> None:
    with cluster_of(2) as cluster:
        feed = cluster.open(1)
        readers = cluster.readers(8, shuffle=True)

        def feeding() -> None:
            *first, rest = [list(cluster.feeder(feed, p, 100, size=10, base=100 * p)) for p in range(3)]
            for step in [step for steps in first for step in steps]:
                step()
            ready = [node.feeds[0].store.ready_rows for node in cluster.nodes]
            whole = [rows - rows % WINDOW for rows in ready]
            steps = epochs.full_steps(whole, [8, 8])
            assert steps > 5
            for node in cluster.nodes:
                node.await_steps(steps)  # before the last partition has come
            for step in rest:
                step()
            cluster.finish(feed, [100, 100, 100])

        found = run_threads(cluster, readers, 1, feeding)
    assert sorted(row for node in found for row in flat(node[0])) == list(range(300))
    assert [node[0] for node in found] == all_there(2, [100, 100, 100], 8)


def test_without_shuffling_the_order_is_sparks_in_every_epoch() -> None:
    with cluster_of(2) as cluster:
        cluster.feed(cluster.open(2), [50, 20, 45])
        readers = cluster.readers(6, shuffle=False)
        for _ in range(2):
            for reader in readers:
                held = [row for chunk in reader._feed.store.chunks() for row in chunk.column("row").to_pylist()]
                assert flat(ids(reader)) == held == sorted(held)


def orders(*, seed: int, workers: int = 1) -> list[list[int]]:
    with cluster_of(workers) as cluster:
        cluster.feed(cluster.open(3), [200])
        readers = cluster.readers(8, seed=seed)
        passes = [[flat(ids(reader)) for reader in readers] for _ in range(3)]
    return [epoch[0] for epoch in passes]


def test_shuffled_epochs_differ_and_the_seed_decides_them() -> None:
    first = orders(seed=1)
    assert first == orders(seed=1)
    other = orders(seed=2)
    assert len({str(order) for order in [*first, *other, list(range(200))]}) == 7


def test_the_first_epoch_is_shuffled_within_windows() -> None:
    first = orders(seed=1)[0]
    for start in range(0, 200, WINDOW):
        window = first[start : start + WINDOW]
        assert sorted(window) == list(range(start, min(200, start + WINDOW)))
        assert window != sorted(window)


def test_two_feeds_are_read_one_after_another() -> None:
    with cluster_of(2) as cluster:
        cluster.feed(cluster.open(1), [40, 9])
        cluster.feed(cluster.open(2), [15, 60])
        readers = cluster.readers(8)
        found = run_threads(cluster, readers, 3, lambda: None)
        with pytest.raises(FeedError, match=r"one more epoch was asked for than the 2 that train\(\.\.\., qname="):
            ids(readers[0])
    for epoch, total in enumerate((49, 75, 75)):
        assert sorted(row for node in found for row in flat(node[epoch])) == list(range(total))
        assert len({len(node[epoch]) for node in found}) == 1
    ends = [(p.feed, p.passes) for p in cluster.nodes[1].progress if p.step == 0]
    assert ends == [("input-1", 1), ("input-2", 1), ("input-2", 2)]


def test_a_second_feed_may_arrive_while_the_first_is_read() -> None:
    with cluster_of(2) as cluster:
        feeds = [cluster.open(1), cluster.open(1)]
        readers = cluster.readers(8, shuffle=True)

        def feeding() -> None:
            cluster.feed(feeds[1], [80], order=random.Random(1))
            cluster.feed(feeds[0], [50], order=random.Random(2))

        found = run_threads(cluster, readers, 2, feeding)
    for epoch, total in enumerate((50, 80)):
        assert sorted(row for node in found for row in flat(node[epoch])) == list(range(total))


def test_the_same_data_trained_twice_comes_in_two_orders() -> None:
    with cluster_of(1) as cluster:
        for _ in range(2):
            cluster.feed(cluster.open(1), [200])
        (reader,) = cluster.readers(8)
        assert ids(reader) != ids(reader)


def test_readers_of_one_feed_go_their_own_ways() -> None:
    with cluster_of(2) as cluster:
        cluster.feed(cluster.open(0), [70])
        pairs = [[cluster.reader(n, node=node, batch_rows=4 + n) for n in (0, 1)] for node in (0, 1)]
        found = [[ids(reader) for reader in pair] for pair in pairs]
    for number in (0, 1):
        assert sorted(row for pair in found for row in flat(pair[number])) == list(range(70))


def test_a_pass_that_is_broken_off_is_followed_by_the_next() -> None:
    with cluster_of(1) as cluster:
        cluster.feed(cluster.open(2), [60])
        (reader,) = cluster.readers(8)
        half = reader.epoch()
        assert len(next(half)[0]) == 8
        half.close()
        assert sorted(flat(ids(reader))) == list(range(60))
        with pytest.raises(FeedError, match="one more epoch was asked for than the 2"):
            ids(reader)
    assert [p.passes for p in cluster.nodes[0].progress if p.step == 0] == [1, 2], "a pass left early has ended"


def test_nodes_may_take_batches_of_their_own_size() -> None:
    with cluster_of(2) as cluster:
        cluster.feed(cluster.open(1), [300])
        readers = [cluster.reader(node=0, batch_rows=4), cluster.reader(node=1, batch_rows=12)]
        found = [ids(reader) for reader in readers]
    assert len(found[0]) == len(found[1])
    assert [len(node[0]) for node in found] == [4, 12]
    assert sorted(row for node in found for row in flat(node)) == list(range(300))


@given(workers, partitions, st.integers(2, 4), st.integers(0, 9))
@settings(max_examples=15, deadline=None)
def test_each_local_replica_gets_a_row_of_every_step(count: int, parts: list[int], replicas: int, more: int) -> None:
    shares = [sum(rows) for rows in zip(*(Dealer(p, count).share_rows(n) for p, n in enumerate(parts)), strict=True)]
    assume(min(shares) >= replicas)  # or the epoch is refused
    parts = [parts[0] + 40, *parts[1:]]  # enough for the replicas of the node that gets least
    with cluster_of(count) as cluster:
        cluster.feed(cluster.open(1), parts)
        readers = cluster.readers(replicas + more, replicas=replicas)
        found = [ids(reader) for reader in readers]
    assert all(len(batch) >= replicas for node in found for batch in node)
    assert sorted(row for node in found for row in flat(node)) == list(range(sum(parts)))


def test_small_batches_of_one_size_are_handed_over_together_and_large_ones_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def sizes(block_bytes: int) -> list[tuple[int, ...]]:
        monkeypatch.setattr(reader_module, "BLOCK_BYTES", block_bytes)
        with cluster_of(1) as cluster:
            cluster.feed(cluster.open(1), [100])
            (reader,) = cluster.readers(16, columns=(Column("row"),))
            return [block.columns[0].shape for block in reader.blocks()]

    assert sizes(1) == [*[(1, 16)] * 5, (1, 10), (1, 10)]
    assert sizes(1 << 20) == [(5, 16), (2, 10)]


@given(
    st.integers(1, 3),
    st.lists(st.tuples(partitions, st.integers(1, 3)), min_size=1, max_size=3),
    sizes,
    st.booleans(),
    st.data(),
)
@settings(max_examples=40)
def test_a_reader_goes_on_at_any_feed_pass_and_step_with_the_rows_of_the_one_that_was_not_interrupted(
    count: int, calls: list[tuple[list[int], int]], batch_rows: int, shuffle: bool, data: st.DataObject
) -> None:
    passes = [(feed, number) for feed, (_, epochs) in enumerate(calls) for number in range(epochs)]

    def run(place: Place | None, late: bool) -> list[list[Epoch]]:
        with cluster_of(count) as cluster:
            feeds = [cluster.open(epochs) for _, epochs in calls]

            def feeding() -> None:
                for feed, (sizes, _) in zip(feeds, calls, strict=True):
                    cluster.feed(feed, sizes, order=random.Random(1))

            if not late:
                feeding()
            readers = cluster.readers(batch_rows, shuffle=shuffle, seed=5)
            if place is not None:
                for reader in readers:
                    reader.resume(place)
            before = passes.index((place.feed, place.passes)) if place else 0
            return run_threads(cluster, readers, len(passes) - before, feeding if late else lambda: None)

    whole = run(None, late=data.draw(st.booleans()))
    which = data.draw(st.integers(0, len(passes) - 1))
    step = data.draw(st.integers(0, len(whole[0][which])))
    rest = run(Place(*passes[which], step), late=data.draw(st.booleans()))
    for node in range(count):
        assert rest[node] == [whole[node][which][step:], *whole[node][which + 1 :]]


def test_passes_of_a_run_before_are_skipped_over_train_calls() -> None:
    def rest(skipped: int) -> list[list[list[int]]]:
        with cluster_of(1) as cluster:
            for epochs_of_feed in (2, 1):
                cluster.feed(cluster.open(epochs_of_feed), [20])
            (reader,) = cluster.readers(8, shuffle=True)
            reader.skip_passes(skipped)
            found = [ids(reader) for _ in range(3 - skipped)]
            ends = {(p.feed, p.passes) for p in cluster.nodes[0].progress if not p.step and p.passes}
            assert {("input-1", 2), ("input-2", 1)} <= ends, "all count as taken"
            with pytest.raises(FeedError, match="one more epoch was asked for"):
                ids(reader)
            return found

    whole = rest(0)
    assert [rest(skipped) for skipped in (1, 2, 3)] == [whole[1:], whole[2:], []]


def test_what_lies_before_the_place_of_a_reader_counts_as_taken() -> None:
    with cluster_of(1) as cluster:
        for epochs_of_feed in (2, 3):
            cluster.feed(cluster.open(epochs_of_feed), [20])
        (reader,) = cluster.readers(8)
        reader.resume(Place(1, 3))
        assert [(p.feed, p.passes) for p in cluster.nodes[0].progress] == [("input-1", 2), ("input-2", 3)]
        assert (reader.begun.feed, reader.begun.passes, reader.position) == (1, 3, 2), "all is used up"
        with pytest.raises(FeedError, match="expected to go on at pass 1 of train call 1 or later"):
            reader.resume(Place(0, 0))


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (Place(0, 0, 1, batch_rows=4), "of another training: a step took 4 rows of this node, and takes 8 now"),
        (Place(0, 0, 1, totals=[30]), r"of other data: of the rows by node, \[30\] was expected and \[20\] received"),
        (Place(0, 0, 9, totals=[99]), "of other data: of the rows by node"),
        (Place(0, 0, 1, digest=1), "of other data: of the first row, 1 was expected"),
    ],
)
def test_a_place_in_other_data_is_refused(place: Place, words: str) -> None:
    with cluster_of(1) as cluster:
        cluster.feed(cluster.open(2), [20])
        (reader,) = cluster.readers(8)
        with pytest.raises(FeedError, match=f"the checkpoint is {words}"):
            reader.resume(place)
            ids(reader)


def test_a_place_in_the_same_data_is_known_again() -> None:
    found: list[Place] = []
    for _ in range(2):
        with cluster_of(1) as cluster:
            cluster.feed(cluster.open(2), [20])
            (reader,) = cluster.readers(8)
            if found:
                reader.resume(found[0])
            ids(reader)
            found.append(reader.begun)
    assert found[0].totals == [20] and found[0].digest and found[0].batch_rows == 8
    assert (found[0].passes, found[1].passes) == (1, 2)


def test_progress_counts_steps_rows_and_passes() -> None:
    with cluster_of(1) as cluster:
        cluster.feed(cluster.open(1), [20])
        (reader,) = cluster.readers(8)
        ids(reader)
    told = [(p.passes, p.step, p.rows) for p in cluster.nodes[0].progress]
    assert told == [(0, 1, 8), (0, 3, 20), (1, 0, 0)], "steps of one size are handed over at once"
    assert {(p.feed, p.reader) for p in cluster.nodes[0].progress} == {("input-1", 0)}


def test_blocks_say_where_their_rows_are_from() -> None:
    with cluster_of(2) as cluster:
        cluster.feed(cluster.open(2), [40, 0, 25])
        for reader in cluster.readers(8, seed=3):
            blocks = [block for _ in range(2) for block in reader.blocks(seeded=True)]
            for block in blocks:
                places = [reader.origin(block.feed, row) for row in block.rows.ravel().tolist()]
                assert [(0, row) if row < 40 else (2, row - 40) for row in block.columns[0].ravel().tolist()] == places
            seeds = [tuple(seed) for block in blocks for seed in block.seeds.tolist()]
            assert len(set(seeds)) == len(seeds)


def test_rows_left_out_count_once_and_are_told_at_once() -> None:
    with cluster_of(1) as cluster:
        cluster.feed(cluster.open(1), [20])
        cluster.feed(cluster.open(1), [20])
        (reader,) = cluster.readers(8)
        told = cluster.nodes[0].progress
        ids(reader)
        assert [reader.skip(0, row) for row in (4, 9, 4)] == [1, 2, 0]
        assert [(p.feed, p.passes, p.step, p.skipped) for p in told[-2:]] == [("input-1", 1, 0, n) for n in (1, 2)]
        ids(reader)
        assert told[-1].feed == "input-2" and told[-1].skipped == 0
        assert reader.skip(0, 5) == 3, "a late one of the feed before"
        assert (told[-1].feed, told[-1].passes, told[-1].skipped) == ("input-1", 1, 3)
        assert reader.skip(1, 4) == 1
        assert (set(reader.skipped(0)), set(reader.skipped(1))) == ({4, 5, 9}, {4})


def test_the_shape_of_lists_is_told_by_the_first_row() -> None:
    with cluster_of(2) as cluster:
        feed = cluster.open(1)
        found: list[list[Any]] = [[], []]

        def read(node: int) -> None:
            reader = cluster.reader(node=node, batch_rows=8, columns=(Column("list"), Column("row")))
            found[node] = [reader.spec(), *reader.epoch()]

        threads = [threading.Thread(target=read, args=(node,), daemon=True) for node in (0, 1)]
        for thread in threads:
            thread.start()
        cluster.feed(feed, [0, 60])
        for thread in threads:
            thread.join(SOON_S)
    for spec, *batches in found:
        assert [(s.name, s.shape, s.dtype) for s in spec] == [("list", (2,), "int64"), ("row", (), "int64")]
        assert all((pair == np.stack([row, row], axis=1)).all() for pair, row in batches)


def test_a_column_that_does_not_exist_is_refused_at_once() -> None:
    with cluster_of(1) as cluster:
        cluster.open(1)
        with pytest.raises(SchemaError, match="'rwo'"):
            cluster.reader(node=0, batch_rows=8, columns=(Column("rwo"),))


def test_a_node_without_rows_cannot_tell_the_shape() -> None:
    with cluster_of(2) as cluster:
        feed = cluster.open(1)
        cluster.feed(feed, [1])
        poor = Dealer(0, 2).share_rows(1).index(0)
        with pytest.raises(EmptyFeedError, match="this node got none of the rows: the shares are") as caught:
            cluster.reader(node=poor, batch_rows=8, columns=(Column("list"),))
        assert "fewer workers" in (caught.value.hint or "")


def test_a_feed_with_fewer_rows_than_nodes_is_an_error_of_the_epoch() -> None:
    with cluster_of(3) as cluster:
        cluster.feed(cluster.open(1), [2])
        readers = cluster.readers(8)
        for reader in readers:
            with pytest.raises(EmptyFeedError, match="expected at least 1 row on each worker"):
                ids(reader)


@pytest.mark.timeout(60)
def test_ten_thousand_tiny_partitions_are_read_once_and_in_order() -> None:
    parts = [number % 4 for number in range(10_000)]
    with cluster_of(2) as cluster:
        cluster.feed(cluster.open(2), parts)
        pairs = [cluster.readers(64, number=number, shuffle=bool(number)) for number in (0, 1)]
        in_order, shuffled = [[ids(reader) for reader in pair] for pair in pairs]
    for epoch in (in_order, shuffled):
        assert sorted(row for node in epoch for row in flat(node)) == list(range(sum(parts)))
        assert len(epoch[0]) == len(epoch[1])
    assert all(flat(node) == sorted(flat(node)) for node in in_order)


# --- over the wire, with feeders that die ----------------------------------------------------------------------------


class Killed(Exception):
    """What ends a feeder in the middle."""


@dataclass
class BadLuck:
    """Feeders of a cluster's open feed that are killed, tried again in other batches, and run twice at once."""

    feed: str
    inboxes: list[Inbox]
    chance: random.Random

    def tries(self, number: int, base: int, total: int) -> list[list[Step]]:
        """What runs for one partition: groups of tries; those of a group run at the same time."""
        feeder = Feeder(self.feed, tuple(inbox.location for inbox in self.inboxes), "secret", SCHEMA)

        def one(size: int, dies_after: int | None) -> None:
            with contextlib.suppress(Killed):
                feeder.send(number, self._batches(base, total, size, dies_after))

        def drawn(dies: bool) -> Step:
            size, dies_after = self.chance.randint(1, 9), self.chance.randint(0, 4) if dies else None
            return lambda: one(size, dies_after)

        killed = [[drawn(True) for _ in range(self.chance.randint(1, 2))] for _ in range(self.chance.randint(0, 3))]
        return [*killed, [drawn(False) for _ in range(self.chance.randint(1, 2))]]

    def _batches(self, base: int, total: int, size: int, dies_after: int | None) -> Iterator[pa.RecordBatch]:
        for sent, first in enumerate(range(0, total, size)):
            if sent == dies_after:
                raise Killed
            yield rows(np.arange(base + first, base + min(total, first + size)))
        if dies_after is not None:
            raise Killed  # between the last row and the commit

    def send(self, parts: list[int]) -> None:
        """Sends the partitions in any order, two at a time."""
        bases = np.cumsum([0, *parts]).tolist()
        work = [self.tries(number, bases[number], total) for number, total in enumerate(parts)]
        self.chance.shuffle(work)

        def run(share: list[list[list[Step]]]) -> None:
            for group in [group for tries in share for group in tries]:
                at_once(*group)

        at_once(lambda: run(work[::2]), lambda: run(work[1::2]))


def at_once(*steps: Step) -> None:
    """Runs them at the same time; the first error is raised here."""
    with ThreadPoolExecutor(len(steps)) as pool:
        for running in [pool.submit(step) for step in steps]:
            running.result()


@contextlib.contextmanager
def inboxes_of(cluster: Cluster, feed: Feed) -> Iterator[list[Inbox]]:
    """An inbox for each node, with the newest feed; none may have found it broken."""
    broken: list[Exception] = []
    inboxes = [Inbox("127.0.0.1", "secret", broken=broken.append) for _ in cluster.nodes]
    try:
        for node, inbox in zip(cluster.nodes, inboxes, strict=True):
            inbox.add(feed.opened.feed, node.feeds[-1].store)
        yield inboxes
    finally:
        for inbox in inboxes:
            inbox.close()
    assert broken == [] and [inbox.refused for inbox in inboxes] == [0] * len(inboxes)


def readers_of(cluster: Cluster, batch_rows: list[int], **options: Any) -> list[EpochReader]:
    return [cluster.reader(node=node, batch_rows=size, **options) for node, size in enumerate(batch_rows)]


unlike = st.lists(sizes, min_size=1, max_size=3)
alike = st.tuples(sizes, st.integers(1, 3)).map(lambda drawn: [drawn[0]] * drawn[1])


@given(alike | unlike, partitions, st.integers(1, 3), st.booleans(), st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_each_row_comes_once_and_in_the_same_order_however_feeders_die(
    batch_rows: list[int], parts: list[int], num_epochs: int, shuffle: bool, seed: int
) -> None:
    options: dict[str, Any] = {"shuffle": shuffle, "seed": 11}
    with cluster_of(len(batch_rows)) as cluster:
        feed = cluster.open(num_epochs)
        cluster.feed(feed, parts)
        quiet = run_threads(cluster, readers_of(cluster, batch_rows, **options), num_epochs, lambda: None)
    with cluster_of(len(batch_rows)) as cluster:
        feed = cluster.open(num_epochs)
        with inboxes_of(cluster, feed) as inboxes:
            luck = BadLuck(feed.opened.feed, inboxes, random.Random(seed))

            def feeding() -> None:
                luck.send(parts)
                cluster.finish(feed, parts)

            found = run_threads(cluster, readers_of(cluster, batch_rows, **options), num_epochs, feeding)
    assert found == quiet, "the order does not depend on who died"
    for epoch in zip(*found, strict=True):
        assert sorted(row for node in epoch for row in flat(node)) == list(range(sum(parts)))
        assert len({len(node) for node in epoch}) == 1, "equal steps"
        full = epochs.full_steps([len(flat(node)) for node in epoch], batch_rows)
        for size, node in zip(batch_rows, epoch, strict=True):
            tail = [len(batch) for batch in node[full:]]
            assert {len(batch) for batch in node[:full]} <= {size} and max(tail) - min(tail) <= 1
