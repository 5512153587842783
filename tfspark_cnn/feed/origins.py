"""Where the rows of a node's share are from: the inverse of dealing, for errors that name a row."""

from __future__ import annotations

from array import array
from bisect import bisect_right

from tfspark_cnn.feed.dealing import Dealer


class Origins:
    """Gives partition and row for each row in the order of a node's share; 24 bytes for each record batch.

    It outlives the rows themselves: an image is decoded some batches after its row was handed out.

    Args:
        share: our place among the data nodes.
        workers: how many data nodes there are.

    Example:
        >>> origins = Origins(share=0, workers=1)
        >>> origins.add(first_row=0, partition=3, share_row=0)
        >>> origins.of(7)
        (3, 7)
    """

    def __init__(self, *, share: int, workers: int) -> None:
        self._share, self._workers = share, workers
        self._firsts, self._partitions, self._share_rows = array("q"), array("q"), array("q")

    def add(self, *, first_row: int, partition: int, share_row: int) -> None:
        """Takes note of a record batch: its first row in the order, its partition, its first row in the share of it."""
        self._partitions.append(partition)
        self._share_rows.append(share_row)
        self._firsts.append(first_row)  # last, since others may be looking

    def of(self, row: int) -> tuple[int, int]:
        """Gives the partition and the row of Spark's partition that a row in the order is."""
        number = bisect_right(self._firsts, row) - 1
        partition = self._partitions[number]
        share_row = self._share_rows[number] + row - self._firsts[number]
        return partition, Dealer(partition, self._workers).row_of(self._share, share_row)
