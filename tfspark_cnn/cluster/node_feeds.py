"""The feeds of one node: its inbox, what the coordinator says of each feed, and who reads them."""

from __future__ import annotations

import base64
import logging
import os
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa

from tfspark_cnn import env
from tfspark_cnn.cluster.link import Link
from tfspark_cnn.cluster.messages import (
    Attached,
    Consumed,
    Detached,
    FeedComplete,
    FeedOpened,
    QueueClosed,
    ReaderAgreed,
    Received,
    ReceivedSeen,
    StepsReady,
)
from tfspark_cnn.cluster.node_plan import Cache, NodePlan
from tfspark_cnn.errors import ConfigError, FeedError, TFSparkError
from tfspark_cnn.feed.cache import FeedStore, wait_for
from tfspark_cnn.feed.data_feed import DataFeed
from tfspark_cnn.feed.inbox import Inbox
from tfspark_cnn.feed.reader import Attachment, EpochReader, NodeFeed, Place, Progress, ReaderOptions, no_more_epochs
from tfspark_cnn.feed.spill import SEGMENT_BYTES, Spill
from tfspark_cnn.feed.step_clock import StepClock
from tfspark_cnn.feed.stream_reader import StreamReader
from tfspark_cnn.feed.train_rows import TrainRows

log = logging.getLogger(__name__)

TRAIN_QUEUE = "input"
"""What `ctx.dataset(name="train")` reads: the default `qname` of `cluster.train`."""

VALIDATION_QUEUE = "validation"
"""What `cluster.train(validation=...)` feeds."""


ONCE_BYTES = 256 << 20
"""Memory for rows that wait to be read once: a second of what one feeder sends at most (1,450 MB/s were measured on
loopback, Spark hands out a tenth of it), and little beside TensorFlow's own 700 MB."""


MIN_SEGMENT_BYTES = 4 << 20
"""Of rows that are read once, a segment of the disk is half of the memory they may fill, but no smaller."""

CONSUMED_EVERY_S = 0.2
"""How often a node tells how far it is in an epoch: five times a second, as Keras' progress."""

LATEST_KEPT = 100
"""Readers and feeds of a queue whose last word is kept, to tell what is new of the next; few are read at a time."""

STREAMS_TOLD = 20
"""So many connected feeders an inbox names; an executor rarely has more slots."""


def memory_bytes(plan: NodePlan, *, once: bool = False) -> int:
    """Gives how many bytes of rows a node keeps in memory before it turns to the disk, or lets feeders wait.

    By default a quarter of the host's memory, shared by the nodes on it: Spark's own default leaves as much outside of
    its heap to Python and native code as TensorFlow and the batches in flight need beside it. Rows that are read `once`
    need no more than `ONCE_BYTES`.
    """
    if plan.options.cache is Cache.DISK:
        return 0
    if plan.options.cache_bytes is not None:
        return plan.options.cache_bytes
    if once:
        return ONCE_BYTES
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4 // plan.neighbours


def schema_text(schema: pa.Schema) -> str:
    """Gives an Arrow schema as text that fits into a message."""
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


def parse_schema(text: str) -> pa.Schema:
    """Reads what `schema_text` gave."""
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))


@dataclass
class _Queue:
    """The feeds of one queue, by their number in it. Changes under `NodeFeeds._changed`.

    Attributes:
        feeds: those that a reader may still need.
        opened: how many there were.
        left: the first one that no reader has used up.
        train_epochs: of the newest `train` call.
        closed: whether no further one will come.
        unwanted: whether this node wants no more rows of it.
        datasets: how many were made.
        readers: those that somebody may still read by.
        rows_taken: by all readers, of all feeds.
        rows_skipped: left out by all readers, of all feeds.
    """

    feeds: dict[int, NodeFeed] = field(default_factory=dict)
    opened: int = 0
    left: int = 0
    train_epochs: int = 0
    closed: bool = False
    unwanted: bool = False
    datasets: int = 0
    readers: weakref.WeakSet[EpochReader | StreamReader | TrainRows] = field(default_factory=weakref.WeakSet)
    rows_taken: int = 0
    rows_skipped: int = 0
    _latest: dict[tuple[int, str], Progress] = field(default_factory=dict)  # the newest last

    def take(self, progress: Progress) -> None:
        """Takes note of how far a reader is."""
        key = progress.reader, progress.feed
        before = self._latest.pop(key, None)
        self.rows_taken += progress.rows_in_all - (before.rows_in_all if before else 0)
        self.rows_skipped += progress.skipped - (before.skipped if before else 0)
        self._latest[key] = progress
        if len(self._latest) > LATEST_KEPT:
            del self._latest[next(iter(self._latest))]


