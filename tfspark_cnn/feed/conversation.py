"""The task's side of inference: sends the rows of one partition to one node, and gives the results as they come.

The task's own thread computes the rows, and waits with a time limit; one thread of ours writes, which the node may
hold up, and one reads.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any

import pyarrow as pa
from pyarrow import flight

from tfspark_cnn.errors import FeedError, FeedTimeout
from tfspark_cnn.feed import exchange

BLOCKS_WAITING = 2
"""Blocks that may wait to be written: one is being written while the next is computed."""

CLOSE_S = 5.0


class Conversation:
    """One stream of rows to a node and of results from it. A context manager: leaving it ends the stream.

    Args:
        client: of the node's inbox.
        inbox: its location, for errors.
        queue: that map_fun takes rows from.
        partition: Spark's number of the partition.
        timeout_s: seconds without any progress of the node after which it is given up.
    """

    def __init__(
        self, client: flight.FlightClient, inbox: str, *, queue: str, partition: int, timeout_s: float
    ) -> None:
        self._inbox, self._queue, self._partition, self._timeout_s = inbox, queue, partition, timeout_s
        self._received = self._sent = 0
        self._writer, self._reader = self._connect(client)
        self._changed = threading.Condition()
        self._outgoing: deque[pa.RecordBatch | None] = deque()  # None: the last one was before
        self._incoming: deque[pa.RecordBatch] = deque()
        self._error: Exception | None = None
        self._over = False
        self._threads = [
            threading.Thread(target=target, name=f"tfspark-{target.__name__}-{partition}", daemon=True)
            for target in (self._write, self._read)
        ]

    def __enter__(self) -> Conversation:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()
        self._reader.cancel()
        for thread in self._threads:
            thread.join(CLOSE_S)

    def send(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Sends rows, waiting for room, and gives the results that have come meanwhile.

        Raises:
            FeedError: the node has ended, or refused.
            FeedTimeout: it has neither taken nor given anything for too long.
        """
        self._wait(lambda: len(self._outgoing) < BLOCKS_WAITING)
        with self._changed:
            self._sent += batch.num_rows
            self._outgoing.append(batch)
            self._changed.notify_all()
        yield from self._arrived()

    def finish(self) -> Iterator[pa.RecordBatch]:
        """Ends the rows, and gives the rest of the results.

        Raises:
            FeedError: as `send`, and when there are not as many results as rows.
        """
        with self._changed:
            self._outgoing.append(None)
            self._changed.notify_all()
        while not self._over or self._incoming:
            self._wait(lambda: bool(self._incoming))
            yield from self._arrived()
        if self._received != self._sent:
            raise FeedError(
                f"partition {self._partition}: expected {self._sent} results, received {self._received}",
                hint="give batch_results one result for each row of next_batch",
            )

    # --- inner -------------------------------------------------------------------------------------------------------

    def _connect(self, client: flight.FlightClient) -> tuple[Any, Any]:
        try:
            writer, reader = client.do_exchange(exchange.descriptor(self._queue, self._partition))
        except (pa.ArrowException, OSError) as error:
            raise self._broken(error) from error
        return writer, reader

    def _arrived(self) -> Iterator[pa.RecordBatch]:
        with self._changed:
            arrived = list(self._incoming)
            self._incoming.clear()
        for batch in arrived:
            self._received += batch.num_rows
            yield batch

    def _wait(self, ready: Callable[[], bool]) -> None:
        with self._changed:
            moved = self._changed.wait_for(lambda: ready() or self._over, self._timeout_s)
            error = self._error
        if error is not None:
            raise self._broken(error) from error
        if not moved:
            raise FeedTimeout(
                f"partition {self._partition}: the node at {self._inbox} has neither taken rows nor given results for "
                f"{self._timeout_s:g} s: {self._sent} rows were sent, {self._received} results received",
                hint=f"map_fun has to loop over next_batch and batch_results of "
                f"ctx.get_data_feed(train_mode=False, qname_in={self._queue!r}); or raise feed_timeout",
            )

    def _broken(self, error: Exception) -> FeedError:
        said = str(error).partition(". Detail:")[0].partition(". gRPC client debug context")[0]
        return FeedError(
            f"partition {self._partition}: the node at {self._inbox} ended after {self._received} results: {said}",
            hint="cluster.shutdown() says whether the node has failed",
        )

    def _write(self) -> None:
        with suppress(pa.ArrowException, OSError):  # the reading thread hears why
            self._writer.begin(exchange.BLOCK_SCHEMA)
            while (batch := self._next()) is not None:
                self._writer.write_batch(exchange.pack(batch))
            if not self._over:  # a task that leaves early has not sent all: nobody should answer the rest
                self._writer.done_writing()

    def _next(self) -> pa.RecordBatch | None:
        with self._changed:
            self._changed.wait_for(lambda: self._outgoing or self._over)
            batch = self._outgoing.popleft() if self._outgoing and not self._over else None
            self._changed.notify_all()
            return batch

    def _read(self) -> None:
        try:
            for chunk in _chunks(self._reader):
                batch = exchange.unpack(chunk)
                with self._changed:
                    self._incoming.append(batch)
                    self._changed.notify_all()
        except (pa.ArrowException, OSError, FeedError) as error:
            self._error = error
        with self._changed:
            self._over = True
            self._changed.notify_all()


def _chunks(reader: Any) -> Iterator[pa.RecordBatch]:
    with suppress(StopIteration):
        while True:
            yield reader.read_chunk().data
