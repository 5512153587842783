"""The node's side of inference: partitions come as streams of rows, and as many results go back on each.

    task                                             node
    descriptor {"queue", "partition"}  ──────────>   Exchange.serve, a thread for each stream
    block of rows                      ──────────>   take(n): rows of one stream, in order
    ...                                              (map_fun)
    end of rows                        ──────────>
                                       <──────────   answer(results): to the stream they belong to
                                       <──────────   end, when each row is answered

A block is one Arrow IPC stream in a binary column, so that blocks of one stream may differ in schema.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from pyarrow import flight

from tfspark_cnn.errors import FeedError, ProtocolError
from tfspark_cnn.feed.rows import record_batch
from tfspark_cnn.feed.transport import named

BLOCK_SCHEMA = pa.schema([("block", pa.large_binary())])

BLOCKS_AHEAD = 4
"""Blocks of a stream that wait on the node before it reads no more; more only if one batch of map_fun needs them."""

DELIVERY_S = 5.0
"""How long an error waits for its streams to carry it to their tasks before it ends the node."""

AsRows = Callable[[pa.RecordBatch], list[Any]]


def descriptor(queue: str, partition: int) -> flight.FlightDescriptor:
    """Gives what names a stream."""
    return flight.FlightDescriptor.for_command(json.dumps({"queue": queue, "partition": partition}))


def pack(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Gives the block that carries a record batch."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    body = sink.getvalue()
    offsets = pa.array([0, body.size], pa.int64()).buffers()[1]
    return pa.record_batch([pa.Array.from_buffers(pa.large_binary(), 1, [None, offsets, body])], schema=BLOCK_SCHEMA)


def unpack(block: pa.RecordBatch) -> pa.RecordBatch:
    """Gives the record batch of a block.

    Raises:
        ProtocolError: it is no block.
    """
    if block.schema != BLOCK_SCHEMA or block.num_rows != 1:
        raise ProtocolError(f"a stream carries {block.num_rows} rows of {block.schema.names}, expected one block")
    with pa.ipc.open_stream(block.column(0)[0].as_buffer()) as stream:
        return stream.read_next_batch()


@dataclass(eq=False)
class _Stream:
    """One partition on its way. Everything but `writer` changes under the lock of its exchange."""

    partition: int
    writer: Any
    blocks: deque[pa.RecordBatch] = field(default_factory=deque)
    waiting: int = 0  # rows that map_fun has not taken
    open_rows: int = 0  # rows that it has not answered, of those received
    complete: bool = False
    begun: bool = False
    failure: FeedError | None = None

    @property
    def settled(self) -> bool:
        return self.failure is not None or (self.complete and not self.open_rows)


class Exchange:
    """The streams of one queue on one node. All methods may be called from any thread.

    Example:
        >>> exchange = Exchange()
        >>> exchange.close()
        >>> exchange.take(10, lambda batch: batch.to_pylist()), exchange.done
        ([], True)
    """

    def __init__(self) -> None:
        self.done = False
        self._changed = threading.Condition()
        self._streams: list[_Stream] = []
        self._unanswered: deque[tuple[_Stream, int]] = deque()
        self._wanted = 0
        self._closed = False
        self._ended: str | None = None

    # --- from the inbox ----------------------------------------------------------------------------------------------

    def serve(self, partition: int, reader: Any, writer: Any, *, is_gone: Callable[[], bool]) -> None:
        """Receives one stream, and returns when each of its rows is answered.

        To Flight's reader a stream that was broken off has ended like any other; `is_gone` tells them apart.

        Raises:
            FeedError: nobody answers any more, or the results were wrong.
        """
        stream = self._begin(_Stream(partition, writer))
        try:
            for chunk in reader:
                self._put(stream, unpack(chunk.data))
            if is_gone():
                raise FeedError(f"the task of partition {partition} has gone")
            self._settle(stream)
        except BaseException:
            self._fail([stream], FeedError(f"the task of partition {partition} has gone"))
            raise
        finally:
            with self._changed:
                self._streams.remove(stream)
                self._changed.notify_all()

    def close(self) -> None:
        """Takes note that no further stream will come: `take` gives what is here and then nothing."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def end(self, reason: str) -> None:
        """Takes note that nobody takes rows any more: all streams fail, now and later."""
        with self._changed:
            self._ended, self.done = reason, True
            self._fail(self._streams, _nobody(reason))

    # --- for map_fun -------------------------------------------------------------------------------------------------

    def take(self, rows: int, as_rows: AsRows) -> list[Any]:
        """Gives the next rows of one partition: so many, or those left of it; none when no more will come.

        Waits until a stream has them. Streams that have are served in the order in which they came.
        """
        with self._changed:
            self._wanted = rows
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._ready(rows) is not None or self._over())
            stream = self._ready(rows)
            if stream is None:
                self.done = True
                return []
            pieces = self._cut(stream, rows)
        taken = [row for piece in pieces for row in as_rows(piece)]
        return taken

    def answer(self, results: Sequence[Any]) -> None:
        """Sends the results of the oldest batch that `take` gave and that has none yet.

        Raises:
            FeedError: they are not as many as the batch has rows.
        """
        with self._changed:
            stream, expected = self._unanswered.popleft() if self._unanswered else (None, 0)
        if stream is None and not len(results):
            return
        if stream is None or len(results) != expected:
            raise self._wrong(stream, expected, len(results))
        self._send(stream, results)

    def stop(self) -> None:
        """Takes note that map_fun wants no more rows."""
        self.end("map_fun has called terminate()")

    # --- inner -------------------------------------------------------------------------------------------------------

    def _begin(self, stream: _Stream) -> _Stream:
        with self._changed:
            if self._ended or self._closed:
                raise _nobody(self._ended or "the cluster is shutting down")
            self._streams.append(stream)
        return stream

    def _put(self, stream: _Stream, batch: pa.RecordBatch) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._has_room(stream) or stream.failure)
            if stream.failure:
                raise stream.failure
            stream.blocks.append(batch)
            stream.waiting += batch.num_rows
            stream.open_rows += batch.num_rows
            self._changed.notify_all()

    def _settle(self, stream: _Stream) -> None:
        with self._changed:
            stream.complete = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: stream.settled)  # for map_fun; the node ends with its cluster
            if stream.failure:
                raise stream.failure

    def _has_room(self, stream: _Stream) -> bool:
        return len(stream.blocks) < BLOCKS_AHEAD or stream.waiting < self._wanted

    def _ready(self, rows: int) -> _Stream | None:
        for stream in self._streams:
            if not stream.failure and (stream.waiting >= rows or (stream.complete and stream.waiting)):
                return stream
        return None

    def _over(self) -> bool:
        coming = any(not stream.failure and (stream.waiting or not stream.complete) for stream in self._streams)
        return self._ended is not None or (self._closed and not coming)

    def _cut(self, stream: _Stream, rows: int) -> list[pa.RecordBatch]:
        pieces, left = [], min(rows, stream.waiting)
        stream.waiting -= left
        self._unanswered.append((stream, left))
        while left:
            block = stream.blocks.popleft()
            pieces.append(block.slice(0, left))
            if block.num_rows > left:
                stream.blocks.appendleft(block.slice(left))
            left -= pieces[-1].num_rows
        self._changed.notify_all()
        return pieces

    def _send(self, stream: _Stream, results: Sequence[Any]) -> None:
        if stream.failure:  # its task has gone; another try of it brings the rows again
            return
        try:
            if not stream.begun:
                stream.writer.begin(BLOCK_SCHEMA)
                stream.begun = True
            stream.writer.write_batch(pack(record_batch(list(results))))
        except (pa.ArrowException, OSError) as error:
            self._fail([stream], FeedError(f"the task of partition {stream.partition} has gone: {error}"))
        with self._changed:
            stream.open_rows -= len(results)
            self._changed.notify_all()

    def _wrong(self, stream: _Stream | None, expected: int, received: int) -> FeedError:
        where = f"partition {stream.partition}: " if stream else ""
        error = FeedError(
            f"{where}expected {expected} results, one for each row of the batch, received {received}",
            hint="give batch_results as many results as next_batch gave rows, once for each batch",
        )
        if stream is not None:
            self._fail([stream], error)
            with self._changed:
                self._changed.wait_for(lambda: stream not in self._streams, DELIVERY_S)
        return error

    def _fail(self, streams: Sequence[_Stream], error: FeedError) -> None:
        with self._changed:
            for stream in streams:
                stream.failure = stream.failure or error
            self._changed.notify_all()


class Exchanges:
    """The exchanges of a node, by queue."""

    def __init__(self) -> None:
        self._by_queue: dict[str, Exchange] = {}
        self._ended: str | None = None
        self._lock = threading.Lock()

    def of(self, queue: str) -> Exchange:
        """Gives the exchange of a queue."""
        with self._lock:
            exchange = self._by_queue.setdefault(queue, Exchange())
            if self._ended:
                exchange.end(self._ended)
            return exchange

    def end(self, reason: str) -> None:
        """Takes note that nobody takes rows any more."""
        with self._lock:
            self._ended = reason
            exchanges = list(self._by_queue.values())
        for exchange in exchanges:
            exchange.end(reason)

    def serve(self, descriptor: Any, reader: Any, writer: Any, *, is_gone: Callable[[], bool]) -> None:
        """Serves one `do_exchange` call of an inbox.

        Raises:
            ProtocolError: it is none of a task of `inference`.
            FeedError: nobody answers any more, or the results were wrong.
        """
        queue, partition = named(descriptor, "queue")
        self.of(queue).serve(partition, reader, writer, is_gone=is_gone)


def _nobody(reason: str) -> FeedError:
    return FeedError(f"nobody takes the rows: {reason}", hint="run actions on what inference gave before shutdown")
