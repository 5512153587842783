"""Inference that costs next to nothing, as nodes of both sides do it: the path is measured. Imports neither package."""

from __future__ import annotations

from typing import Any

from bench.shared_nodes import BATCH_ROWS


def give_labels(args: Any, ctx: Any) -> None:
    """A map_fun, as the ancestor's programs are, whose result for a row `(image, label)` is its label."""
    feed = ctx.get_data_feed(train_mode=False)
    while not feed.should_stop():
        batch = feed.next_batch(BATCH_ROWS)
        if batch:
            feed.batch_results([row[1] for row in batch])


def sum_of_labels(count: int) -> int:
    """Gives what the results of so many rows add up to: labels are 0 to 9, again and again."""
    return sum(number % 10 for number in range(count))


def checked_rate(total: float, seconds: float, *, count: int) -> float:
    """Gives the rows per second of an inference.

    Args:
        total: the sum of its results.
        seconds: that it took.
        count: its rows.

    Raises:
        ValueError: results are missing, or are not those of the rows.

    Example:
        >>> checked_rate(45, 2.0, count=10)
        5.0
    """
    if total != sum_of_labels(count):
        raise ValueError(f"expected results of {count} rows that add up to {sum_of_labels(count)}, received {total}")
    return count / seconds
