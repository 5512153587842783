"""Exactly-once bookkeeping of one inbox: which rows of which partition it holds.

Feeders are Spark tasks: they are killed, tried again, and run twice at the same time (speculation). All tries of a
partition send the same share rows in the same order (see `dealing`), so the number of rows held tells what to skip,
and a try may begin anywhere up to it. A partition counts once it is committed with its total.

The ledger does no I/O and takes no lock; the inbox that owns it holds one around each call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from tfspark_cnn.errors import FeedError, ProtocolError

_CHANGED = "make the DataFrame deterministic, or checkpoint or cache it, before train"


@dataclass(frozen=True)
class Accepted:
    """What to do with a batch: leave out its first `skip` rows, store the `take` rows after them."""

    skip: int
    take: int


@dataclass(frozen=True)
class Prefix:
    """What can be read without a gap: `rows` rows, of the first `partitions` partitions and of the next one."""

    partitions: int
    rows: int


@dataclass
class _Entry:
    received: int = 0
    total: int | None = None
    checksum: int | None = 0  # None: some rows came without hashes, so there is nothing to compare


def checksum(row_hashes: NDArray[np.uint64]) -> int:
    """Adds up hashes of rows modulo 2**64.

    A sum, since it does not depend on where the batches of a try are cut: feeder and inbox each add up what passes
    through their hands, and the totals are equal if the rows are. The order of rows is not covered, unless the hash
    of a row includes its number.

    Args:
        row_hashes: uint64[rows].

    Example:
        >>> checksum(np.array([2**64 - 1, 3], np.uint64))
        2
    """
    return int(row_hashes.sum(dtype=np.uint64))


class Ledger:
    """Keeps which rows of one feed's partitions an inbox holds. Each call is O(1), amortised.

    Example:
        >>> ledger = Ledger()
        >>> ledger.accept(0, 0, 10)
        Accepted(skip=0, take=10)
        >>> ledger.accept(0, 5, 10)
        Accepted(skip=5, take=5)
        >>> ledger.commit(0, 15)
        >>> ledger.prefix()
        Prefix(partitions=1, rows=15)
    """

    def __init__(self) -> None:
        self._entries: dict[int, _Entry] = {}
        self._partitions: int | None = None
        self._leading = 0
        self._leading_rows = 0

    def accept(
        self, partition: int, start: int, rows: int, *, row_hashes: NDArray[np.uint64] | None = None
    ) -> Accepted:
        """Enters a batch that covers rows [start, start + rows) of this node's share of a partition.

        Args:
            partition: Spark's number of the partition.
            start: number of the batch's first row in the share.
            rows: how many rows the batch has.
            row_hashes: uint64[rows], to find out contents that differ between tries; those of rows that are held
                already are not counted. Without them the partition is checked by its number of rows only.

        Returns:
            Which rows of the batch to leave out and which to store.

        Raises:
            ProtocolError: rows between those held and the batch are missing, or the feed has no such partition.
            FeedError: the batch reaches beyond the total that the partition was committed with.
        """
        entry = self._entry(partition)
        self._check_range(partition, start, rows)
        if entry.total is not None and start + rows > entry.total:
            _changed(partition, f"{entry.total} rows", f"a row {start + rows - 1}")
        skip = min(entry.received - start, rows)
        entry.received += rows - skip
        if skip < rows:
            entry.checksum = _added(entry.checksum, row_hashes, skip)
        return Accepted(skip, rows - skip)

    def commit(self, partition: int, rows: int, *, checksum: int | None = None) -> None:
        """Enters that a feeder has sent all of this node's share of a partition. May be repeated by other tries.

        Args:
            partition: Spark's number of the partition.
            rows: how many rows the share has.
            checksum: `checksum` of the hashes of all rows of the share, as this try computed them.

        Raises:
            ProtocolError: rows are missing, or the feed has no such partition.
            FeedError: the partition changed between tries: the share now has another number of rows or other contents.
        """
        entry = self._entry(partition)
        if rows < entry.received or entry.total not in (None, rows):
            _changed(partition, f"{entry.received} rows", f"{rows} rows")
        if rows > entry.received:
            raise ProtocolError(
                f"partition {partition}: expected the {rows} rows it was committed with, received {entry.received}",
                hint="send the rest before the commit: start again from resume()",
            )
        if checksum is not None and entry.checksum is not None and entry.checksum != checksum % 2**64:
            _changed(partition, f"checksum {entry.checksum:#018x}", f"{checksum % 2**64:#018x}")
        entry.total = rows
        self._advance()

    def resume(self, partition: int) -> int:
        """Gives how many rows of the share are held: where another try may begin."""
        entry = self._entries.get(partition)
        return entry.received if entry else 0

    def prefix(self) -> Prefix:
        """Gives what can be read in the order of partitions without a gap."""
        return Prefix(self._leading, self._leading_rows + self.resume(self._leading))

    def close(self, partitions: int) -> None:
        """States how many partitions the feed has. May be repeated.

        Raises:
            FeedError: rows of a partition beyond that number were received, or another number was stated before.
        """
        if self._partitions not in (None, partitions):
            raise FeedError(
                f"the feed was closed with {partitions} partitions, expected {self._partitions} as before",
                hint=_CHANGED,
            )
        # Those without rows do no harm: somebody has committed what nobody has.
        highest = max((number for number, entry in self._entries.items() if entry.received), default=-1)
        if highest >= partitions:
            raise FeedError(
                f"the feed was closed with {partitions} partitions, received rows of partition {highest}",
                hint="close the feed with the number of partitions of the data that was sent",
            )
        self._partitions = partitions

    @property
    def complete(self) -> bool:
        """Whether the feed is closed and each of its partitions committed."""
        return self._partitions is not None and self._leading >= self._partitions

    def _entry(self, partition: int) -> _Entry:
        end = self._partitions
        if partition < 0 or (end is not None and partition >= end):
            raise ProtocolError(
                f"received rows of partition {partition}, expected {'0 or more' if end is None else f'0 to {end - 1}'}",
                hint="send the data that the feed was opened for",
            )
        return self._entries.setdefault(partition, _Entry())

    def _check_range(self, partition: int, start: int, rows: int) -> None:
        held = self.resume(partition)
        if start < 0 or rows < 0:
            raise ProtocolError(
                f"partition {partition}: received a batch of {rows} rows at row {start}, expected 0 or more of both",
                hint="number the rows of a share from 0",
            )
        if start > held:
            raise ProtocolError(
                f"partition {partition}: expected row {held} next, received row {start}: {start - held} are missing",
                hint="start from resume()",
            )

    def _advance(self) -> None:
        while (entry := self._entries.get(self._leading)) is not None and entry.total is not None:
            self._leading += 1
            self._leading_rows += entry.total


def _added(held: int | None, row_hashes: NDArray[np.uint64] | None, skip: int) -> int | None:
    if held is None or row_hashes is None:
        return None
    return (held + checksum(row_hashes[skip:])) % 2**64


def _changed(partition: int, expected: str, received: str) -> NoReturn:
    raise FeedError(
        f"partition {partition} changed between tries: expected {expected} as before, received {received}",
        hint=_CHANGED,
    )
