"""Which worker gets which row of a partition.

Rows are dealt like cards, in rounds: round `r` gives each worker one block of `min(2**r, 16)` rows, the first one to
the worker at `offset(partition)`. The result depends on (partition, row, workers) alone, not on how Spark cuts a
partition into record batches, nor on when these arrive: a feeder that is tried again deals the same rows to the same
workers, which the ledger needs to tell what it holds already.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfspark_cnn.errors import ConfigError

MAX_BLOCK_ROWS = 16
"""The largest block, and so the most by which two workers' shares of one partition differ.

Small enough that 100 partitions of a few thousand rows stay within some percent of each other; large enough that
cutting a share out of a record batch copies runs of rows (at 28x28 floats 50 kB each), not single ones.
"""

_WARM_UP_BLOCKS = (1, 2, 4, 8)
"""Blocks of the rounds before those of MAX_BLOCK_ROWS.

Doubling, so that a few rows reach all workers, and the largest share of a small partition is at most twice the
smallest and a row.
"""

_WARM_UP_ROWS = sum(_WARM_UP_BLOCKS)  # of each worker


def splitmix64(number: int) -> int:
    """Mixes the bits of a number: neighbours come out unrelated, on every machine alike.

    Args:
        number: any integer, taken modulo 2**64.

    Returns:
        An integer in [0, 2**64).

    Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014, figure 17, with the
    constants of https://prng.di.unimi.it/splitmix64.c.
    """
    mask = 2**64 - 1
    mixed = (number + 0x9E3779B97F4A7C15) & mask
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & mask
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & mask
    return mixed ^ (mixed >> 31)


@dataclass(frozen=True)
class Dealer:
    """Deals the rows of one partition to the workers.

    Args:
        partition: Spark's number of the partition, from 0.
        workers: how many workers there are, at least 1.

    Raises:
        ConfigError: a negative partition, or less than one worker.

    Example:
        >>> Dealer(partition=0, workers=2).share_rows(100)
        (47, 53)
        >>> Dealer(partition=0, workers=2).deal(first_row=0, rows=6)
        [array([1, 4, 5]), array([0, 2, 3])]
    """

    partition: int
    workers: int

    def __post_init__(self) -> None:
        if self.partition < 0:
            raise ConfigError(f"partition is {self.partition}, expected 0 or more", hint="pass Spark's partition id")
        if self.workers < 1:
            raise ConfigError(f"workers is {self.workers}, expected 1 or more", hint="give the cluster a worker")

    @property
    def offset(self) -> int:
        """The worker that gets the first block.

        A hash, not `partition % workers`: if only every second partition has rows (a common result of a filter or a
        hash join), the remainder would give each first block to the same half of the workers.
        """
        return splitmix64(self.partition) % self.workers

    def owner(self, row: int) -> int:
        """Gives the worker that gets row number `row` of the partition."""
        start, block = self._round_of(row)
        return (self.offset + (row - start) // block) % self.workers

    def share_rows(self, rows: int) -> tuple[int, ...]:
        """Gives how many of the partition's first `rows` rows each worker gets.

        It is also where the shares stand at row number `rows`: the share rows of `deal(first_row, ...)` are numbered
        from `share_rows(first_row)[worker]`.
        """
        start, block = self._round_of(rows)
        whole = start // self.workers
        left = (rows - start - block * self._turn(worker) for worker in range(self.workers))
        return tuple(whole + min(max(rest, 0), block) for rest in left)

    def deal(self, first_row: int, rows: int) -> list[NDArray[np.int64]]:
        """Deals a record batch that covers the partition's rows [first_row, first_row + rows).

        Args:
            first_row: number of the batch's first row in the partition.
            rows: how many rows the batch has.

        Returns:
            For each worker the rows of the batch it gets: int64[share], counted from 0 in the batch, ascending.
        """
        owners = self._owners(first_row, rows)
        # One stable sort, not one comparison for each worker: its cost does not grow with the number of workers
        # (numpy sorts 8 and 16 bit integers by radix).
        order = np.argsort(owners, kind="stable").astype(np.int64, copy=False)
        ends = np.cumsum(np.bincount(owners, minlength=self.workers))
        return np.split(order, ends[:-1])

    def row_of(self, worker: int, share_row: int) -> int:
        """Gives the row of the partition that a row of a worker's share is: where `deal` took it from.

        Example:
            >>> Dealer(partition=0, workers=2).row_of(worker=0, share_row=1)
            4
        """
        start, block = self._round_of(share_row * self.workers)
        return start + block * self._turn(worker) + share_row - start // self.workers

    def _turn(self, worker: int) -> int:
        return (worker - self.offset) % self.workers

    def _round_of(self, row: int) -> tuple[int, int]:
        """Gives the first row and the block size of the round that deals `row`."""
        of_each, block = row // self.workers, MAX_BLOCK_ROWS
        if of_each < _WARM_UP_ROWS:
            block = 1 << ((of_each + 1).bit_length() - 1)
            return self.workers * (block - 1), block
        start = of_each - (of_each - _WARM_UP_ROWS) % block
        return self.workers * start, block

    def _owners(self, first_row: int, rows: int) -> NDArray[np.unsignedinteger]:
        """Gives `owner` of each row of a batch, all at once."""
        steady = np.arange(first_row, first_row + rows) - self.workers * _WARM_UP_ROWS
        turns = steady // MAX_BLOCK_ROWS % self.workers
        warm_up = max(0, min(rows, self.workers * _WARM_UP_ROWS - first_row))
        if warm_up:
            turns[:warm_up] = self._warm_up_turns()[first_row : first_row + warm_up]
        owners = (turns + self.offset) % self.workers
        return owners.astype(np.min_scalar_type(self.workers - 1))

    def _warm_up_turns(self) -> NDArray[np.int64]:
        turns = np.arange(self.workers)
        return np.concatenate([np.repeat(turns, block) for block in _WARM_UP_BLOCKS])
