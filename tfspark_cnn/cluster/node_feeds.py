"""The feeds of one node: its inbox, what the coordinator says of each feed, and who reads them."""

from __future__ import annotations

import base64
import logging
import os
import threading
from collections.abc import Mapping
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
    StepsReady,
)
from tfspark_cnn.cluster.node_plan import Cache, NodePlan
from tfspark_cnn.errors import ConfigError, FeedError, TFSparkError
from tfspark_cnn.feed.cache import FeedStore, wait_for
from tfspark_cnn.feed.data_feed import DataFeed
from tfspark_cnn.feed.inbox import Inbox
from tfspark_cnn.feed.reader import EpochReader, NodeFeed, Progress, ReaderOptions, no_more_epochs
from tfspark_cnn.feed.spill import Spill
from tfspark_cnn.feed.train_rows import TrainRows

log = logging.getLogger(__name__)

TRAIN_QUEUE = "input"
"""What `ctx.dataset(name="train")` reads: the default `qname` of `cluster.train`."""


def memory_bytes(plan: NodePlan) -> int:
    """Gives how many bytes of rows a node keeps in memory before it turns to the disk.

    By default a quarter of the host's memory, shared by the nodes on it: Spark's own default leaves as much outside of
    its heap to Python and native code as TensorFlow and the batches in flight need beside it.
    """
    if plan.options.cache is Cache.DISK:
        return 0
    if plan.options.cache_bytes is not None:
        return plan.options.cache_bytes
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4 // plan.neighbours


def schema_text(schema: pa.Schema) -> str:
    """Gives an Arrow schema as text that fits into a message."""
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


def parse_schema(text: str) -> pa.Schema:
    """Reads what `schema_text` gave."""
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))


class NodeFeeds:
    """All feeds of a node. A ps or an evaluator has none; neither has a node in InputMode.TENSORFLOW.

    Attributes:
        failure: the first error that a reader or the inbox met. TensorFlow wraps what a generator raises in an error
            of its own, so the process reports this one instead.
    """

    def __init__(self, plan: NodePlan, link: Link) -> None:
        self.failure: TFSparkError | None = None
        self._plan, self._link = plan, link
        self._share = plan.topology.share_of(plan.node.number)
        self._changed = threading.Condition()
        self._queues: dict[str, list[NodeFeed]] = {}
        self._by_name: dict[str, NodeFeed] = {}
        self._closed: set[str] = set()
        self._readers: dict[str, list[EpochReader]] = {}
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
        return sum(reader.rows_taken for reader in self._readers.get(TRAIN_QUEUE, []))

    @property
    def refused(self) -> int:
        """How many calls the inbox has refused."""
        return self._inbox.refused if self._inbox else 0

    def num_epochs(self) -> int:
        """Gives `num_epochs` of the newest `train` call on the training queue, waiting for the first one."""
        self._next(TRAIN_QUEUE, 0)
        with self._changed:
            return self._queues[TRAIN_QUEUE][-1].num_epochs

    def reader(self, name: str, options: ReaderOptions) -> EpochReader:
        """Gives a new reader of the feed that `ctx.dataset(name=...)` names; waits for `train` to begin it.

        Raises:
            ConfigError: there is no such feed.
            FeedError: the cluster was shut down before `train` was called.
            SchemaError: a column is missing or cannot become a tensor.
        """
        queue = self._queue_of(name)
        readers = self._readers.setdefault(queue, [])
        reader = EpochReader(
            len(readers),
            options,
            next_feed=lambda number: self._next(queue, number),
            attach=self._attach,
            progress=self._progress,
        )
        readers.append(reader)
        return reader

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
        """Tells the tasks of `inference` that nobody will answer them."""
        if self._inbox is not None:
            self._inbox.exchanges.end("map_fun has returned")

    def close(self) -> bool:
        """Stops receiving; gives whether nobody sends any more, as `Service.close`."""
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
            self._row_sources[queue] = TrainRows(
                next_feed=lambda number: self._next_or_none(queue, number),
                progress=self._progress,
                detach=lambda: self._link.send(Detached(self._link.node, queue)),
            )
        return self._row_sources[queue]

    def _next(self, queue: str, number: int) -> NodeFeed:
        feed = self._next_or_none(queue, number)
        if feed is not None:
            return feed
        if number:
            raise self.guard(no_more_epochs(self._queues[queue][-1].num_epochs, queue))
        raise self.guard(
            FeedError(
                f"ctx.dataset waited for rows on {queue!r}, and the cluster was shut down",
                hint=f"call cluster.train(data, qname={queue!r}) before shutdown",
            )
        )

    def _next_or_none(self, queue: str, number: int) -> NodeFeed | None:
        with self._changed:
            wait_for(
                self._changed,
                lambda: len(self._queues.get(queue, [])) > number or queue in self._closed,
                lambda: f"train call {number + 1} on {queue!r}",
                lambda text: log.info("%s", text),
            )
            feeds = self._queues.get(queue, [])
            return feeds[number] if len(feeds) > number else None

    def _attach(self, feed: NodeFeed, reader: int, batch_rows: int, spec: str) -> None:
        self._link.send(Attached(self._link.node, feed.name, reader, batch_rows, spec))

    def _progress(self, progress: Progress) -> None:
        event = Consumed(
            self._link.node,
            feed=progress.feed,
            reader=progress.reader,
            passes=progress.passes,
            step=progress.step,
            rows=progress.rows,
            waited_s=progress.waited_s,
        )
        self._link.send_latest(("consumed", progress.feed, progress.reader), event)

    # --- what the coordinator says -----------------------------------------------------------------------------------

    def _listen(self) -> None:
        self._link.on(FeedOpened, self._opened)
        self._link.on(ReaderAgreed, lambda m: self._by_name[m.feed].agree(m.reader, m.batch_rows))
        self._link.on(StepsReady, lambda m: self._by_name[m.feed].allow(m.reader, m.steps))
        self._link.on(FeedComplete, self._complete)
        self._link.on(QueueClosed, self._close_queue)

    def _opened(self, message: FeedOpened) -> None:
        if self._inbox is None or self._share is None:
            return
        store = FeedStore(
            self._moved(message.feed), spill=Spill(self._directory()), memory_bytes=memory_bytes(self._plan)
        )
        feed = NodeFeed(message.feed, parse_schema(message.schema), message.num_epochs, self._share, store)
        self._by_name[message.feed] = feed
        self._inbox.add(message.feed, store)
        with self._changed:
            self._queues.setdefault(message.queue, []).append(feed)
            self._changed.notify_all()

    def _directory(self) -> str:
        directories = env.spark_local_dirs()
        return directories[self._plan.node.number % len(directories)]

    def _moved(self, feed: str) -> Any:
        def moved(ready_rows: int, rows: int, nbytes: int) -> None:
            self._link.send_latest(("received", feed), Received(self._link.node, feed, ready_rows, rows, nbytes))

        return moved

    def _complete(self, message: FeedComplete) -> None:
        try:
            self._by_name[message.feed].finish(message.totals, message.partitions)
        except TFSparkError as error:
            self._fail(error)

    def _close_queue(self, message: QueueClosed) -> None:
        with self._changed:
            self._closed.add(message.queue)
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