class NodeFeeds:
    """All feeds of a node. A ps or an evaluator has none; neither has a node in InputMode.TENSORFLOW.

    Attributes:
        clock: of the steps that the training has taken.
        failure: the first error that a reader or the inbox met. TensorFlow wraps what a generator raises in an error
            of its own, so the process reports this one instead.
    """

    def __init__(self, plan: NodePlan, link: Link) -> None:
        self.clock = StepClock()
        self.failure: TFSparkError | None = None
        self._plan, self._link = plan, link
        self._share = plan.topology.share_of(plan.node.number)
        self._changed = threading.Condition()
        self._queues: dict[str, _Queue] = {}
        self._by_name: dict[str, NodeFeed] = {}
        self._validation_of: list[int] = []  # newest validation feed when a train feed was opened, by the latter
        self._row_sources: dict[str, TrainRows] = {}
        self._inbox: Inbox | None = None
        if plan.options.fed and self._share is not None:
            self._inbox = Inbox(plan.host, plan.options.secret, broken=self._fail)
        self._listen()

    @property
    def location(self) -> str | None:
        """Where feeders find this node, or None if it takes no rows."""
        return self._inbox.location if self._inbox else None

    @property
    def rows_taken(self) -> int:
        """Rows given out for training so far."""
        with self._changed:
            return self._queue(TRAIN_QUEUE).rows_taken

    @property
    def rows_skipped(self) -> int:
        """Rows left out of training so far because their images cannot be decoded; each counts once."""
        with self._changed:
            return self._queue(TRAIN_QUEUE).rows_skipped

    @property
    def refused(self) -> int:
        """How many calls the inbox has refused."""
        return self._inbox.refused if self._inbox else 0

    def num_epochs(self) -> int:
        """Gives `num_epochs` of the newest `train` call on the training queue, waiting for the first one."""
        left = self._queue(TRAIN_QUEUE).left
        if not self._comes(TRAIN_QUEUE, left):
            raise self.guard(self._never(TRAIN_QUEUE, left))
        with self._changed:
            return self._queue(TRAIN_QUEUE).train_epochs

    def places(self) -> dict[str, dict[int, dict[str, Any]]]:
        """Gives by queue where each dataset is, by its number; as values that JSON can hold."""
        return {queue: {n: asdict(one.begun) for n, one in self._datasets(queue).items()} for queue in self._names()}

    def last_begun(self) -> tuple[str, int] | None:
        """Gives the dataset of which a pass was begun last, as queue and number."""
        found = [(one.begun_s, queue, n) for queue in self._names() for n, one in self._datasets(queue).items()]
        begun_s, queue, number = max(found, default=(0.0, "", 0))
        return (queue, number) if begun_s else None

    def resume(self, places: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> list[tuple[str, int]]:
        """Lets datasets go on at places; gives those, by queue and number, that have been made yet."""
        found = [(queue, number) for queue, of in places.items() for number in of]
        here = [(queue, number) for queue, number in found if number in self._datasets(queue)]
        for queue, number in here:
            self._datasets(queue)[number].resume(Place(**places[queue][number]))
        return here

    def skip_passes(self, name: str, passes: int) -> None:
        """Lets the newest dataset of the feed that `ctx.dataset(name=...)` names begin after some passes."""
        found = self._datasets(self._queue_of(name))
        found[max(found)].skip_passes(passes)

    def _names(self) -> list[str]:
        with self._changed:
            return list(self._queues)

    def _datasets(self, queue: str) -> dict[int, EpochReader]:
        return {one.number: one for one in self._queue(queue).readers if isinstance(one, EpochReader)}

    def reader(self, name: str, options: ReaderOptions) -> EpochReader:
        """Gives a new reader of the feed that `ctx.dataset(name=...)` names; waits for `train` to begin it.

        Raises:
            ConfigError: there is no such feed.
            FeedError: the cluster was shut down before `train` was called.
            SchemaError: a column is missing or cannot become a tensor.
        """
        name = self._queue_of(name)
        for left in self._leave(name):
            left.store.discard()
        queue = self._queue(name)
        number, queue.datasets = queue.datasets, queue.datasets + 1
        reader = EpochReader(
            number,
            options,
            next_feed=lambda index: self._next(name, index),
            attach=self._attach,
            progress=lambda progress: self._progress(name, progress),
            first_feed=queue.left,
            current=self._current_validation if name == VALIDATION_QUEUE else lambda index: index,
            clock=self.clock if name == TRAIN_QUEUE else None,
        )
        queue.readers.add(reader)
        return reader

    def stream(self, name: str, options: ReaderOptions) -> StreamReader:
        """Gives a new reader of one `train` call after the other of the feed that `ctx.stream(name=...)` names.

        Raises:
            ConfigError: there is no such feed.
        """
        name = self._queue_of(name)
        for left in self._leave(name):
            left.store.discard()
        queue = self._queue(name)
        number, queue.datasets = queue.datasets, queue.datasets + 1
        reader = StreamReader(
            number,
            options,
            next_feed=lambda index: self._next_or_none(name, index),
            attach=self._attach,
            progress=lambda progress: self._progress(name, progress),
            first_feed=queue.left,
            clock=self.clock if name == TRAIN_QUEUE else None,
        )
        queue.readers.add(reader)
        return reader

    def end_stream(self, name: str) -> None:
        """Takes note that map_fun has left a stream before its end: this node wants no more rows of that queue.

        May be called by the garbage collector, so it waits for nobody.
        """
        queue = self._queue_of(name)
        self._want_no_more(queue)
        self._link.send_latest(("detached", queue), Detached(self._link.node, queue))

    def data_feed(self, name: str, *, train_mode: bool, input_mapping: Mapping[str, str] | None) -> DataFeed:
        """Gives a feed of Python rows over a queue; all feeds of one queue take from the same rows.

        Raises:
            ConfigError: this node is not fed, or there is no such queue.
        """
        queue = self._queue_of(name)
        assert self._inbox is not None  # or there is no queue
        source = self._train_rows(queue) if train_mode else self._inbox.exchanges.of(queue)
        return DataFeed(source, train_mode=train_mode, input_mapping=input_mapping)

    def map_fun_returned(self) -> None:
        """Lets nobody wait for this node: tasks of `inference` get no answer, rows that are not kept are dropped."""
        if self._inbox is not None:
            self._inbox.exchanges.end("map_fun has returned")
        for queue in self._plan.options.queues:
            self._want_no_more(queue)

    def close(self) -> bool:
        """Stops receiving; gives whether nobody sends any more, as `Service.close`."""
        for queue in self._plan.options.queues:  # a feeder that is held back is let go
            self._want_no_more(queue)
        return self._inbox is None or self._inbox.close()

    def guard(self, error: TFSparkError) -> TFSparkError:
        """Remembers the first error of a feed, and gives it back."""
        self.failure = self.failure or error
        return error

    # --- for readers -------------------------------------------------------------------------------------------------

    def _queue_of(self, name: str) -> str:
        queue = TRAIN_QUEUE if name == "train" else name
        if self._inbox is None:
            raise ConfigError(
                f"{self._plan.node.name} is not fed by Spark, expected a chief or worker in InputMode.SPARK",
                hint="run with input_mode=InputMode.SPARK, or read files with tf.data",
            )
        if queue not in self._plan.options.queues:
            known = ", ".join(self._plan.options.queues)
            raise ConfigError(f"there is no feed {name!r}: the queues are {known}", hint="name it in run(queues=...)")
        return queue

    def _train_rows(self, queue: str) -> TrainRows:
        if queue not in self._row_sources:
            source = self._row_sources[queue] = TrainRows(
                next_feed=lambda number: self._next_or_none(queue, number),
                progress=lambda progress: self._progress(queue, progress),
                detach=lambda: self._detach(queue),
                attach=self._attach,
                first_feed=self._queue(queue).left,
            )
            self._queue(queue).readers.add(source)
        return self._row_sources[queue]

    def _detach(self, queue: str) -> None:
        self._want_no_more(queue)
        self._link.send(Detached(self._link.node, queue))

    def _want_no_more(self, name: str) -> None:
        queue = self._queue(name)
        with self._changed:
            queue.unwanted = True
            feeds = list(queue.feeds.values())
        for feed in feeds:
            feed.store.discard()

    def _current_validation(self, index: int) -> int:
        """Gives the validation feed that belongs to the `train` call being read; before one is read, the same again."""
        training = max((reader.feed_index for reader in self._queue(TRAIN_QUEUE).readers), default=-1)
        with self._changed:
            return max(index, self._validation_of[training] if 0 <= training < len(self._validation_of) else 0)

    def _next(self, queue: str, number: int) -> NodeFeed:
        feed = self._next_or_none(queue, number)
        if feed is not None:
            return feed
        raise self.guard(self._never(queue, number))

    def _never(self, queue: str, number: int) -> FeedError:
        if number:
            return no_more_epochs(self._queue(queue).train_epochs, queue)
        return FeedError(
            f"ctx.dataset waited for rows on {queue!r}, and the cluster was shut down",
            hint=f"call cluster.train(data, qname={queue!r}) before shutdown",
        )

    def _next_or_none(self, name: str, number: int) -> NodeFeed | None:
        """Gives a feed of a queue, waiting for it, and forgets those that no reader needs any more."""
        queue = self._queue(name)
        for left in self._leave(name):
            left.store.discard()
        with self._changed:
            return queue.feeds[number] if self._comes(name, number) else None

    def _comes(self, name: str, number: int) -> bool:
        """Waits for a feed of a queue to begin; False: it never will."""
        queue = self._queue(name)
        with self._changed:
            wait_for(
                self._changed,
                lambda: queue.opened > number or queue.closed,
                lambda: f"train call {number + 1} on {name!r}",
                lambda text: log.info("%s", text),
            )
            return queue.opened > number

    def _leave(self, name: str) -> list[NodeFeed]:
        """Takes the feeds out of a queue that no reader needs any more.

        A new reader begins after those that another has used up. That depends on what map_fun did before alone, so it
        is the same on all nodes; which rows are given up, and when, depends on the garbage collector too.
        """
        queue = self._queue(name)
        positions = [reader.position for reader in queue.readers]
        with self._changed:
            queue.left = max([queue.left, *positions])
            needed = min(positions, default=0)
            return [queue.feeds.pop(number) for number in sorted(queue.feeds) if number < needed]

    def _queue(self, name: str) -> _Queue:
        with self._changed:
            return self._queues.setdefault(name, _Queue())

    def _attach(self, feed: NodeFeed, how: Attachment) -> None:
        self._link.send(
            Attached(self._link.node, feed.name, how.reader, how.batch_rows, how.spec, window_rows=how.window_rows)
        )

    def _progress(self, queue: str, progress: Progress) -> None:
        with self._changed:
            self._queue(queue).take(progress)
        event = Consumed(
            self._link.node,
            feed=progress.feed,
            reader=progress.reader,
            passes=progress.passes,
            step=progress.step,
            rows=progress.rows,
            waited_s=progress.waited_s,
            rows_in_all=progress.rows_in_all,
            skipped=progress.skipped,
        )
        ended = progress.passes if not progress.step else None  # the end of each epoch is told for certain
        within_s = CONSUMED_EVERY_S if ended is None else 0.0
        self._link.send_latest(("consumed", progress.feed, progress.reader, ended), event, within_s=within_s)

    # --- what the coordinator says -----------------------------------------------------------------------------------

    def _listen(self) -> None:
        self._link.on(FeedOpened, self._opened)
        self._link.on(ReceivedSeen, lambda m: self._tell(m.feed, lambda feed: feed.see(m.ready_rows, m.started)))
        self._link.on(ReaderAgreed, lambda m: self._tell(m.feed, lambda feed: feed.agree(m.reader, m.batch_rows)))
        self._link.on(StepsReady, lambda m: self._tell(m.feed, lambda feed: feed.allow(m.reader, m.steps)))
        self._link.on(FeedComplete, self._complete)
        self._link.on(QueueClosed, self._close_queue)

    def _tell(self, name: str, news: Callable[[NodeFeed], None]) -> None:
        feed = self._by_name.get(name)
        if feed is not None:  # else it is over for this node
            news(feed)

    def _opened(self, message: FeedOpened) -> None:
        if self._inbox is None or self._share is None:
            self._count(message)
            return
        feed = NodeFeed(
            message.feed,
            parse_schema(message.schema),
            message.num_epochs,
            self._share,
            self._store(message),
            train_epochs=message.train_epochs,
        )
        queue = self._queue(message.queue)
        self._by_name[message.feed] = feed
        with self._changed:
            queue.feeds[queue.opened] = feed
            queue.opened, queue.train_epochs = queue.opened + 1, message.train_epochs
            if message.queue == TRAIN_QUEUE:
                self._validation_of.append(self._queue(VALIDATION_QUEUE).opened - 1)
            unwanted = queue.unwanted
            self._changed.notify_all()
        if unwanted:
            feed.store.discard()
        self._inbox.add(message.feed, feed.store)
        self._let_flow()

    def _count(self, message: FeedOpened) -> None:
        """Takes note of a feed of which this node gets no rows: a chief of parameter servers asks for its epochs."""
        queue = self._queue(message.queue)
        with self._changed:
            queue.opened, queue.train_epochs = queue.opened + 1, message.train_epochs
            self._changed.notify_all()

    def _store(self, message: FeedOpened) -> FeedStore:
        room = memory_bytes(self._plan, once=message.once)
        segment_bytes = min(SEGMENT_BYTES, max(MIN_SEGMENT_BYTES, room // 2)) if message.once else SEGMENT_BYTES
        return FeedStore(
            self._moved(message.feed),
            spill=Spill(self._directory(), segment_bytes),
            memory_bytes=room,
            once=message.once,
            share=self._share or 0,
            workers=len(self._plan.topology.data_nodes),
        )

    def _let_flow(self) -> None:
        """Lets the feeders of all feeds go on while more than one arrives: one could hold the slots of another."""
        arriving = [feed for feed in list(self._by_name.values()) if feed.totals is None]
        for feed in arriving:
            feed.store.set_alone(len(arriving) == 1)

    def _directory(self) -> str:
        directories = env.spark_local_dirs()
        return directories[self._plan.node.number % len(directories)]

    def _moved(self, name: str) -> Callable[[int, int, int], None]:
        def moved(ready_rows: int, rows: int, nbytes: int) -> None:
            feed = self._by_name.get(name)
            if feed is None:
                return
            store = feed.store
            event = Received(
                self._link.node,
                name,
                ready_rows,
                rows,
                nbytes,
                lead=store.lead,
                streams=store.streams[:STREAMS_TOLD],
                held_s=store.held_s,
                fill=store.fill,
            )
            self._link.send_latest(("received", name), event)

        return moved

    def _complete(self, message: FeedComplete) -> None:
        try:
            self._tell(message.feed, lambda feed: feed.finish(message.totals, message.partitions))
        except TFSparkError as error:
            self._fail(error)
        self._let_flow()
        self._forget()

    def _forget(self) -> None:
        """Drops what was kept for feeders of feeds that are complete and that nobody reads any more."""
        with self._changed:
            wanted = {id(feed) for queue in self._queues.values() for feed in queue.feeds.values()}
            over = [n for n, feed in self._by_name.items() if feed.totals is not None and id(feed) not in wanted]
        for name in over:
            del self._by_name[name]
            if self._inbox is not None:
                self._inbox.remove(name)

    def _close_queue(self, message: QueueClosed) -> None:
        queue = self._queue(message.queue)
        with self._changed:
            queue.closed = True
            self._changed.notify_all()
        if self._inbox is not None:
            self._inbox.exchanges.of(message.queue).close()

    def _fail(self, error: TFSparkError) -> None:
        """Reports an error of the feed from a thread of ours: map_fun may be waiting for rows that cannot come."""
        from tfspark_cnn.cluster.messages import Failed

        self.guard(error)
        self._link.send(
            Failed(
                self._link.node,
                host=self._plan.host,
                message=error.message,
                error=type(error).__name__,
                hint=error.hint,
            )
        )
