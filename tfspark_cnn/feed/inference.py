"""The tasks of `cluster.inference`: rows to a node, as many results back, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

import pyarrow as pa

from tfspark_cnn import worker_reuse
from tfspark_cnn.errors import FeedError
from tfspark_cnn.feed import transport
from tfspark_cnn.feed.conversation import Conversation
from tfspark_cnn.feed.dealing import splitmix64
from tfspark_cnn.feed.rows import RowKind, kind_of, record_batch, to_rows
from tfspark_cnn.feed.source import pieces_of, renamed

BLOCK_ROWS = 256
"""Rows of a block of an RDD: 800 kB of 28x28 floats, and seldom more than map_fun takes at once."""

BLOCK_BYTES = 4 << 20
"""A larger record batch of a DataFrame is sent in pieces: Spark's have 10,000 rows."""

PREDICTION = "prediction"


@dataclass(frozen=True)
class Inference:
    """Brings partitions to nodes and results back.

    Attributes:
        queue: that map_fun takes rows from.
        inboxes: of the data nodes.
        secret: of the cluster.
        timeout_s: seconds without progress after which a node is given up.
    """

    queue: str
    inboxes: tuple[str, ...]
    secret: str = field(repr=False)
    timeout_s: float

    def results(self, partition: int, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Sends the record batches of a partition to its node, and gives those of the results, in order.

        A partition without rows contacts nobody.

        Raises:
            FeedError: the node has ended, gave another number of results than it got rows, or a row is too large.
            FeedTimeout: nothing has moved for `timeout_s` seconds.
        """
        cut = (pieces_of(batch, partition=partition, piece_bytes=BLOCK_BYTES) for batch in batches)
        pieces = chain.from_iterable(cut)
        first = next(pieces, None)
        if first is None:
            return
        inbox = self.inboxes[splitmix64(partition) % len(self.inboxes)]
        with transport.connect(inbox, self.secret) as client:
            with Conversation(
                client, inbox, queue=self.queue, partition=partition, timeout_s=self.timeout_s
            ) as conversation:  # fmt: skip
                for piece in chain([first], pieces):
                    yield from conversation.send(piece)
                yield from conversation.finish()


@dataclass(frozen=True)
class RowInference:
    """Gives the result of each row. For `RDD.mapPartitions`."""

    inference: Inference

    def __call__(self, rows: Iterable[Any]) -> Iterator[Any]:
        """Brings one partition to its node."""
        for batch in self.inference.results(worker_reuse.begin_task("inference"), _blocks(rows)):
            yield from to_rows(batch)


@dataclass(frozen=True)
class FrameInference:
    """Gives the record batches of a DataFrame with the results as one more column. For `DataFrame.mapInArrow`.

    Attributes:
        inference: brings rows to the nodes.
        names: of the columns, as map_fun is to see them.
        result_type: of the new column.
    """

    inference: Inference
    names: tuple[str, ...]
    result_type: pa.DataType

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Brings one partition to its node."""
        sent: deque[pa.RecordBatch] = deque()

        def sending() -> Iterator[pa.RecordBatch]:
            for batch in batches:
                if batch.num_rows:
                    sent.append(batch)
                    yield renamed(batch, self.names)

        here: list[pa.Array] = []
        for results in self.inference.results(worker_reuse.begin_task("inference"), sending()):
            here.append(as_column(results, self.result_type))
            while sent and sum(map(len, here)) >= sent[0].num_rows:
                column = pa.concat_arrays(here)
                batch = sent.popleft()
                here = [column.slice(batch.num_rows)]
                yield batch.append_column(PREDICTION, column.slice(0, batch.num_rows))


def as_column(results: pa.RecordBatch, wanted: pa.DataType) -> pa.Array:
    """Gives results as one column of a type.

    Single values and arrays are cast; a tuple, list or dict becomes a struct, by place or by key.

    Raises:
        FeedError: they cannot become that type.

    Example:
        >>> as_column(record_batch([[1.0, 2.0]]), pa.struct([("a", pa.float32()), ("b", pa.float32())])).to_pylist()
        [{'a': 1.0, 'b': 2.0}]
    """
    found = kind_of(results.schema)
    try:
        if found is RowKind.SCALAR:
            return results.column(0).cast(wanted)
        if found is RowKind.OPAQUE:
            return pa.array(to_rows(results), wanted)
        if pa.types.is_struct(wanted):
            return _struct(results, wanted, by_name=found is RowKind.DICT)
        return pa.array([list(row) for row in to_rows(results)], wanted)
    except (pa.ArrowException, KeyError, TypeError) as error:
        received = ", ".join(f"{field.name}: {field.type}" for field in results.schema)
        raise FeedError(
            f"expected results that are {wanted}, received {found.value} of {received}: {error}",
            hint="pass inference(..., result_type=...) the Spark type of one result, as 'bigint' or 'array<float>'",
        ) from error


def _struct(results: pa.RecordBatch, wanted: pa.StructType, *, by_name: bool) -> pa.Array:
    fields = list(wanted)
    if len(fields) != results.num_columns:
        raise TypeError(f"{results.num_columns} values")
    keys = [field.name if by_name else place for place, field in enumerate(fields)]
    arrays = [results.column(key).cast(field.type) for key, field in zip(keys, fields, strict=True)]
    return pa.StructArray.from_arrays(arrays, fields=fields)


def _blocks(rows: Iterable[Any]) -> Iterator[pa.RecordBatch]:
    source = iter(rows)
    while block := list(islice(source, BLOCK_ROWS)):
        yield record_batch(block)
