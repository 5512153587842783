"""The node-side receiver of the feed: an Arrow Flight server that feeders write their shares to.

One `do_put` stream carries the share that one try of one partition has for this node:

    feeder                                           inbox
    descriptor {"feed", "partition"}   ──────────>
                                       <──────────   resume: rows of the share held already
    record batch, metadata: first row  ──────────>   ledger decides what of it is new
    ...
    metadata: commit, rows of the share ─────────>
                                       <──────────   done: the share is complete
"""

from __future__ import annotations

import functools
import json
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyarrow import flight

from tfspark_cnn.errors import FeedError, ProtocolError, TFSparkError
from tfspark_cnn.feed.cache import FeedStore
from tfspark_cnn.feed.exchange import Exchanges
from tfspark_cnn.feed.fingerprint import Fingerprint
from tfspark_cnn.feed.transport import Service, endpoint, named

OPEN_WAIT_S = 30.0
"""How long a stream waits for its feed to be announced to this node: the announcement travels another way."""

_MARK = struct.Struct("<cqI")
BATCH, COMMIT = b"b", b"c"


@dataclass(frozen=True)
class Mark:
    """What goes with a record batch, begins or ends a share.

    Attributes:
        kind: `BATCH` or `COMMIT`.
        row: the first row of the batch; of a share: rows held, or rows in all.
        fingerprint: of the rows held, where an inbox says where to resume.
    """

    kind: bytes
    row: int
    fingerprint: int = 0

    def pack(self) -> bytes:
        """Gives the bytes that travel."""
        return _MARK.pack(self.kind, self.row, self.fingerprint)

    @classmethod
    def unpack(cls, body: bytes) -> Mark:
        """Reads them.

        Raises:
            ProtocolError: they are something else.
        """
        if len(body) != _MARK.size or body[:1] not in (BATCH, COMMIT):
            raise ProtocolError(f"a stream carries {len(body)} unknown bytes of metadata, expected {_MARK.size}")
        return cls(*_MARK.unpack(body))


def descriptor(feed: str, partition: int) -> flight.FlightDescriptor:
    """Gives what names a share: the node is the one it is sent to."""
    return flight.FlightDescriptor.for_command(json.dumps({"feed": feed, "partition": partition}))


class Inbox(Service):
    """Receives the shares of one node.

    Args:
        host: the address to listen on, by which feeders reach this node too.
        secret: of the cluster.
        broken: called with the error when rows arrive that cannot be right, however often they are sent.
    """

    def __init__(self, host: str, secret: str, *, broken: Callable[[TFSparkError], None]) -> None:
        self.exchanges = Exchanges()
        self._stores: dict[str, FeedStore] = {}
        self._opened = threading.Condition()
        self._broken = broken
        super().__init__(host, secret)
        self.location = endpoint(host, self.port)

    def add(self, feed: str, store: FeedStore) -> None:
        """Lets rows of a feed in."""
        with self._opened:
            self._stores[feed] = store
            self._opened.notify_all()

    def remove(self, feed: str) -> None:
        """Forgets a feed and its rows."""
        with self._opened:
            self._stores.pop(feed, None)

    def do_put(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> None:
        """Takes one share; see the top of this module."""
        try:
            feed, partition = named(descriptor, "feed")
            store = self._store(feed)
            with store.stream(partition):
                writer.write(Mark(BATCH, *store.resume(partition)).pack())
                self._receive(store, partition, reader, writer)
        except ProtocolError as error:  # nothing of it was kept, so the feeders under way are not concerned
            raise self.refuse(str(error)) from error
        except TFSparkError as error:
            self._broken(error)
            raise flight.FlightServerError(str(error)) from error

    def do_exchange(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> None:
        """Serves one partition of `cluster.inference`; see `exchange`."""
        try:
            self.exchanges.serve(descriptor, reader, writer, is_gone=context.is_cancelled)
        except ProtocolError as error:
            raise self.refuse(str(error)) from error
        except TFSparkError as error:
            raise flight.FlightServerError(str(error)) from error

    def _receive(self, store: FeedStore, partition: int, reader: Any, writer: Any) -> None:
        for chunk in reader:
            mark = Mark.unpack(chunk.app_metadata.to_pybytes() if chunk.app_metadata else b"")
            if mark.kind == COMMIT:
                store.commit(partition, mark.row)
                writer.write(mark.pack())
            else:
                store.accept(partition, mark.row, chunk.data)

    def _store(self, feed: str) -> FeedStore:
        with self._opened:
            if not self._opened.wait_for(lambda: feed in self._stores, OPEN_WAIT_S):
                raise ProtocolError(f"feed {feed[:80]!r} was not announced to this node in {OPEN_WAIT_S:.0f} s")
            return self._stores[feed]


class Share:
    """The feeder's end of one share: skips what the inbox holds, sends the rest, commits.

    What it skips it compares by fingerprint with what the inbox holds from an earlier try of the partition.

    Args:
        client: of the node's inbox.
        feed: which feed.
        partition: Spark's number of the partition.
        schema: of the record batches to come.
    """

    def __init__(self, client: flight.FlightClient, *, feed: str, partition: int, schema: pa.Schema) -> None:
        self.rows = 0
        self._partition = partition
        self._skipped = Fingerprint()
        self._writer, self._reader = client.do_put(descriptor(feed, partition), schema)

    @functools.cached_property
    def _resume(self) -> Mark:
        """Where to go on; read when it is needed, so that the streams to several nodes begin side by side."""
        return self._answer()

    def send(self, batch: pa.RecordBatch) -> None:
        """Sends the next rows of the share; blocks while the inbox takes none."""
        start, self.rows = self.rows, self.rows + batch.num_rows
        skip = min(max(0, self._resume.row - start), batch.num_rows)
        if skip:
            self._compare(batch.slice(0, skip))
        if skip < batch.num_rows:
            self._writer.write_with_metadata(batch.slice(skip), Mark(BATCH, start + skip).pack())

    def commit(self) -> None:
        """Ends the share, and waits until the inbox has all of it."""
        self.end()
        self.confirm()

    def end(self) -> None:
        """Says that these were all rows of the share."""
        assert self._resume  # the first answer comes before that to the commit
        self._writer.write_metadata(Mark(COMMIT, self.rows).pack())

    def confirm(self) -> None:
        """Waits until the inbox has all of the share."""
        self._answer()
        self._writer.close()

    def _compare(self, batch: pa.RecordBatch) -> None:
        self._skipped.update(batch)
        held = self._resume
        if self._skipped.rows == held.row and self._skipped.value() != held.fingerprint:
            raise FeedError(
                f"partition {self._partition} changed between tries: "
                f"its first {held.row} rows for a node are not those sent before",
                hint="make the data deterministic (no rand(), no unordered limit), or checkpoint it before train",
            )

    def _answer(self) -> Mark:
        body = self._reader.read()
        if body is None:
            self._writer.close()  # raises what the inbox said
            raise FeedError("an inbox ended the stream without a word")
        return Mark.unpack(body.to_pybytes())
