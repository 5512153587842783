"""Runs functions as Spark tasks that read nothing: nodes, independent runs, the doctor's look at hosts.

As an RDD, not as a DataFrame, by which they would wait for Spark's SQL engine: the first query of an application, and
the first one in an executor, load and compile much, and Python workers import pandas, for seconds before anything of
ours runs. `bench/lifecycle.py` has the time of a start.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Any, Protocol


class Task(Protocol):
    """What a task runs. It is pickled, and reads its number from Spark's TaskContext."""

    def __call__(self) -> Iterable[Any]:
        """Does it, and gives what the driver gets: values that can be pickled."""


def run_tasks(sc: Any, task: Task, count: int, *, barrier: bool, profile: Any = None) -> list[Any]:
    """Runs so many tasks as one job of Spark's on the thread of the caller, and gives their values by number of task.

    Args:
        sc: the SparkContext; job group and tags are those of the thread.
        task: what each does.
        count: how many.
        barrier: whether all start together or not at all; Spark tries the tasks of others again.
        profile: ResourceProfile of the tasks, or None.

    Example:
        >>> run_tasks(sc, Number(), 3, barrier=True)  # doctest: +SKIP
        [0, 1, 2]
    """
    empty = sc.parallelize([], count)
    tasks = (empty.barrier() if barrier else empty).mapPartitions(functools.partial(_run, task))
    found: list[Any] = (tasks if profile is None else tasks.withResources(profile)).collect()
    return found


def _run(task: Task, nothing: Iterable[Any]) -> Iterator[Any]:
    for _ in nothing:  # Spark uses a Python worker again only where it has read its input to the end
        pass
    yield from task()
