"""The rows of one feed that a node holds: kept for the later epochs, read while the first one still arrives."""

from __future__ import annotations

import bisect
import contextlib
import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tfspark_cnn.errors import FeedError
from tfspark_cnn.feed import allocators
from tfspark_cnn.feed.fingerprint import Fingerprint
from tfspark_cnn.feed.flow import Flow
from tfspark_cnn.feed.ledger import Ledger
from tfspark_cnn.feed.origins import Origins
from tfspark_cnn.feed.schema import ResolvedColumn, decode, pick
from tfspark_cnn.feed.spill import Chunk, Spill

log = logging.getLogger(__name__)

REASON_EVERY_S = 30.0
"""A wait that lasts longer says in the log what it waits for; a reader that waits longer is starving (`flow`)."""


class FeedStore:
    """What one node has received of one feed, in Spark's order: by partition, then by row.

    Rows of later partitions are parked until all partitions before them are committed. All methods may be called from
    any thread. Record batches are kept as they came, and shared with whoever reads them: nobody writes to them.

    A store that is read once gives rows up as they are read, and lets feeders wait while there is enough to read.

    Attributes:
        held_s: seconds that feeders were held back.
        origins: where the rows are from.
        backlog: tells a store that is read once whether its reader has work that needs no further row; see `flow`.

    Args:
        moved: called after each change with (rows ready in order, rows in all, bytes in all).
        spill: where record batches go that memory has no room for; None: they all stay in memory.
        memory_bytes: how much may stay in memory where there is a spill.
        once: whether rows are read once.
        share: our place among the data nodes.
        workers: how many data nodes there are.
    """

    def __init__(
        self,
        moved: Callable[[int, int, int], None],
        *,
        spill: Spill | None = None,
        memory_bytes: int = 0,
        once: bool = False,
        share: int = 0,
        workers: int = 1,
    ) -> None:
        self.changed = threading.Condition()
        self.rows_total: int | None = None
        self.held_s = 0.0
        self.backlog: Callable[[], bool] = lambda: False
        self._moved, self._spill, self._memory_bytes = moved, spill, memory_bytes
        self._streams: Counter[int] = Counter()
        self._flow = Flow(memory_bytes, streams=self._streams) if once else None
        self.origins = Origins(share=share, workers=workers)
        self._ledger = Ledger()
        self._chunks: list[Chunk] = []
        self._starts: list[int] = [0]  # first row of each chunk, and the end of the last
        self._starts_array: NDArray[np.int64] | None = None
        self._given_up = 0  # chunks before the first that is kept
        self._by_partition: dict[int, list[Chunk]] = {}
        self._read: dict[int, Fingerprint] = {}  # of rows given up, by partition
        self._freed_bytes = 0  # since they were given back
        self._lead = 0
        self._rows = 0
        self._nbytes = 0

    # --- from the inbox ----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def stream(self, partition: int) -> Iterator[None]:
        """While it lasts, a feeder of the partition is under way."""
        with self.changed:
            self._streams[partition] += 1
            self._tell()
        try:
            yield
        finally:
            with self.changed:
                self._streams[partition] -= 1
                if not self._streams[partition]:
                    del self._streams[partition]
                self._tell()

    def resume(self, partition: int) -> tuple[int, int]:
        """Gives how many rows of this node's share of a partition are here already, and their fingerprint."""
        with self.changed:
            held = self._read[partition].copy() if partition in self._read else Fingerprint()
            for chunk in self._by_partition.get(partition, []):
                held.update(chunk.batch)
            return self._ledger.resume(partition), held.value()

    def accept(self, partition: int, start: int, batch: pa.RecordBatch) -> None:
        """Takes rows [start, start + rows) of the share of a partition; those that are here already are left out.

        A store that is read once may wait here, see `flow`.

        Raises:
            FeedError: rows before them are missing, or the partition changed between tries.
        """
        with self.changed:
            self._hold(partition)
            accepted = self._ledger.accept(partition, start, batch.num_rows)
            if not accepted.take:
                return
            kept = batch.slice(accepted.skip)
            chunk = Chunk.of(kept, partition=partition, start=start + accepted.skip)
            self._rows += chunk.rows
            self._nbytes += chunk.nbytes
            self._by_partition.setdefault(partition, []).append(chunk)
            if self._flow is not None:
                self._flow.parked_bytes += chunk.nbytes
            if partition == self._lead:
                self._append(chunk)
            if self._spill is not None and self.spilled:
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
                for chunk in tuple(self._by_partition.get(self._lead, ())):
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

    def _hold(self, partition: int) -> None:
        flow = self._flow
        if flow is None or not flow.holds(partition, lead=self._lead, backlog=self.backlog()):
            return
        self.held_s += wait_for(
            self.changed,
            lambda: not flow.holds(partition, lead=self._lead, backlog=self.backlog()),
            lambda: f"the network to take rows, with partition {partition} held back: {self.fill}",
            log.debug,
        )

    # --- for readers -------------------------------------------------------------------------------------------------

    def await_rows(self, ready: Callable[[], bool], reason: Callable[[], str], say: Callable[[str], None]) -> float:
        """Waits until `ready()`, which is asked after each change; gives the seconds."""

        def starving(text: str) -> None:
            if self._flow is not None:
                self._flow.starving = True
                self.changed.notify_all()
            say(text)

        with self.changed:
            waited_s = wait_for(self.changed, ready, reason, starving)
            if self._flow is not None:
                self._flow.starving = False
            return waited_s

    def release(self, row: int) -> int:
        """Gives up all rows before a row, where rows are read once; gives the number of the first chunk kept."""
        with self.changed:
            if self._flow is None:
                return 0
            count = bisect.bisect_right(self._starts, row) - 1
            for chunk in self._chunks[:count]:
                self._flow.ordered_bytes -= chunk.nbytes
                self._freed_bytes += chunk.nbytes
                self._by_partition[chunk.partition].pop(0)
                self._read.setdefault(chunk.partition, Fingerprint()).update(chunk.batch)
            del self._chunks[:count], self._starts[:count]
            self._starts_array = None
            self._given_up += count
            self.changed.notify_all()
            if self._freed_bytes >= allocators.EVERY_BYTES:
                self._freed_bytes = 0
                allocators.give_back()
            return self._given_up

    def discard(self) -> None:
        """Gives up all rows, also those to come, where rows are read once: nobody will read them."""
        with self.changed:
            if self._flow is not None:
                self._flow.ended = True
                self.release(self.ready_rows)

    def set_alone(self, alone: bool) -> None:
        """Takes note whether this is the only feed that arrives; see `flow`."""
        with self.changed:
            if self._flow is not None:
                self._flow.alone = alone
                self.changed.notify_all()

    @property
    def once(self) -> bool:
        """Whether rows can be read only once."""
        return self._flow is not None

    @property
    def lead(self) -> int:
        """The first partition that is not complete."""
        return self._lead

    @property
    def streams(self) -> list[int]:
        """The partitions whose feeders are connected."""
        with self.changed:
            return sorted(self._streams)

    @property
    def fill(self) -> str:
        """What is kept, in words."""
        if self._flow is None:
            disk = self._spill.written_bytes if self._spill is not None else 0
            return f"{self._nbytes >> 20} MiB kept, {disk >> 20} of them written to disk"
        ordered, parked = self._flow.ordered_bytes >> 20, self._flow.parked_bytes >> 20
        return f"{ordered} MiB in order and {parked} MiB of later partitions wait, room for {self._memory_bytes >> 20}"

    @property
    def ready_rows(self) -> int:
        """Rows that can be read in order without a gap, those read already included."""
        return self._starts[-1]

    @property
    def row_bytes(self) -> float:
        """Bytes of a row, on the average of what is here."""
        return self._nbytes / max(1, self._rows)

    @property
    def missing(self) -> str:
        """What the next row in order waits for, in words."""
        return f"rows of partition {self._lead}; {self._rows} rows are here, {self.ready_rows} of them in order"

    def first_chunk(self) -> pa.RecordBatch | None:
        """Gives the first record batch in order, or None while there is none."""
        return self._chunks[0].batch if self._chunks else None

    def chunk(self, number: int) -> pa.RecordBatch:
        """Gives a record batch by its place in the order."""
        return self._chunks[number - self._given_up].batch

    def chunks(self) -> Sequence[pa.RecordBatch]:
        """Gives the record batches that are here in order so far."""
        return tuple(chunk.batch for chunk in self._chunks)

    def may_keep(self, number: int, *, views: bool) -> bool:
        """Tells whether a reader may keep what it has decoded of a record batch, as views of it or as copies.

        Of rows that are read once, what is decoded goes when they go. Else views of what is about to be moved to disk
        would keep its memory, and copies of what memory has no room for would need as much again.
        """
        if self.once or not self.spilled:
            return True
        return views and self._chunks[number - self._given_up].on_disk

    @property
    def spilled(self) -> bool:
        """Whether there is more than memory has room for."""
        if self._flow is not None:
            return self._flow.over
        return self._spill is not None and self._nbytes > self._memory_bytes

    def first_row(self, number: int) -> int:
        """Gives the first row of a record batch in the order."""
        return self._starts[number - self._given_up]

    def locate(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Gives chunk and row within it for each of the given rows."""
        with self.changed:
            if self._starts_array is None:
                self._starts_array = np.asarray(self._starts)
            starts, given_up = self._starts_array, self._given_up
        chunk = np.searchsorted(starts, rows, side="right") - 1
        return chunk + given_up, rows - starts[chunk]

    def span(self, start: int, stop: int) -> list[tuple[int, int, int]]:
        """Gives the (chunk, first row in it, end row in it) that cover rows [start, stop)."""
        first = bisect.bisect_right(self._starts, start) - 1
        pieces = []
        while start < stop:
            base, end = self._starts[first], self._starts[first + 1]
            pieces.append((first + self._given_up, start - base, min(stop, end) - base))
            start, first = min(stop, end), first + 1
        return pieces

    def _append(self, chunk: Chunk) -> None:
        self.origins.add(first_row=self._starts[-1], partition=chunk.partition, share_row=chunk.start)
        self._chunks.append(chunk)
        self._starts.append(self._starts[-1] + chunk.rows)
        self._starts_array = None
        if self._flow is not None:
            self._flow.parked_bytes -= chunk.nbytes
            self._flow.ordered_bytes += chunk.nbytes
            if self._flow.ended:
                self.release(self.ready_rows)

    def _tell(self) -> None:
        self.changed.notify_all()
        self._moved(self.ready_rows, self._rows, self._nbytes)


class ColumnReader:
    """Reads columns of a store as NumPy arrays. Each record batch is decoded once, as views where Arrow allows it.

    What would keep memory that the store has given to the disk is decoded anew each time. Not to be shared between
    threads.

    After the columns comes one more array: the numbers of the rows in the order of the store, int64[rows].

    Args:
        store: of the rows.
        columns: to read.
    """

    def __init__(self, store: FeedStore, columns: Sequence[ResolvedColumn]) -> None:
        self._store = store
        self._columns = tuple(columns)
        self._decoded: dict[int, tuple[NDArray[np.generic], ...]] = {}
        self._scratch: list[NDArray[Any]] = []  # of `take`

    def range(self, start: int, stop: int) -> tuple[NDArray[np.generic], ...]:
        """Gives rows [start, stop) of each column, `[rows, *shape]`; a view if one record batch holds them."""
        pieces = self._store.span(start, stop)
        parts = [[array[a:b] for array in self._arrays(chunk)] for chunk, a, b in pieces]
        whole = (arrays[0] if len(arrays) == 1 else np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return (*whole, np.arange(start, stop))

    def take(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.generic], ...]:
        """Gives the given rows of each column, `[rows, *shape]`, in that order."""
        chunk, inner = self._store.locate(rows)
        order = np.argsort(chunk, kind="stable")
        bounds = np.flatnonzero(np.diff(chunk[order])) + 1
        groups = np.split(order, bounds)
        numbers = [int(chunk[group[0]]) for group in groups]
        first = self._arrays(numbers[0])
        out = tuple(aligned((len(rows), *array.shape[1:]), array.dtype) for array in first)
        self._grow_scratch(max(map(len, groups)), first)
        for number, group in zip(numbers, groups, strict=True):
            for target, array, part in zip(out, self._arrays(number), self._scratch, strict=True):
                # What `array[inner[group]]` would make anew for each group is ten times as slow: it is page faults.
                target[group] = np.take(array, inner[group], axis=0, out=part[: len(group)], mode="clip")
        return (*out, rows)

    def _grow_scratch(self, rows: int, like: Sequence[NDArray[np.generic]]) -> None:
        if not self._scratch or len(self._scratch[0]) < rows:
            self._scratch = [np.empty((2 * rows, *array.shape[1:]), array.dtype) for array in like]

    def _arrays(self, number: int) -> tuple[NDArray[np.generic], ...]:
        found = self._decoded.get(number)
        if found is not None:
            return found
        batch, first_row = self._store.chunk(number), self._store.first_row(number)
        origin = self._store.origins.of
        arrays = tuple(decode(pick(batch, c), c, first_row=first_row, origin=origin) for c in self._columns)
        views = not any(array.flags.writeable for array in arrays)  # Arrow's buffers are read-only, copies are not
        if self._store.may_keep(number, views=views):
            self._decoded[number] = arrays
        return arrays

    def release(self, row: int) -> None:
        """Gives up all rows before a row, where rows are read once."""
        first = self._store.release(row)
        for number in [number for number in self._decoded if number < first]:
            del self._decoded[number]


def aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Gives an array of unknown values, to be filled, whose memory begins at a multiple of 64 bytes.

    TensorFlow takes such an array as it is and copies any other, into memory that is new to the process: at 1.7 ns a
    byte, mostly for page faults, that was the largest cost of a step. Arrow's pool also keeps memory for the next one.
    """
    if dtype.hasobject:
        return np.empty(shape, dtype)
    buffer = pa.allocate_buffer(math.prod(shape) * dtype.itemsize)
    return np.frombuffer(buffer, np.uint8).view(dtype).reshape(shape)


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
