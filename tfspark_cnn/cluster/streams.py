"""Streams of Spark as training data: each micro-batch of a query, or RDD of a DStream, becomes one `train` call."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NoReturn

import pyarrow as pa

from tfspark_cnn.cluster import feed_data
from tfspark_cnn.errors import ClusterStopped, ConfigError

log = logging.getLogger(__name__)


class Way(StrEnum):
    """What becomes of a micro-batch."""

    SKIP = "skip"
    HOLD = "hold"
    FEED = "feed"
    FEED_AS_ONE = "feed as one partition"


def way(sizes: Sequence[int], *, held: int, nodes: int) -> Way:
    """Decides what becomes of a micro-batch, so that each node gets a row of whatever is fed.

    A partition gives its first rows to one node each (`feed.dealing`). One that has as many rows as there are nodes
    serves them all; many small ones may all leave out the same node, so they are put together. They are few: less than
    the number of partitions times the number of nodes.

    Args:
        sizes: rows of each partition.
        held: rows held over from micro-batches before; they are fed as a partition of their own.
        nodes: data nodes.

    Example:
        >>> str(way([0, 1, 1], held=0, nodes=2)), str(way([0, 2, 1], held=0, nodes=2))
        ('feed as one partition', 'feed')
    """
    if not any(sizes):
        return Way.SKIP
    if sum(sizes) + held < nodes:
        return Way.HOLD
    return Way.FEED if max(*sizes, held) >= nodes else Way.FEED_AS_ONE


@dataclass
class MicroBatches:
    """Feeds the micro-batches of one stream to a cluster. Made by `cluster.foreach_batch`; one for each query.

    Attributes:
        train: what is done with each.
        unwanted: says why no node will take any, or gives None.
        nodes: data nodes.
        held: rows of micro-batches that had fewer rows than there are nodes; they go with the next one.
    """

    train: Callable[[Any], None] = field(repr=False)
    unwanted: Callable[[], str | None] = field(repr=False)
    nodes: int
    held: list[Any] = field(default_factory=list)
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __call__(self, batch: Any, batch_id: int | None = None) -> None:
        """Feeds a micro-batch, and returns when the nodes have taken it.

        Raises:
            ClusterStopped: no node will take rows any more; the micro-batch was not computed.
            TFSparkError: as `train`.
        """
        with self._one_at_a_time:
            reason = self.unwanted()
            if reason:
                raise ClusterStopped(
                    f"a micro-batch came, and {reason}", hint="stop the stream before the cluster or map_fun ends"
                )
            with _computed_once(batch):
                self._feed(batch)

    def __reduce__(self) -> NoReturn:
        raise ConfigError(
            "a DStream with a checkpoint directory cannot be fed: a cluster does not outlive its driver",
            hint="leave out ssc.checkpoint(...), or use Structured Streaming and cluster.foreach_batch()",
        )

    def _feed(self, batch: Any) -> None:
        sizes = partition_rows(batch)
        found = way(sizes, held=len(self.held), nodes=self.nodes)
        if found is Way.HOLD:
            self.held += batch.collect()
            log.info("%d rows are held over: expected %d or more to train on", len(self.held), self.nodes)
        elif found is not Way.SKIP:
            data = _joined(self.held, batch) if self.held else batch
            self.train(data.coalesce(1) if found is Way.FEED_AS_ONE else data)
            self.held = []


@dataclass
class Streams:
    """The streams of one cluster.

    Attributes:
        opened: all of them.
        failure: what went wrong with one of them, until somebody has been told.
    """

    opened: list[MicroBatches] = field(default_factory=list)
    failure: Exception | None = None

    def open(
        self, train: Callable[[Any], None], *, unwanted: Callable[[], str | None], nodes: int, num_epochs: int
    ) -> MicroBatches:
        """Gives what feeds the micro-batches of a new stream.

        Raises:
            ConfigError: `num_epochs` does not say when a micro-batch is over.
        """
        if num_epochs == 0:
            raise ConfigError(
                "num_epochs is 0 for a stream, expected 1 or more: the next micro-batch would never be fed",
                hint="pass num_epochs=1",
            )

        batches = MicroBatches(self._noting(train), self._noting(unwanted), nodes)
        self.opened.append(batches)
        return batches

    def _noting(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Remembers what a function raises: in a thread of Spark's, only Spark would see it."""

        def call(*args: Any) -> Any:
            try:
                return function(*args)
            except Exception as error:
                self.failure = self.failure or error
                raise

        return call

    def register(self, dstream: Any, batches: MicroBatches) -> None:
        """Feeds each RDD of a DStream from when its context is started."""

        def feed(rdd: Any) -> None:
            reason = self.failure or batches.unwanted()
            if reason:
                log.info("an RDD of a DStream is not fed: %s", reason)
                return
            try:
                batches(rdd)
            except Exception as error:  # of Spark too, and of the user's own functions in the DStream
                self.failure = self.failure or error
                raise

        dstream.foreachRDD(feed)

    def await_end(self, ssc: Any, *, ended: Callable[[], None], wait: Callable[[Callable[[], bool]], Any]) -> None:
        """Waits for the end of a StreamingContext: `ended` is called then, and `wait` is told how to see it.

        Spark's own wait cannot be interrupted, so a thread does it, which ends when the context is stopped.
        """

        def watch() -> None:
            try:
                ssc.awaitTermination()
            except Exception as error:  # py4j's; `shutdown` raises it
                self.failure = self.failure or error
            over.set()
            ended()

        over = threading.Event()
        threading.Thread(target=watch, name="tfspark-stream", daemon=True).start()
        wait(over.is_set)

    def take_failure(self) -> Exception | None:
        """Gives what went wrong, once."""
        failure, self.failure = self.failure, None
        return failure

    def close(self) -> None:
        """Says what was not trained on."""
        for batches in self.opened:
            if batches.held:
                log.warning(
                    "%d rows of a stream were not trained on: fewer than the %d nodes", len(batches.held), batches.nodes
                )


