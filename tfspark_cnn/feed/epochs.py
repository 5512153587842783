"""The exact-epoch plan: which rows each worker takes in which step, so that all take the same number of steps.

Workers hold nearly, not exactly, the same number of rows. Each runs full batches while everyone has them, then all
split what they have left over the same number of tail steps, in sizes that differ by at most one. So each row is taken
once, no batch is empty, and nobody waits in an all-reduce that the others never enter.

The last full step is held back until the totals are known: it is what the tail is made of. What was run before is
always a prefix of the plan, so the composition of batches does not depend on when rows arrive.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tfspark_cnn.errors import ConfigError, EmptyFeedError

ROWS_READER = -1
"""Stands for the number of the reader of rows as Python objects, who is in step with nobody; datasets count from 0."""


def full_steps(rows: Sequence[int], batch_sizes: Sequence[int]) -> int:
    """Gives how many full steps may be run with what has arrived. Never falls when `rows` grow.

    Args:
        rows: rows of each worker so far.
        batch_sizes: rows of a full batch, of each worker.

    Example:
        >>> full_steps([100, 70], [32, 32])
        1
    """
    return max(0, min(have // size for have, size in zip(rows, batch_sizes, strict=True)) - 1)


@dataclass(frozen=True)
class EpochPlan:
    """The batches of one epoch on all workers; made by `plan`. Rows of a worker are numbered from 0.

    Attributes:
        totals: rows of each worker in the epoch.
        batch_sizes: rows of a full batch, of each worker.
        full_steps: leading steps, in which each worker takes a full batch.
        tail_steps: the steps after them, which share what is left.
    """

    totals: tuple[int, ...]
    batch_sizes: tuple[int, ...]
    full_steps: int
    tail_steps: int

    @property
    def steps(self) -> int:
        """Steps of the epoch, the same on all workers."""
        return self.full_steps + self.tail_steps

    def size(self, worker: int, step: int) -> int:
        """Gives how many rows a worker takes in a step."""
        start, stop = self.bounds(worker, step)
        return stop - start

    def bounds(self, worker: int, step: int) -> tuple[int, int]:
        """Gives the rows [start, stop) that a worker takes in a step.

        Raises:
            IndexError: there is no such worker or step.
        """
        if not (0 <= worker < len(self.totals) and 0 <= step < self.steps):
            raise IndexError(
                f"expected a worker below {len(self.totals)} and a step below {self.steps}, "
                f"received worker {worker}, step {step}"
            )
        return self._start(worker, step), self._start(worker, step + 1)

    def global_rows(self, step: int) -> int:
        """Gives how many rows all workers take together in a step: what a gradient is averaged over."""
        return sum(self.size(worker, step) for worker in range(len(self.totals)))

    def batches(self, worker: int) -> Iterator[tuple[int, int]]:
        """Iterates over the `bounds` of a worker's steps."""
        return (self.bounds(worker, step) for step in range(self.steps))

    def _start(self, worker: int, step: int) -> int:
        full = self.batch_sizes[worker]
        if step <= self.full_steps:
            return step * full
        tail, done = step - self.full_steps, self.full_steps * full
        size, larger = divmod(self.totals[worker] - done, self.tail_steps)
        return done + tail * size + min(tail, larger)


def plan(totals: Sequence[int], batch_sizes: Sequence[int], *, replicas: int = 1) -> EpochPlan:
    """Plans an epoch whose totals are known.

    The tail has as many steps as the worker with most left needs, but no more than leave each worker `replicas` rows
    in each step. Only where the second limit holds, which takes shares far more uneven than dealing makes them, are
    batches larger than `batch_sizes`.

    Args:
        totals: rows of each worker in the epoch.
        batch_sizes: rows of a full batch, of each worker.
        replicas: local replicas (GPUs) of a node, each of which needs a row in each step.

    Raises:
        EmptyFeedError: a worker has no rows, or fewer than replicas.
        ConfigError: a batch size is less than one row for each replica, or not given for each worker.

    Example:
        >>> plan([100, 70], [32, 32]).steps
        4
        >>> list(plan([100, 70], [32, 32]).batches(1))
        [(0, 32), (32, 45), (45, 58), (58, 70)]
    """
    _check_batch_sizes(totals, batch_sizes, replicas)
    _check_totals(totals, replicas)
    full = full_steps(totals, batch_sizes)
    left = [total - full * size for total, size in zip(totals, batch_sizes, strict=True)]
    wanted = max(-(-rest // size) for rest, size in zip(left, batch_sizes, strict=True))
    return EpochPlan(tuple(totals), tuple(batch_sizes), full, min(wanted, min(left) // replicas))


def split_replicas(size: int, replicas: int) -> tuple[int, ...]:
    """Splits a batch over the local replicas of a node, as equally as can be, larger parts first.

    Example:
        >>> split_replicas(10, 4)
        (3, 3, 2, 2)
    """
    if replicas < 1:
        raise ConfigError(f"replicas is {replicas}, expected 1 or more", hint="pass the number of GPUs, or 1 without")
    each, larger = divmod(size, replicas)
    return tuple(each + (replica < larger) for replica in range(replicas))


def _check_batch_sizes(totals: Sequence[int], batch_sizes: Sequence[int], replicas: int) -> None:
    if not totals or len(totals) != len(batch_sizes):
        raise ConfigError(
            f"expected a batch size for each of at least one worker, received {len(batch_sizes)} for {len(totals)}",
            hint="pass one batch size for each worker",
        )
    if replicas < 1 or min(batch_sizes) < replicas:
        raise ConfigError(
            f"batch sizes are {list(batch_sizes)}, expected at least one row for each of 1 or more replicas, "
            f"received {replicas} replicas",
            hint=f"pass batch_size={max(replicas, 1)} or more",
        )


def _check_totals(totals: Sequence[int], replicas: int) -> None:
    if min(totals) >= replicas:
        return
    raise EmptyFeedError(
        f"expected at least {replicas} {'rows' if replicas > 1 else 'row'} on each worker, received {list(totals)}",
        hint="use fewer workers, or more data" if any(totals) else "check the filter before train: there are no rows",
    )
