"""When nodes of both sides had taken how many rows, and what that says of later epochs. Imports neither package.

A node appends a line to a file of its own with each batch. The end of an epoch is the moment when all nodes together
have taken that many rows, but for those that wait for a batch to be full: the ancestor's nodes cannot tell epochs
apart, and each takes the partitions that Spark gives it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from bench.shared_nodes import BATCH_ROWS, PATIENCE_S, POLL_S
from bench.spark import NODES

Stamp = tuple[float, int]
"""A moment, as `time.time()` has it, and the rows of the batch that was taken then."""


SLACK_ROWS = NODES * BATCH_ROWS
"""Fewer rows than these may wait on the nodes for their batches to be full, from one round to the next."""


def later_rows_per_s(stamps: Iterable[Stamp], *, rows: int, epochs: int) -> float:
    """Gives the rate of all epochs but the first.

    Args:
        stamps: of all nodes.
        rows: of an epoch.
        epochs: at least 2.

    Raises:
        ValueError: other rows were taken than those of all epochs.

    Example:
        >>> later_rows_per_s([(10.0, 1000), (11.0, 1000), (12.0, 1000)], rows=1000, epochs=3)
        1000.0
    """
    ordered = sorted(stamps)
    taken = list(accumulate(batch for _, batch in ordered))
    if not taken or abs(taken[-1] - rows * epochs) > SLACK_ROWS:
        raise ValueError(f"expected {epochs} epochs of {rows} rows, received {taken[-1] if taken else 0} rows")
    first = next(place for place, sum_ in enumerate(taken) if sum_ > rows - SLACK_ROWS)
    return (taken[-1] - taken[first]) / (ordered[-1][0] - ordered[first][0])


@dataclass(frozen=True)
class Stamps:
    """A folder on this host that nodes leave stamps in.

    Attributes:
        directory: of one feed.
    """

    directory: Path

    def leave(self, node: int, batches: Iterable[int]) -> int:
        """Leaves a stamp for each batch, as it comes, and gives the rows of all of them.

        Args:
            node: the number of the node.
            batches: their rows.
        """
        taken = 0
        self.directory.mkdir(exist_ok=True)
        with Path(self.directory, str(node)).open("a", buffering=1, encoding="utf-8") as file:  # of one line
            for rows in batches:
                file.write(f"{time.time()!r} {rows}\n")
                taken += rows
        return taken

    def since(self, moment: float) -> list[Stamp]:
        """Gives the stamps of all nodes from a moment on."""
        files = sorted(self.directory.glob("*"))
        lines = (line for file in files for line in file.read_text(encoding="utf-8").splitlines(keepends=True))
        stamps = ((float(at), int(rows)) for at, rows in (line.split() for line in lines if line.endswith("\n")))
        return [stamp for stamp in stamps if stamp[0] >= moment]

    def all_since(self, moment: float, *, rows: int) -> list[Stamp]:
        """Waits until nodes have taken so many rows since a moment, but for the slack, and gives the stamps.

        Raises:
            TimeoutError: they have not.
        """
        until = time.monotonic() + PATIENCE_S
        while (taken := _rows(stamps := self.since(moment))) <= rows - SLACK_ROWS:
            if time.monotonic() > until:
                raise TimeoutError(f"nodes have taken {taken} of {rows} rows after {PATIENCE_S:g} s")
            time.sleep(POLL_S)
        return stamps


def _rows(stamps: Iterable[Stamp]) -> int:
    return sum(rows for _, rows in stamps)


def batches_of(feed: Any) -> Iterator[int]:
    """Takes rows as Python objects to the end of what `ctx.get_data_feed()` gave; gives the rows of each batch."""
    while not feed.should_stop():
        yield len(feed.next_batch(BATCH_ROWS))


@dataclass(frozen=True)
class StampFedRows:
    """A map_fun that takes all rows it is fed, as the ancestor's programs do, and leaves stamps."""

    stamps: Stamps

    def __call__(self, args: Any, ctx: Any) -> int:
        """Gives the number of rows taken."""
        return self.stamps.leave(ctx.executor_id, batches_of(ctx.get_data_feed()))