def is_dstream(data: Any) -> bool:
    """Tells whether data is a DStream. Whoever has one has imported its module, which pyspark will drop some day."""
    module = sys.modules.get("pyspark.streaming.dstream")
    return module is not None and isinstance(data, module.DStream)


def refuse_streaming(data: Any) -> None:
    """Refuses a streaming DataFrame, which has no end that `train` could wait for.

    Raises:
        ConfigError: it is one.
    """
    if getattr(data, "isStreaming", False):
        raise ConfigError(
            "train got a streaming DataFrame, expected one that ends",
            hint="df.writeStream.foreachBatch(cluster.foreach_batch()).start() feeds its micro-batches",
        )


def partition_rows(data: Any) -> list[int]:
    """Runs a Spark job that counts the rows of each partition of a DataFrame or an RDD."""
    from pyspark.sql import functions

    if feed_data.is_rdd(data):
        return list(data.mapPartitions(count_rows).collect())
    narrow = data.select(functions.lit(True))
    return [row.rows for row in narrow.mapInArrow(count_batches, "rows bigint").collect()]


def count_rows(rows: Iterable[Any]) -> Iterator[int]:
    """Gives the number of rows of a partition of an RDD."""
    yield sum(1 for _ in rows)


def count_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Gives the number of rows of a partition of a DataFrame."""
    yield pa.record_batch({"rows": [sum(batch.num_rows for batch in batches)]})


@contextlib.contextmanager
def _computed_once(batch: Any) -> Iterator[None]:
    """Keeps what Spark computes of a micro-batch while it is counted and fed.

    `take(n)` in place of counting would compute its first partitions twice, in full where the query has state, since a
    micro-batch is not planned anew for what is asked of it. And rows that come out differently the second time could
    then be too few for the nodes, which would end the cluster.
    """
    rdd = feed_data.is_rdd(batch)
    level = batch.getStorageLevel() if rdd else batch.storageLevel
    if level.useMemory or level.useDisk:  # the user's, who gives it up as well
        yield
        return
    from pyspark import StorageLevel

    batch.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        yield
    finally:
        _give_up(batch)


def _give_up(batch: Any) -> None:
    """Unpersists. A query that is being stopped interrupts that call, but the micro-batch was fed: it is no failure."""
    try:
        batch.unpersist()
    except Exception:  # py4j's; Spark gives the rows up when it finds that nobody refers to them
        log.info("a micro-batch stays persisted for now", exc_info=True)


def _joined(held: list[Any], batch: Any) -> Any:
    """Puts rows as a partition of their own before those of a micro-batch."""
    if feed_data.is_rdd(batch):
        return batch.context.parallelize(held, 1).union(batch)
    return batch.sparkSession.createDataFrame(held, batch.schema, verifySchema=False).coalesce(1).union(batch)
