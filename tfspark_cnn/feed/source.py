"""The feeder: the Spark task that sends one partition to the nodes, record batch by record batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tfspark_cnn.errors import FeedError
from tfspark_cnn.feed import transport
from tfspark_cnn.feed.dealing import Dealer
from tfspark_cnn.feed.inbox import Share

FED_DDL = "partition int, share array<bigint>"
FED_SCHEMA = pa.schema([("partition", pa.int32()), ("share", pa.list_(pa.int64()))])


@dataclass(frozen=True)
class Feeder:
    """Deals the record batches of a partition to the inboxes of all data nodes.

    Give it to `DataFrame.mapInArrow`: each task sends its partition and gives one row, `(partition, rows per node)`.

    Attributes:
        feed: which feed.
        inboxes: their locations, in the order of the shares.
        secret: of the cluster.
        schema: of the data as Arrow has it: the names of the columns, and what partitions without rows are sent as.
    """

    feed: str
    inboxes: tuple[str, ...]
    secret: str = field(repr=False)
    schema: pa.Schema

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Sends one partition."""
        from pyspark import TaskContext

        context = TaskContext.get()
        assert context is not None, "runs in a Spark task"
        partition = context.partitionId()
        rows = self.send(partition, (renamed(batch, self.schema.names) for batch in batches))
        yield pa.record_batch([[partition], [rows]], schema=FED_SCHEMA)

    def send(self, partition: int, batches: Iterable[pa.RecordBatch]) -> list[int]:
        """Sends the record batches of a partition, and gives the rows of each node's share.

        Raises:
            FeedError: an inbox refused them, or is gone.
        """
        with ExitStack() as stack:
            clients = [stack.enter_context(transport.connect(inbox, self.secret)) for inbox in self.inboxes]
            try:
                return self._deal(partition, batches, clients)
            except (pa.ArrowException, OSError) as error:
                raise FeedError(
                    f"partition {partition} could not be sent: {error}",
                    hint="an inbox refused the rows or its node has ended; the driver's exception says which",
                ) from error

    def _deal(self, partition: int, batches: Iterable[pa.RecordBatch], clients: Sequence[object]) -> list[int]:
        dealer = Dealer(partition, len(clients))
        shares: list[Share] = []
        row = 0
        for batch in batches:
            shares = shares or self._open(partition, batch.schema, clients)
            for share, piece in zip(shares, _cut(batch, dealer, row), strict=True):
                share.send(piece)
            row += batch.num_rows
        shares = shares or self._open(partition, self.schema, clients)
        for share in shares:
            share.end()
        for share in shares:
            share.confirm()
        return [share.rows for share in shares]

    def _open(self, partition: int, schema: pa.Schema, clients: Sequence[object]) -> list[Share]:
        return [Share(client, feed=self.feed, partition=partition, schema=schema) for client in clients]


def renamed(batch: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
    """Gives a record batch under the names its columns have in the data; Spark may have been told others."""
    return batch if batch.schema.names == list(names) else batch.rename_columns(list(names))


def _cut(batch: pa.RecordBatch, dealer: Dealer, first_row: int) -> list[pa.RecordBatch]:
    """Gives each node's rows of a record batch; with one node, the batch itself."""
    if dealer.workers == 1:
        return [batch]
    return [_picked(batch, rows) for rows in dealer.deal(first_row, batch.num_rows)]


def _picked(batch: pa.RecordBatch, rows: NDArray[np.int64]) -> pa.RecordBatch:
    """Gives rows of a record batch, which come in runs of consecutive ones.

    Slices put together, not `take`: for lists of variable length, as Spark's arrays are, that is 7 times as fast
    (14,500 against 1,940 MB/s of float[784]), and for types of fixed size within 20 %.
    """
    if not len(rows):
        return batch.slice(0, 0)
    starts = np.flatnonzero(np.diff(rows, prepend=-2) != 1)
    lengths = np.diff(starts, append=len(rows))
    slices = [batch.slice(int(rows[start]), int(length)) for start, length in zip(starts, lengths, strict=True)]
    return slices[0] if len(slices) == 1 else pa.concat_batches(slices)
