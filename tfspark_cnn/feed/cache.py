"""The rows of one feed that a node holds: kept for the later epochs, read while the first one still arrives."""

from __future__ import annotations

import bisect
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tfspark_cnn.errors import FeedError
from tfspark_cnn.feed.fingerprint import Fingerprint
from tfspark_cnn.feed.ledger import Ledger
from tfspark_cnn.feed.schema import ResolvedColumn, decode, pick
from tfspark_cnn.feed.spill import Chunk, Spill

REASON_EVERY_S = 30.0
"""A wait that lasts longer says in the log what it waits for."""


class FeedStore:
    """What one node has received of one feed, in Spark's order: by partition, then by row.

    Rows of later partitions are parked until all partitions before them are committed. All methods may be called from
    any thread. Record batches are kept as they came, and shared with whoever reads them: nobody writes to them.

    Args:
        moved: called after each change with (rows ready in order, rows in all, bytes in all).
        spill: where record batches go that memory has no room for; None: they all stay in memory.
        memory_bytes: how much may stay in memory where there is a spill.
    """

    def __init__(
        self, moved: Callable[[int, int, int], None], *, spill: Spill | None = None, memory_bytes: int = 0
    ) -> None:
        self.changed = threading.Condition()
        self.rows_total: int | None = None
        self._moved, self._spill, self._memory_bytes = moved, spill, memory_bytes
        self._ledger = Ledger()
        self._chunks: list[Chunk] = []
        self._starts: list[int] = [0]  # first row of each chunk, and the end of the last
        self._starts_array = np.zeros(1, np.int64)  # the same for `locate`, as of its last call
        self._by_partition: dict[int, list[Chunk]] = {}
        self._lead = 0
        self._rows = 0
        self._nbytes = 0

    # --- from the inbox ----------------------------------------------------------------------------------------------

    def resume(self, partition: int) -> tuple[int, int]:
        """Gives how many rows of this node's share of a partition are here already, and their fingerprint."""
        with self.changed:
            held = Fingerprint()
            for chunk in self._by_partition.get(partition, []):
                held.update(chunk.batch)
            return self._ledger.resume(partition), held.value()

    def accept(self, partition: int, start: int, batch: pa.RecordBatch) -> None:
        """Takes rows [start, start + rows) of the share of a partition; those that are here already are left out.

        Raises:
            FeedError: rows before them are missing, or the partition changed between tries.
        """
        with self.changed:
            accepted = self._ledger.accept(partition, start, batch.num_rows)
            if not accepted.take:
                return
            kept = batch.slice(accepted.skip)
            chunk = Chunk.of(kept)
            self._rows += chunk.rows
            self._nbytes += chunk.nbytes
            self._by_partition.setdefault(partition, []).append(chunk)
            if partition == self._lead:
                self._append(chunk)
            if self._spill is not None and self._nbytes > self._memory_bytes:
                self._spill.move(chunk)
            self._tell()

    def commit(self, partition: int, rows: int) -> None:
        """Takes note that the share of a partition is complete with that many rows.

        Raises:
            FeedError: another number of rows is here.
        """
        with self.changed:
            self._ledger.commit(partition, rows)
            lead = self._ledger.prefix().partitions
            while self._lead < lead:
                self._lead += 1
                for chunk in self._by_partition.get(self._lead, []):
                    self._append(chunk)
            self._tell()

    def close(self, partitions: int, rows: int) -> None:
        """Takes note that all rows are here.

        Raises:
            FeedError: that is not so.
        """
        with self.changed:
            self._ledger.close(partitions)
            if not self._ledger.complete or self._rows != rows:
                raise FeedError(
                    f"the feed ended with {rows} rows in {partitions} partitions for this node, received {self._rows}",
                    hint="a partition was lost, or changed between tries: cache or checkpoint the data before train",
                )
            self.rows_total = rows
            self.changed.notify_all()

    # --- for readers -------------------------------------------------------------------------------------------------

    @property
    def ready_rows(self) -> int:
        """Rows that can be read in order without a gap."""
        return self._starts[-1]

    @property
    def missing(self) -> str:
        """What the next row in order waits for, in words."""
        return f"rows of partition {self._lead}; {self._rows} rows are here, {self.ready_rows} of them in order"

    def first_chunk(self) -> pa.RecordBatch | None:
        """Gives the first record batch in order, or None while there is none."""
        return self._chunks[0].batch if self._chunks else None

    def chunk(self, number: int) -> pa.RecordBatch:
        """Gives a record batch by its place in the order."""
        return self._chunks[number].batch

    def chunks(self) -> Sequence[pa.RecordBatch]:
        """Gives the record batches that are here in order so far."""
        return tuple(chunk.batch for chunk in self._chunks)

    def is_moving(self, number: int) -> bool:
        """Tells whether a record batch is about to be moved to disk: who keeps a view of it keeps its memory."""
        return self._spill is not None and not self._chunks[number].on_disk and self.spilled

    @property
    def spilled(self) -> bool:
        """Whether there was more than memory has room for."""
        return self._spill is not None and self._nbytes > self._memory_bytes

    def first_row(self, number: int) -> int:
        """Gives the first row of a record batch in the order."""
        return self._starts[number]

    def locate(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Gives chunk and row within it for each of the given rows."""
        starts = self._starts_array
        if len(starts) != len(self._starts):  # not for each batch: of 100,000 tiny partitions that takes 2 ms
            starts = self._starts_array = np.asarray(self._starts)
        chunk = np.searchsorted(starts, rows, side="right") - 1
        return chunk, rows - starts[chunk]

    def span(self, start: int, stop: int) -> list[tuple[int, int, int]]:
        """Gives the (chunk, first row in it, end row in it) that cover rows [start, stop)."""
        first = bisect.bisect_right(self._starts, start) - 1
        pieces = []
        while start < stop:
            base, end = self._starts[first], self._starts[first + 1]
            pieces.append((first, start - base, min(stop, end) - base))
            start, first = min(stop, end), first + 1
        return pieces

    def _append(self, chunk: Chunk) -> None:
        self._chunks.append(chunk)
        self._starts.append(self._starts[-1] + chunk.rows)

    def _tell(self) -> None:
        self.changed.notify_all()
        self._moved(self.ready_rows, self._rows, self._nbytes)


class ColumnReader:
    """Reads columns of a store as NumPy arrays. Each record batch is decoded once, as views where Arrow allows it.

    What would keep memory that the store has given to the disk is decoded anew each time. Not to be shared between
    threads.
    """

    def __init__(self, store: FeedStore, columns: Sequence[ResolvedColumn]) -> None:
        self._store = store
        self._columns = tuple(columns)
        self._decoded: dict[int, tuple[NDArray[np.generic], ...]] = {}

    def range(self, start: int, stop: int) -> tuple[NDArray[np.generic], ...]:
        """Gives rows [start, stop) of each column, `[rows, *shape]`; a view if one record batch holds them."""
        pieces = self._store.span(start, stop)
        parts = [[array[a:b] for array in self._arrays(chunk)] for chunk, a, b in pieces]
        return tuple(arrays[0] if len(arrays) == 1 else np.concatenate(arrays) for arrays in zip(*parts, strict=True))

    def take(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.generic], ...]:
        """Gives the given rows of each column, `[rows, *shape]`, in that order."""
        chunk, inner = self._store.locate(rows)
        order = np.argsort(chunk, kind="stable")
        bounds = np.flatnonzero(np.diff(chunk[order])) + 1
        groups = np.split(order, bounds)
        numbers = [int(chunk[group[0]]) for group in groups]
        first = self._arrays(numbers[0])
        out = tuple(np.empty((len(rows), *array.shape[1:]), array.dtype) for array in first)
        for number, group in zip(numbers, groups, strict=True):
            for target, array in zip(out, self._arrays(number), strict=True):
                target[group] = array[inner[group]]
        return out

    def _arrays(self, number: int) -> tuple[NDArray[np.generic], ...]:
        found = self._decoded.get(number)
        if found is not None:
            return found
        moving = self._store.is_moving(number)
        batch, first_row = self._store.chunk(number), self._store.first_row(number)
        arrays = tuple(decode(pick(batch, c), c, first_row=first_row) for c in self._columns)
        views = not any(array.flags.writeable for array in arrays)  # Arrow's buffers are read-only, copies are not
        if not moving and (views or not self._store.spilled):
            self._decoded[number] = arrays
        return arrays


def wait_for(
    condition: threading.Condition, ready: Callable[[], bool], reason: Callable[[], str], say: Callable[[str], None]
) -> float:
    """Waits, with the condition's lock held, until `ready()`; says what for while it lasts long. Gives the seconds.

    There is no time limit here: the process ends with its cluster, and the driver's `feed_timeout` watches progress.
    """
    start = time.monotonic()
    while not condition.wait_for(ready, REASON_EVERY_S):
        say(f"waiting for {reason()} since {time.monotonic() - start:.0f} s")
    return time.monotonic() - start
