"""The feeder of an RDD: its rows become record batches in the task, and go the way of a DataFrame's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from tfspark_cnn import worker_reuse
from tfspark_cnn.errors import FeedError
from tfspark_cnn.feed.rows import record_batches
from tfspark_cnn.feed.source import Feeder, Sent


@dataclass(frozen=True)
class RowFeeder:
    """Deals the rows of a partition to the inboxes of all data nodes.

    Give it to `RDD.mapPartitions`: each task sends its partition and gives one `Sent`.

    Attributes:
        feeder: sends the record batches.
    """

    feeder: Feeder

    def __call__(self, rows: Iterable[Any]) -> Iterator[Sent]:
        """Sends one partition."""
        partition = worker_reuse.begin_task("feed")
        yield self.feeder.send(partition, batches_of(partition, rows))


def batches_of(partition: int, rows: Iterable[Any]) -> Iterator[pa.RecordBatch]:
    """Gives the rows of a partition as record batches.

    Raises:
        FeedError: a row does not fit the first ones; it names the partition.
    """
    try:
        yield from record_batches(rows)
    except FeedError as error:
        raise FeedError(f"partition {partition}, {error.message}", hint=error.hint) from error
